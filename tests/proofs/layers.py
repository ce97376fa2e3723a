# SPDX-License-Identifier: Apache-2.0
"""Small layers for the proofs: widths of a few bits, values that tell neurons and sources apart."""

from __future__ import annotations

from typing import Any

from spikefab.hdl.params import LayerParams, NeuronParams, SynapseParams

__all__ = ["WEIGHTS", "layer_params", "weights_for"]

WEIGHTS = (1, -2, -1, 0)


def layer_params(
    n: int, lanes: int, n_in: int = 3, acc_bits: int = 3, value_bits: int = 0, replay: int = 0,
    folds: int = 1, **neuron: Any,
) -> LayerParams:  # fmt: skip
    """`n` neurons on `lanes` lanes, 2-bit weights, sums of at least `acc_bits` bits."""
    top = 1 << (acc_bits - 1)
    fields: dict[str, Any] = {"fraction_bits": 0, "membrane_width": 3, "threshold": (2,)}
    fields.update(neuron)
    return LayerParams(
        name="proof",
        synapse=SynapseParams(
            n_in=n_in,
            n_out=n,
            weight_width=2,
            acc_min=-top,
            acc_max=top - 1,
            payload_width=value_bits,
        ),
        neuron=NeuronParams(n=n, **fields),
        lanes=lanes,
        folds=folds,
        replay=replay,
    )


def weights_for(params: LayerParams) -> list[list[int]]:
    """No two sources alike, and no two neurons, up to four."""
    rows = range(params.neuron.n)
    return [[WEIGHTS[(k + s * (1 + k % 3)) % 4] for s in range(params.synapse.n_in)] for k in rows]
