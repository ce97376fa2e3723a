# SPDX-License-Identifier: Apache-2.0
"""Several layers on one engine, as plain data: what the layers of a run become together.

Everything here is an integer, immutable and checked, as in `hdl.params`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import Any

from spikefab.hdl.param_error import require
from spikefab.hdl.params import CoreParams, LayerParams, NeuronParams
from spikefab.hdl.sparse_params import SparseParams

__all__ = ["Phase", "SharedParams", "engine_layers", "shared_units"]

MAX_WEIGHT_WIDTH = 8

RING_MAX = {"": 4, "ecp5": 4, "ice40": 8}
"""Most rows that `hdl.store` keeps in registers, by family: these turn as a whole, and a phase is a
part."""

ALIKE = (
    "spiking",
    "saturate",
    "leak_rounding",
    "compare",
    "reset",
    "reset_time",
    "reset_correction",
    "output_lag",
    "count_width",
)
"""Fields of neurons that update on the same datapaths."""


@dataclass(frozen=True, kw_only=True)
class Phase:
    """Where a layer is among the words of sums, and among the rows of neurons."""

    first_word: int
    words: int
    first_row: int
    rows: int
    n: int
    """Neurons: the last row's are fewer than the datapaths, or as many."""

    @property
    def end(self) -> int:
        """Its last row."""
        return self.first_row + self.rows - 1


@dataclass(frozen=True)
class SharedParams:
    """A run of layers, each driven by the one before alone, that take turns on one engine and one
    array of neuron datapaths: a step is a phase of each.

    The words of sums of all layers follow each other in one memory, and so do the rows of neurons:
    a step's passes together are one rotation of the membranes. A neuron's *place* is its row times
    the datapaths, and its lane. The engine's sources are the places of all layers but the last,
    then the inputs of the first layer.
    """

    layers: tuple[LayerParams, ...]

    def __post_init__(self) -> None:
        names = ", ".join(layer.name for layer in self.layers)
        where = f"layers {names} on one engine"
        require(len(self.layers) >= 2, where, len(self.layers), "at least two layers")
        first = self.layers[0]
        for before, layer in zip(self.layers, self.layers[1:], strict=False):
            require(layer.synapse.n_in == before.neuron.n, f"{where}: synapse.n_in",
                    layer.synapse.n_in, f"the size of layer {before.name!r}")  # fmt: skip
        for layer in self.layers:
            plain = layer.grid is None and not layer.replay and not layer.graded
            plain &= layer.structure is None or isinstance(layer.structure, SparseParams)
            neuron = layer.neuron
            plain &= layer.slots == 1 and neuron.spiking and not layer.synapse.payload_width
            plain &= neuron.current is None and not any(neuron.bias_late)
            require(plain, f"{where}: layer {layer.name!r}", "another kind",
                    "dense or sparse, of single spikes or counts, without maps, delays, currents "
                    "or frames")  # fmt: skip
            for field in ALIKE:
                require(getattr(neuron, field) == getattr(first.neuron, field),
                        f"{where}: {field} of layer {layer.name!r}", getattr(neuron, field),
                        f"as that of layer {first.name!r}")  # fmt: skip
            require((neuron.v_min is None) == (first.neuron.v_min is None),
                    f"{where}: v_min of layer {layer.name!r}", neuron.v_min,
                    f"a clamp, or none, as layer {first.name!r} has")  # fmt: skip
            require(not neuron.saturate or neuron.membrane_width == first.neuron.membrane_width,
                    f"{where}: membrane_width of layer {layer.name!r}", neuron.membrane_width,
                    f"as that of layer {first.name!r}, where membranes saturate")  # fmt: skip
            require(layer.storage == first.storage, f"{where}: storage of layer {layer.name!r}",
                    layer.storage, first.storage)  # fmt: skip
            require(layer.family == first.family, f"{where}: family of layer {layer.name!r}",
                    layer.family, first.family)  # fmt: skip
            require(layer.lanes == min(self.lanes, neuron.n),
                    f"{where}: lanes of layer {layer.name!r}", layer.lanes,
                    f"{self.lanes}, or one a neuron where these are fewer")  # fmt: skip
        require(self.lanes % self.folds == 0, f"{where}: folds", self.folds,
                f"a divisor of the lanes, {self.lanes}")  # fmt: skip
        least = RING_MAX.get(first.family, RING_MAX[""])
        require(self.rows > least, f"{where}: rows of neurons", self.rows,
                f"more than {least}: membranes in a memory",
                "use fewer lanes, or more folds")  # fmt: skip
        require(self.weight_width <= MAX_WEIGHT_WIDTH, f"{where}: weight bits", self.weight_width,
                f"at most {MAX_WEIGHT_WIDTH}, with those between the finest and the coarsest "
                "membrane")  # fmt: skip

    @property
    def lanes(self) -> int:
        """Accumulators that work in parallel: those of the widest layer."""
        return max(layer.lanes for layer in self.layers)

    @property
    def folds(self) -> int:
        """Accumulators that share a neuron datapath: as many as in the widest layer."""
        return max(self.layers, key=lambda layer: layer.lanes).folds

    @property
    def row_lanes(self) -> int:
        """Neuron datapaths."""
        return self.lanes // self.folds

    @cached_property
    def phases(self) -> tuple[Phase, ...]:
        """Where each layer is."""
        sizes = [layer.neuron.n for layer in self.layers]
        words = [-(-n // self.lanes) for n in sizes]
        rows = [-(-n // self.row_lanes) for n in sizes]
        firsts = zip(accumulate(words, initial=0), accumulate(rows, initial=0), strict=True)
        return tuple(
            Phase(first_word=word, words=w, first_row=row, rows=r, n=n)
            for (word, row), w, r, n in zip(firsts, words, rows, sizes, strict=False)
        )

    @property
    def words(self) -> int:
        """Words of sums of all layers."""
        return self.phases[-1].first_word + self.phases[-1].words

    @property
    def rows(self) -> int:
        """Rows of neurons of all layers."""
        return self.phases[-1].end + 1

    @property
    def most_rows(self) -> int:
        """Rows of the largest layer."""
        return max(phase.rows for phase in self.phases)

    @property
    def queue_depth(self) -> int:
        """Rows that may wait for the serialiser: the passes of two phases. One phase's have to fit,
        because its spikes are taken only when its pass has left the engine."""
        return 2 * self.most_rows

    @property
    def first_input(self) -> int:
        """The source that the first input is; that of the first place is 0."""
        return self.phases[-1].first_row * self.row_lanes

    @property
    def first_token(self) -> int:
        """The address of the token of the first phase; the others' follow."""
        return self.first_input + self.layers[0].synapse.n_in

    @property
    def shifts(self) -> tuple[int, ...]:
        """Bits by which each layer's weights are shifted up: all count in the same LSB, that of
        the layer whose membranes have the fewest fraction bits."""
        bits = [layer.neuron.fraction_bits for layer in self.layers]
        return tuple(b - min(bits) for b in bits)

    @property
    def weight_width(self) -> int:
        """Bits of a stored weight, shifted."""
        widths = [
            (max(2, layer.synapse.weight_width) if shift else layer.synapse.weight_width) + shift
            for layer, shift in zip(self.layers, self.shifts, strict=True)
        ]
        return max(widths)

    @cached_property
    def engine(self) -> LayerParams:
        """The scatter engine's parameters: one layer whose words of sums are all layers'."""
        synapses = [layer.synapse for layer in self.layers]
        n = self.words * self.lanes
        trits = all(synapse.trits for synapse in synapses) and not any(self.shifts)
        synapse = replace(
            synapses[0],
            n_in=self.first_token,
            n_out=n,
            weight_width=self.weight_width,
            acc_min=min(a.acc_min << s for a, s in zip(synapses, self.shifts, strict=True)),
            acc_max=max(a.acc_max << s for a, s in zip(synapses, self.shifts, strict=True)),
            trits=trits,
        )
        return LayerParams(
            name="+".join(layer.name for layer in self.layers),
            synapse=synapse,
            neuron=NeuronParams(n=n, fraction_bits=0, membrane_width=2),
            lanes=self.lanes,
            folds=self.folds,
            storage=self.layers[0].storage,
            family=self.layers[0].family,
            structure=SparseParams(words=self.words, rows=tuple(self._rows())),
        )

    @cached_property
    def array(self) -> LayerParams:
        """The neuron array's parameters: one population of all places."""
        n = self.rows * self.row_lanes
        return replace(
            self.engine,
            synapse=replace(self.engine.synapse, n_out=n),
            neuron=self._neuron(n),
            lanes=self.row_lanes,
            folds=1,
            structure=None,
        )

    def _rows(self) -> Iterator[tuple[int, ...]]:
        """The words of each source."""
        for phase, layer, drives in zip(
            self.phases, self.layers[1:], self.phases[1:], strict=False
        ):
            yield from _sources(layer, drives)
            yield from ((),) * (phase.rows * self.row_lanes - phase.n)
        yield from _sources(self.layers[0], self.phases[0])

    def _neuron(self, n: int) -> NeuronParams:
        """One population of all layers' neurons, at their places."""
        neurons = [layer.neuron for layer in self.layers]
        shift = max(neuron.leak_shift for neuron in neurons)
        leaks = [
            tuple(k << (shift - neuron.leak_shift) for k in neuron.leak_num) for neuron in neurons
        ]
        fields: dict[str, Any] = {
            field: self._placed([getattr(neuron, field) for neuron in neurons])
            for field in ("threshold", "bias", "v_init", "v_reset")
        }
        clamps = [neuron.v_min for neuron in neurons if neuron.v_min is not None]
        return replace(
            neurons[0],
            n=n,
            fraction_bits=min(neuron.fraction_bits for neuron in neurons),
            membrane_width=max(neuron.membrane_width for neuron in neurons),
            leak_num=self._placed(leaks),
            leak_shift=shift,
            bias_late=(0,),
            v_min=self._placed(clamps) if clamps else None,
            **fields,
        )

    def _placed(self, values: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
        """A field of each layer's neurons by place; one value where all have it."""
        if len({value for own in values for value in own}) == 1:
            return values[0][:1]
        found: list[int] = []
        for phase, own in zip(self.phases, values, strict=True):
            found += own * phase.n if len(own) == 1 else own
            found += own[-1:] * (phase.rows * self.row_lanes - phase.n)
        return tuple(found)


def _sources(layer: LayerParams, phase: Phase) -> Iterator[tuple[int, ...]]:
    """The words of each source of a layer."""
    if isinstance(layer.structure, SparseParams):
        for row in layer.structure.rows:
            yield tuple(phase.first_word + word for word in row)
    else:
        words = tuple(range(phase.first_word, phase.first_word + phase.words))
        yield from (words,) * layer.synapse.n_in


def engine_layers(core: CoreParams) -> list[LayerParams]:
    """What is on each engine: a layer, or several as `SharedParams.engine` has them."""
    units = shared_units(len(core.layers), core.shared)
    return [
        core.layers[unit[0]]
        if len(unit) == 1
        else SharedParams(core.layers[unit[0] : unit[-1] + 1]).engine
        for unit in units
    ]


def shared_units(n_layers: int, shared: Sequence[tuple[int, int]]) -> tuple[range, ...]:
    """The layers of a chain by the engine that they are on; `shared`: first and last layer of each
    run that shares one."""
    found, at = [], 0
    for first, last in (*shared, (n_layers, n_layers - 1)):
        found += [range(k, k + 1) for k in range(at, first)]
        if first <= last:
            found.append(range(first, last + 1))
        at = last + 1
    return tuple(found)
