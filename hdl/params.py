# SPDX-License-Identifier: Apache-2.0
"""The numeric contract as plain data: what the hardware and the golden model are both built from.

Everything here is an integer, immutable and checked. Nothing here computes a neuron: `hdl.neuron`
and `sim.golden` each implement `docs/numeric-contract.md` on their own and must agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from spikefab.hdl.conv_params import ConvJoin, GridParams
from spikefab.hdl.param_error import ParamError
from spikefab.hdl.param_error import require as _require
from spikefab.hdl.port_params import (
    INPUT,
    PortParams,
    chain_ports,
    check_deadlock,
    check_ports,
    find_deadlock,
    stream_delays,
    streams,
)
from spikefab.hdl.sparse_params import SparseParams

__all__ = [
    "CODED",
    "FRAMED",
    "INPUT",
    "MAX_PAYLOAD_WIDTH",
    "SPIKES",
    "Coding",
    "Compare",
    "CoreParams",
    "CurrentParams",
    "Family",
    "InputParams",
    "LayerParams",
    "NeuronParams",
    "ParamError",
    "PortParams",
    "Reset",
    "ResetTime",
    "Rounding",
    "StopParams",
    "Storage",
    "SynapseOrder",
    "SynapseParams",
    "find_deadlock",
    "stream_delays",
    "streams",
    "trit_bits",
]

Rounding = Literal["floor", "nearest", "toward-zero"]
"""How the leak product is shifted down: see `NeuronParams.leak_rounding`."""

Compare = Literal["gt", "ge"]
"""`gt`: a neuron spikes when membrane > threshold; `ge`: when membrane >= threshold."""

Reset = Literal["subtract", "zero", "value", "none"]
"""What a spike does to the membrane; `none` is for integrators, which never spike."""

ResetTime = Literal["same", "next-before-leak", "next-after-leak", "next-discard"]
"""When a reset acts: in the step of its spike, or in the next step, before or after the leak, or on
all that the next step makes of the membrane: its input is lost."""

SynapseOrder = Literal["decay-add-use", "add-use-decay", "add-decay-use"]
"""In what order a synaptic current decays, takes up a step's input, and acts on the membrane."""

Coding = Literal["spikes", "static", "rate", "latency", "delta"]
"""What the core's input stream carries; see `InputParams.coding`."""

Family = Literal["", "ecp5", "ice40"]
"""Whose block RAMs a memory is cut into; empty: none's, one memory as it is."""

Storage = Literal["block", "spram", "lutram", "logic"]
"""What weights are kept in; see `LayerParams.storage`."""

FRAMED: tuple[Coding, ...] = ("static", "rate", "latency")
"""Codings whose samples are one frame of values each."""

CODED: tuple[Coding, ...] = ("rate", "latency", "delta")
"""Codings of which a coder on the fabric makes spikes."""

MAX_MEMBRANE_WIDTH = 40
MAX_WEIGHT_WIDTH = 8
MAX_NEURONS = 1 << 16
MAX_PAYLOAD_WIDTH = 8
MAX_STEPS = 1 << 15
MAX_MARGINS = 256
MAX_STOP_OUTPUTS = 1024
COUNT_WIDTH = 16


def trit_bits(n: int) -> int:
    """Bits that `n` packed trits take: eight for five of them."""
    return 8 * (n // 5) + (0, 2, 4, 5, 7)[n % 5]


def _fits(value: int, width: int) -> bool:
    return -(1 << (width - 1)) <= value < (1 << (width - 1))


@dataclass(frozen=True, kw_only=True)
class SynapseParams:
    """A dense connection: `n_out` x `n_in` signed weights, all-to-all."""

    n_in: int
    """Sources, 1 to 65,536: the addresses that an incoming event may carry."""
    n_out: int
    """Targets, 1 to 65,536: the fan-out of each event."""
    weight_width: int
    """Bits of a stored weight: 2 to 8 two's complement; 1: binary weights, -1 and +1, no 0."""
    acc_min: int
    """Smallest sum that one step's events can reach, in any order: weight LSBs, <= 0."""
    acc_max: int
    """Largest sum that one step's events can reach, in any order: weight LSBs, >= 0."""
    payload_width: int = 0
    """Bits of the unsigned value that each event carries and that multiplies its weights, 1 to 8;
    0: every event counts 1."""
    trits: bool = False
    """The weights are -1, 0 and 1, and are stored packed, five in eight bits."""

    def __post_init__(self) -> None:
        for field in ("n_in", "n_out"):
            value = getattr(self, field)
            _require(1 <= value <= MAX_NEURONS, f"SynapseParams.{field}", value, "1 to 65536")
        _require(
            1 <= self.weight_width <= MAX_WEIGHT_WIDTH,
            "SynapseParams.weight_width", self.weight_width, "1 to 8 bits",
        )  # fmt: skip
        _require(
            0 <= self.payload_width <= MAX_PAYLOAD_WIDTH,
            "SynapseParams.payload_width", self.payload_width, "0 to 8 bits",
        )  # fmt: skip
        _require(not self.trits or self.weight_width == 2, "SynapseParams.weight_width",
                 self.weight_width, "2 bits where the weights are trits")  # fmt: skip
        _require(self.acc_min <= 0, "SynapseParams.acc_min", self.acc_min, "<= 0")
        _require(self.acc_max >= 0, "SynapseParams.acc_max", self.acc_max, ">= 0")

    @property
    def acc_width(self) -> int:
        """Bits of the signed running sum: a whole step never overflows it."""
        width = max((-self.acc_min - 1).bit_length(), self.acc_max.bit_length()) + 1
        # An adder narrower than what it adds would drop the sign of it.
        return max(width, self.term_width + 1)

    @property
    def operand_width(self) -> int:
        """Bits of a weight as the signed number that is added: a binary one needs two."""
        return max(2, self.weight_width)

    @property
    def term_width(self) -> int:
        """Bits of what an event adds to a sum: its weight times its value."""
        return self.operand_width + self.payload_width


@dataclass(frozen=True, kw_only=True)
class CurrentParams:
    """A synaptic current between a step's input and the membrane, in membrane LSBs; the formulas
    are in `docs/numeric-contract.md`. It is 0 before a sample's first step.

    A field typed `tuple[int, ...]` holds one value for all neurons, or one a neuron.
    """

    order: SynapseOrder
    """In what order the current decays, takes up the input, and acts on the membrane."""
    width: int
    """Bits of the stored signed current, 2 to 40: a bound proves that it always fits."""
    leak_num: tuple[int, ...] = (1,)
    """leak_num / 2**leak_shift, 0 to 1 inclusive: what the current keeps each step."""
    leak_shift: int = 0
    """0 to 20."""
    leak_rounding: Rounding = "floor"
    """As `NeuronParams.leak_rounding`."""
    bias: tuple[int, ...] = (0,)
    """Added to the input of the current, once a step, in every step."""

    def __post_init__(self) -> None:
        _require(self.order in get_args(SynapseOrder), "CurrentParams.order", self.order,
                 "one of " + ", ".join(get_args(SynapseOrder)))  # fmt: skip
        _require(2 <= self.width <= MAX_MEMBRANE_WIDTH, "CurrentParams.width", self.width,
                 "2 to 40 bits", "use fewer fraction bits")  # fmt: skip
        _check_leak("CurrentParams", self.leak_num, self.leak_shift, self.leak_rounding)


def _check_leak(owner: str, num: tuple[int, ...], shift: int, rounding: str) -> None:
    _require(0 <= shift <= 20, f"{owner}.leak_shift", shift, "0 to 20")
    _require(rounding in get_args(Rounding), f"{owner}.leak_rounding", rounding,
             "one of " + ", ".join(get_args(Rounding)))  # fmt: skip
    top = 1 << shift
    _require(all(0 <= k <= top for k in num), f"{owner}.leak_num", num,
             f"0 to 2**leak_shift = {top}")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class NeuronParams:
    """One population's update in integers; the formulas are in `docs/numeric-contract.md`.

    A field typed `tuple[int, ...]` holds one value for all neurons, or one a neuron.
    Membranes, thresholds, biases and reset values are in membrane LSBs; one weight LSB is
    `2**fraction_bits` membrane LSBs.
    """

    n: int
    """Neurons in the population."""
    spiking: bool = True
    """False: a leaky integrator (NIR's LI): never spikes, puts out its membrane each step."""
    fraction_bits: int
    """Bits of the membrane below one weight LSB, 0 to 24."""
    membrane_width: int
    """Bits of the stored signed membrane, 2 to 40."""
    saturate: bool = False
    """True: the stored membrane is clamped to `membrane_width` at the end of the update. False:
    a bound proves that it always fits."""
    leak_num: tuple[int, ...] = (1,)
    """Leak = leak_num / 2**leak_shift, 0 to 1 inclusive: what the membrane keeps each step."""
    leak_shift: int = 0
    """0 to 20."""
    leak_rounding: Rounding = "floor"
    """`floor`: (v*num) >> shift. `nearest`: (v*num + half) >> shift, half = 2**(shift-1) (0 for
    shift 0): ties go up. `toward-zero`: sign(v) * ((|v|*num) >> shift)."""
    threshold: tuple[int, ...] = (1,)
    """>= 1 where it is subtracted or counted; any number from -2**40 where `only_compared`."""
    bias: tuple[int, ...] = (0,)
    """Added to the membrane once a step, every step, after the leak."""
    bias_late: tuple[int, ...] = (0,)
    """Added to the step's input, in every step but a sample's first: the biases of recurrent
    connections that carry nothing yet."""
    current: CurrentParams | None = None
    """What the step's input goes through; None: it acts on the membrane as it is."""
    v_init: tuple[int, ...] = (0,)
    """Membrane before a sample's first step."""
    v_reset: tuple[int, ...] = (0,)
    """Membrane after a reset of kind `value`."""
    v_min: tuple[int, ...] | None = None
    """Lower clamp of the membrane at the end of the update; None: no clamp."""
    compare: Compare = "gt"
    reset: Reset = "subtract"
    reset_time: ResetTime = "same"
    reset_correction: bool = False
    """snnTorch's `reset_delay=False`: with a `next-...` reset time, (s - r) resets more are applied
    at the end of the step, s this step's spike and r the reset that acted in it."""
    output_lag: bool = False
    """True: the output of a step is the comparison of the membrane *before* it (spyx)."""
    count_width: int = 1
    """Bits of the spike count of one step: 1 for single spikes, up to 8 for multi-spike neurons,
    which spike as often as the threshold goes into the membrane, at most 2**count_width - 1."""

    def __post_init__(self) -> None:
        req = _require
        req(1 <= self.n <= MAX_NEURONS, "NeuronParams.n", self.n, "1 to 65536")
        req(
            0 <= self.fraction_bits <= 24,
            "NeuronParams.fraction_bits",
            self.fraction_bits,
            "0 to 24",
        )
        req(2 <= self.membrane_width <= MAX_MEMBRANE_WIDTH, "NeuronParams.membrane_width",
            self.membrane_width, "2 to 40 bits", "use fewer fraction bits or a clamp")  # fmt: skip
        for name, kinds in (("compare", Compare), ("reset", Reset),
                            ("reset_time", ResetTime)):  # fmt: skip
            choices = get_args(kinds)
            req(getattr(self, name) in choices, f"NeuronParams.{name}", getattr(self, name),
                "one of " + ", ".join(choices))  # fmt: skip
        fields = [f"NeuronParams.{name}" for name in ("leak_num", "threshold", "bias", "bias_late",
                                                      "v_init", "v_reset", "v_min")]  # fmt: skip
        if self.current is not None:
            fields += ["CurrentParams.leak_num", "CurrentParams.bias"]
        for field in fields:
            owner, name = field.split(".")
            values = getattr(self if owner == "NeuronParams" else self.current, name)
            if values is not None:
                req(len(values) in (1, self.n), f"len({field})", len(values),
                    f"1 (shared) or {self.n} (one a neuron)")  # fmt: skip
        _check_leak("NeuronParams", self.leak_num, self.leak_shift, self.leak_rounding)
        req(self.spiking == (self.reset != "none"), "NeuronParams.reset", self.reset,
            "'none' for an integrator and only for one")  # fmt: skip
        if self.spiking:
            req(self.only_compared or all(t >= 1 for t in self.threshold),
                "NeuronParams.threshold", min(self.threshold), ">= 1 membrane LSB",
                "use more fraction bits")  # fmt: skip
            req(all(t >= -(1 << MAX_MEMBRANE_WIDTH) for t in self.threshold),
                "NeuronParams.threshold", min(self.threshold),
                f">= -2**{MAX_MEMBRANE_WIDTH}")  # fmt: skip
        for name in ("v_init", "v_reset", "v_min"):
            for value in getattr(self, name) or ():
                req(_fits(value, self.membrane_width), f"NeuronParams.{name}", value,
                    f"a signed {self.membrane_width}-bit number", "widen the membrane")  # fmt: skip
        req(self.reset_time != "next-discard" or self.reset != "subtract", "NeuronParams.reset",
            self.reset, "'zero' or 'value' when reset_time is 'next-discard'")  # fmt: skip
        req(not self.reset_correction or self.reset_time != "same",
            "NeuronParams.reset_correction", True, "False when reset_time is 'same'")  # fmt: skip
        req(not self.reset_correction or self.reset != "value",
            "NeuronParams.reset_correction", True, "False when reset is 'value'")  # fmt: skip
        req(1 <= self.count_width <= 8, "NeuronParams.count_width", self.count_width, "1 to 8")
        req(self.count_width == 1 or (self.reset_time == "same" and not self.output_lag
            and self.spiking), "NeuronParams.count_width", self.count_width,
            "1 unless reset_time is 'same' and output_lag is False")  # fmt: skip

    @property
    def only_compared(self) -> bool:
        """The threshold's value does nothing but to be compared with: resets set the membrane, and
        a step has one spike at most."""
        return self.reset in ("zero", "value") and self.count_width == 1

    @property
    def max_count(self) -> int:
        """Spikes that one neuron may fire in one step."""
        return (1 << self.count_width) - 1 if self.spiking else 0


@dataclass(frozen=True, kw_only=True)
class LayerParams:
    """A projection and the population it drives, on `lanes` parallel lanes.

    Neuron ``g * lanes + l`` is added up on lane l in group g. Its update runs on ``lanes / folds``
    datapaths: a group of sums is updated in `folds` rows, row r of them the neurons
    ``r * row_lanes`` and up.
    """

    name: str
    synapse: SynapseParams
    neuron: NeuronParams
    lanes: int
    """Accumulators that work in parallel: 1 to fan-out."""
    folds: int = 1
    """Accumulators that share a neuron datapath, 1 to `lanes`. An update is due once a step, an
    accumulation once an event: most lanes can share one without losing time."""
    replay: int = 0
    """Steps for which the sums of one pass are the input current, each the same (direct coding);
    0: a pass is a step."""
    storage: Storage = "block"
    """What the weights are kept in. `block`: block RAM. `spram`: the single-port RAMs of the iCE40
    UltraPlus, which hold nothing before they are loaded. `lutram`: LUT RAM of the ECP5, which can
    be loaded. `logic`: constants in look-up tables."""
    family: Family = ""
    """What memories are laid out for; the spikes are the same."""
    structure: ConvJoin | SparseParams | None = None
    """What is connected to what; None: everything to everything. Addresses of sources are those of
    the structure."""
    graded: bool = False
    """A neuron's spikes of a step leave as one event, whose value is their count."""
    grid: GridParams | None = None
    """The population as maps: its addresses, and its layout, padding included; None: neuron n has
    address n. `n` and `n_out` count the places of the layout."""

    def __post_init__(self) -> None:
        _require(self.family in get_args(Family), f"layer {self.name!r}: family", self.family,
                 "one of ecp5, ice40, or empty")  # fmt: skip
        _require(self.storage in get_args(Storage), f"layer {self.name!r}: storage", self.storage,
                 "one of " + ", ".join(get_args(Storage)))  # fmt: skip
        for storage, family in (("spram", "ice40"), ("lutram", "ecp5")):
            _require(self.storage != storage or self.family in ("", family),
                     f"layer {self.name!r}: storage", self.storage,
                     f"another where the family is {self.family}")  # fmt: skip
        _require(1 <= self.lanes <= self.neuron.n, f"layer {self.name!r}: lanes", self.lanes,
                 f"1 to the fan-out, {self.neuron.n}")  # fmt: skip
        _require(1 <= self.folds <= self.lanes, f"layer {self.name!r}: folds", self.folds,
                 f"1 to the lanes, {self.lanes}")  # fmt: skip
        _require(self.groups == 1 or self.lanes % self.folds == 0, f"layer {self.name!r}: folds",
                 self.folds, f"a divisor of the lanes, {self.lanes}")  # fmt: skip
        _require(0 <= self.replay <= MAX_STEPS, f"layer {self.name!r}: replay", self.replay,
                 f"0 to {MAX_STEPS} steps")  # fmt: skip
        _require(not self.graded or self.neuron.count_width > 1, f"layer {self.name!r}: graded",
                 self.graded, "False where a neuron spikes once a step at most")  # fmt: skip
        _require(self.synapse.n_out == self.neuron.n, f"layer {self.name!r}: synapse.n_out",
                 self.synapse.n_out, f"the population's size, {self.neuron.n}")  # fmt: skip
        if self.grid is not None:
            _require(self.lanes <= self.grid.channels, f"layer {self.name!r}: lanes", self.lanes,
                     f"1 to the channels, {self.grid.channels}")  # fmt: skip
            places = self.grid.words(self.lanes) * self.lanes
            _require(self.neuron.n == places, f"layer {self.name!r}: neuron.n", self.neuron.n,
                     f"the places of its layout, {places}")  # fmt: skip
        if self.structure is not None:
            self._check_structure(self.structure)

    def _check_structure(self, structure: ConvJoin | SparseParams) -> None:
        where = f"layer {self.name!r}"
        _require(self.synapse.n_in == structure.n_in, f"{where}: synapse.n_in", self.synapse.n_in,
                 f"the structure's addresses, {structure.n_in}")  # fmt: skip
        if isinstance(structure, SparseParams):
            _require(structure.words == self.groups, f"{where}: structure.words", structure.words,
                     f"ceil(neurons / lanes) = {self.groups}")  # fmt: skip
            _require(structure.slots == 1 or not self.replay, f"{where}: replay", self.replay,
                     "0 where synapses have delays")  # fmt: skip
            return
        _require(self.grid == structure.out_grid, f"{where}: grid", self.grid,
                 f"that of the convolution, {structure.out_grid}")  # fmt: skip
        structure.check_lanes(self.lanes)
        _require(self.synapse.weight_width > 1 or not structure.shares_words(self.lanes),
                 f"{where}: lanes", self.lanes, "at most a group's output channels: binary weights "
                 "have no 0 for others'", "use fewer lanes, or two bits a weight")  # fmt: skip

    @property
    def n_addresses(self) -> int:
        """One more than the largest address of the population's events."""
        return self.neuron.n if self.grid is None else self.grid.n_addresses

    @property
    def weight_words(self) -> int:
        """Words of the weight memory."""
        if isinstance(self.structure, ConvJoin):
            return self.structure.first_weights(self.lanes)[-1]
        if isinstance(self.structure, SparseParams):
            return self.structure.n_entries
        return self.synapse.n_in * self.groups

    @property
    def slots(self) -> int:
        """Steps whose sums are kept at a time: one more than the longest delay of a synapse."""
        return self.structure.slots if isinstance(self.structure, SparseParams) else 1

    @property
    def clear_cycles(self) -> int:
        """Cycles that a sample's last token takes longer than the others: what is on its way to
        later steps is cleared."""
        return (self.slots - 1) * self.groups

    @property
    def event_width(self) -> int:
        """Bits of the value that each of a population's spikes carries; 0: none, it counts 1."""
        return self.neuron.count_width if self.graded else 0

    @property
    def groups(self) -> int:
        """Words of sums: ceil(fan-out / lanes). Without a structure an event takes that many
        cycles."""
        return -(-self.neuron.n // self.lanes)

    @property
    def row_lanes(self) -> int:
        """Neuron datapaths: neuron ``r * row_lanes + l`` is updated on datapath l in row r."""
        return -(-self.lanes // self.folds)

    @property
    def rows(self) -> int:
        """Cycles that a pass of neuron updates takes: ceil(neurons / datapaths)."""
        return -(-self.neuron.n // self.row_lanes)

    @property
    def word_width(self) -> int:
        """Bits of a stored word: a weight a lane."""
        if self.synapse.trits:
            return trit_bits(self.lanes)
        return self.lanes * self.synapse.weight_width

    @property
    def loaded(self) -> bool:
        """The weights can be, or have to be, written at run time."""
        return self.storage in ("spram", "lutram")


@dataclass(frozen=True, kw_only=True)
class InputParams:
    """What the core's input stream carries, and how it becomes events."""

    coding: Coding = "spikes"
    """`spikes`: events and a token a step. The others take values. One frame a sample, ended by
    the sample's only token: `static`: its input current acts in each of `steps` steps; `rate`:
    an input spikes in a step with a probability that is proportional to its value; `latency`: it
    spikes once, the sooner the larger its value. `delta`: a frame a step; an input spikes when
    its value has changed enough."""
    payload_width: int = 0
    """Bits of an input event's unsigned value, 1 to 8; 0: events have none, each counts 1. Several
    events of one input in a step add up."""
    steps: int = 0
    """Steps that one frame becomes; 0 where the input stream itself has steps."""
    seed: int = 0
    """With `rate`: where its random numbers start in every sample, 1 to 2**32 - 1; else 0."""
    threshold: int = 0
    """With `delta`: the smallest change that makes a spike, 1 to `max_value`; else 0."""
    off: bool = False
    """With `delta`: a fall makes a spike too, of its own address. The network's inputs are then
    two halves, rises before falls."""

    def __post_init__(self) -> None:
        _require(self.coding in get_args(Coding), "InputParams.coding", self.coding,
                 "one of " + ", ".join(get_args(Coding)))  # fmt: skip
        low = 0 if self.coding == "spikes" else 1
        _require(low <= self.payload_width <= MAX_PAYLOAD_WIDTH, "InputParams.payload_width",
                 self.payload_width, f"{low} to {MAX_PAYLOAD_WIDTH} bits")  # fmt: skip
        if self.framed:
            _require(1 <= self.steps <= MAX_STEPS, "InputParams.steps", self.steps,
                     f"1 to {MAX_STEPS} with coding {self.coding!r}")  # fmt: skip
        else:
            _require(self.steps == 0, "InputParams.steps", self.steps,
                     f"0 with coding {self.coding!r}")  # fmt: skip
        low, top = (1, (1 << 32) - 1) if self.coding == "rate" else (0, 0)
        _require(low <= self.seed <= top, "InputParams.seed", self.seed,
                 f"{low} to {top} with coding {self.coding!r}")  # fmt: skip
        low, top = (1, self.max_value) if self.coding == "delta" else (0, 0)
        _require(low <= self.threshold <= top, "InputParams.threshold", self.threshold,
                 f"{low} to {top} with coding {self.coding!r}")  # fmt: skip
        _require(not self.off or self.coding == "delta", "InputParams.off", self.off,
                 f"False with coding {self.coding!r}")  # fmt: skip

    @property
    def framed(self) -> bool:
        """A sample is one frame of values, without steps of its own."""
        return self.coding in FRAMED

    @property
    def spiking(self) -> bool:
        """Values become spikes on the fabric, at most one of an input in a step."""
        return self.coding in CODED

    @property
    def max_value(self) -> int:
        """The largest value of an event."""
        return (1 << self.payload_width) - 1 if self.payload_width else 1

    def pixels(self, n: int) -> int:
        """Addresses of the core's input stream before a network of `n` inputs."""
        return n // 2 if self.off else n

    def sample_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of a sample's step, or frame, before a network whose input has `shape`."""
        return (shape[0] // 2, *shape[1:]) if self.off else shape


SPIKES = InputParams()
"""Plain spikes: the default input."""


@dataclass(frozen=True, kw_only=True)
class StopParams:
    """When an inference ends before its last step.

    An output's score is its spike count so far, at most 65,535, or an integrator's membrane after
    the step. The sample ends with the first step whose best score is at least that step's margin
    above the second best.
    """

    margins: tuple[int, ...]
    """Margin of step 0, 1, …, the last one for all later steps too: spikes, or membrane LSBs. 0:
    never in this step."""

    def __post_init__(self) -> None:
        _require(1 <= len(self.margins) <= MAX_MARGINS, "len(StopParams.margins)",
                 len(self.margins), f"1 to {MAX_MARGINS}")  # fmt: skip
        for margin in self.margins:
            _require(isinstance(margin, int) and margin >= 0, "StopParams.margins", margin,
                     "whole numbers of 0 or more")  # fmt: skip
        _require(any(self.margins), "StopParams.margins", self.margins, "not all 0",
                 "leave the stop out")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class CoreParams:
    """A graph of layers between one input stream and one output stream.

    By default a chain, each layer driven by the one before. `ports` and `outputs` say another
    graph; those of a chain are the default, and are stored as it.
    """

    layers: tuple[LayerParams, ...]
    input_max: int = 1
    """Most that one input address may receive in one step: events, or the sum of their values."""
    input: InputParams = SPIKES
    stop: StopParams | None = None
    """None: every sample runs all its steps."""
    ports: tuple[tuple[PortParams, ...], ...] = ()
    """What each layer is driven by, in the order in which it takes it."""
    outputs: tuple[int, ...] = ()
    """Layers whose events leave the core, in the order of their addresses; their integrators'
    events carry membranes, and spikes among them 1. Default: the last one."""
    input_size: int = 0
    """Addresses of the input stream, where `ports` say a graph; else as the first layer has."""
    shared: tuple[tuple[int, int], ...] = ()
    """Runs of layers of a chain that share an engine: first and last layer of each, in order. What
    they must have in common is said by `hdl.shared_params.SharedParams`."""

    def __post_init__(self) -> None:
        _require(len(self.layers) >= 1, "CoreParams.layers", 0, "at least one layer")
        _require(1 <= self.input_max <= 32767, "CoreParams.input_max", self.input_max, "1 to 32767")
        chain = chain_ports(
            [self.layers[0].synapse.n_in, *(a.n_addresses for a in self.layers[:-1])]
        )
        last = (len(self.layers) - 1,)
        if (self.ports or chain, self.outputs or last) == (chain, last) and self.input_size in (
            0, chain[0][0].size
        ):  # fmt: skip
            for field, default in (("ports", ()), ("outputs", ()), ("input_size", 0)):
                object.__setattr__(self, field, default)
        self._check_input()
        late = [layer.name for layer in self.layers if layer.slots > 1]
        _require(not late or self.input.coding == "spikes", "CoreParams.input: coding",
                 self.input.coding, f"'spikes' where synapses have delays: layer {late[:1]}",
                 "leave the delays out")  # fmt: skip
        _require(not late or self.stop is None, "CoreParams.stop", self.stop,
                 f"None where synapses have delays: layer {late[:1]}",
                 "leave the stop out")  # fmt: skip
        if self.is_chain:
            self._check_chain()
        else:
            self._check_graph()
        self._check_shared()
        if self.stop is not None:
            grid = self.layers[-1].grid
            _require(grid is None or grid.n == grid.n_addresses, "CoreParams.stop: outputs", grid,
                     "maps whose sizes are powers of two", "leave the stop out")  # fmt: skip
            _require(2 <= self.n_outputs <= MAX_STOP_OUTPUTS, "CoreParams.stop: outputs",
                     self.n_outputs, f"2 to {MAX_STOP_OUTPUTS}", "leave the stop out")  # fmt: skip
            top = (1 << self.score_width) - 1
            _require(max(self.stop.margins) <= top, "CoreParams.stop: margin",
                     max(self.stop.margins), f"at most {top}, what a lead can reach")  # fmt: skip

    def _check_input(self) -> None:
        graded = self.input.coding in ("spikes", "static")
        width = self.input.payload_width if graded else 0
        replay = self.input.steps if self.input.coding == "static" else 0
        for k, (layer, ports) in enumerate(zip(self.layers, self.layer_ports, strict=False)):
            sources = [port.source for port in ports if port.size]
            widths = [layer.event_width for j, layer in enumerate(self.layers) if j in sources]
            wanted = max([width if INPUT in sources else 0, *widths])
            _require(layer.synapse.payload_width == wanted, f"layer {layer.name!r}: payload_width",
                     layer.synapse.payload_width,
                     f"{wanted}, as its sources' events have")  # fmt: skip
            steps = replay if k == 0 else 0
            _require(layer.replay == steps, f"layer {layer.name!r}: replay", layer.replay,
                     f"{steps}, the steps of the input for the first layer, else 0")  # fmt: skip
        _require(not self.input.spiking or self.input_max == 1, "CoreParams.input_max",
                 self.input_max, f"1 with coding {self.input.coding!r}")  # fmt: skip
        for k in self.output_layers:
            _require(k >= len(self.layers) or not self.layers[k].graded, "CoreParams.outputs", k,
                     "layers that are not graded")  # fmt: skip
        first = self.layers[0]
        _require(not self.input.off or first.synapse.n_in % 2 == 0,
                 f"layer {first.name!r}: synapse.n_in", first.synapse.n_in,
                 "even: half for rises, half for falls")  # fmt: skip

    def _check_chain(self) -> None:
        for a, b in zip(self.layers, self.layers[1:], strict=False):
            _require(a.n_addresses == b.synapse.n_in, f"layer {b.name!r}: synapse.n_in",
                     b.synapse.n_in, f"the size of layer {a.name!r}, {a.n_addresses}")  # fmt: skip
            _require(a.neuron.spiking, f"layer {a.name!r}: spiking", False,
                     "True: only the last layer may be an integrator")  # fmt: skip

    def _check_shared(self) -> None:
        _require(not self.shared or self.is_chain, "CoreParams.shared", self.shared,
                 "empty in a graph: only layers of a chain share an engine")  # fmt: skip
        ends = [-1, *(k for run in self.shared for k in run)]
        ordered = all(b < first for b, first in zip(ends[::2], ends[1::2], strict=False))
        _require(ordered and all(a < b < len(self.layers) for a, b in self.shared),
                 "CoreParams.shared", self.shared,
                 "first and last layer of each run, in order")  # fmt: skip

    def _check_graph(self) -> None:
        n, cure = len(self.layers), "only a chain of layers may have another"
        _require(len(self.layer_ports) == n, "len(CoreParams.ports)", len(self.ports),
                 f"{n}, the layers")  # fmt: skip
        _require(self.input.coding == "spikes", "CoreParams.input: coding", self.input.coding,
                 "'spikes' in a graph", cure)  # fmt: skip
        _require(self.stop is None, "CoreParams.stop", self.stop, "None in a graph", cure)
        _require(1 <= self.input_size <= MAX_NEURONS, "CoreParams.input_size", self.input_size,
                 "1 to 65536 in a graph")  # fmt: skip
        outputs = self.output_layers
        _require(len(set(outputs)) == len(outputs) and all(0 <= k < n for k in outputs),
                 "CoreParams.outputs", outputs, f"numbers of layers, 0 to {n - 1}, each once",
                 "let one output show a layer")  # fmt: skip
        _require(self.n_outputs <= MAX_NEURONS, "CoreParams.outputs", self.n_outputs,
                 "at most 65536 neurons in all")  # fmt: skip
        sizes = [layer.n_addresses for layer in self.layers]
        most = [self.step_events(k) for k in range(n)]
        for k, (layer, ports) in enumerate(zip(self.layers, self.layer_ports, strict=True)):
            join = layer.structure if isinstance(layer.structure, ConvJoin) else None
            places = None if join is None else join.places
            n_in = layer.synapse.n_in
            check_ports(layer.name, k, ports, n_in, self.input_size, sizes, most, places)
        for layer, ports in zip(self.layers, self.layer_ports, strict=True):
            for port in ports:
                plain = self.input_max == 1 and not self.input.payload_width
                if port.source != INPUT:
                    plain = self.layers[port.source].neuron.max_count == 1
                _require(plain or not any(port.delays), f"layer {layer.name!r}: ports: delays",
                         port.delays[:3], "0 where a source sends several events, or values, in a "
                         "step")  # fmt: skip
        fed = {port.source for ports in self.layer_ports for port in ports}
        for k, layer in enumerate(self.layers):
            _require(k in fed or k in outputs, f"layer {layer.name!r}", k,
                     "a source of a layer, or an output", "leave it out")  # fmt: skip
            _require(layer.neuron.spiking or k not in fed, f"layer {layer.name!r}: spiking", False,
                     "True: an integrator may only be an output")  # fmt: skip
        check_deadlock([layer.name for layer in self.layers], self.layer_ports, outputs)

    def step_events(self, k: int) -> int:
        """Most events that layer `k` sends in one step."""
        neuron = self.layers[k].neuron
        return neuron.n * (1 if self.layers[k].graded else neuron.max_count)

    @property
    def is_chain(self) -> bool:
        """Each layer is driven by the one before alone, and the last one is the output."""
        return not self.ports and not self.outputs

    @property
    def layer_ports(self) -> tuple[tuple[PortParams, ...], ...]:
        """What each layer is driven by; of a chain too."""
        sizes = [self.layers[0].synapse.n_in, *(a.n_addresses for a in self.layers[:-1])]
        return self.ports or chain_ports(sizes)

    @property
    def output_layers(self) -> tuple[int, ...]:
        """Numbers of the layers whose events leave the core, in the order of their addresses."""
        return self.outputs or (len(self.layers) - 1,)

    @property
    def output_offsets(self) -> tuple[int, ...]:
        """The first address of each of them in the output stream."""
        sizes = [self.layers[k].n_addresses for k in self.output_layers]
        return tuple(sum(sizes[:k]) for k in range(len(sizes)))

    @property
    def counted_outputs(self) -> tuple[tuple[int, int], ...]:
        """Where some outputs are membranes: the addresses of those that are spikes, from one and
        below another."""
        if not self.output_width:
            return ()
        found = zip(self.output_layers, self.output_offsets, strict=True)
        return tuple(
            (first, first + self.layers[k].n_addresses)
            for k, first in found
            if self.layers[k].neuron.spiking
        )

    @property
    def loops(self) -> bool:
        """A layer is driven by spikes of the step before."""
        return any(port.recurrent for ports in self.ports for port in ports)

    @property
    def drains(self) -> bool:
        """Something of a sample is left inside when its last output has left."""
        rings = any(any(port.delays) for ports in self.ports for port in ports)
        return self.loops or rings or any(layer.slots > 1 for layer in self.layers)

    @property
    def n_inputs(self) -> int:
        """Addresses of the input stream."""
        return self.input.pixels(self.input_size or self.layers[0].synapse.n_in)

    @property
    def n_outputs(self) -> int:
        """Addresses of the output stream."""
        return sum(self.layers[k].n_addresses for k in self.output_layers)

    @property
    def output_width(self) -> int:
        """Payload bits of an output event: 0 where all are spikes, else the widest integrator's
        membrane's."""
        neurons = [self.layers[k].neuron for k in self.output_layers]
        return max(0 if neuron.spiking else neuron.membrane_width for neuron in neurons)

    @property
    def score_width(self) -> int:
        """Bits of an output's score for the early stop: the membrane's, or those of a count."""
        last = self.layers[-1].neuron
        if not last.spiking:
            return last.membrane_width
        if not self.input.framed:
            return COUNT_WIDTH
        return min(COUNT_WIDTH, (self.input.steps * last.max_count).bit_length())
