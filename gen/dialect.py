# SPDX-License-Identifier: Apache-2.0
"""What a framework's time step does that the graph does not say: the dialect.

A graph gives continuous equations. The spikes depend on how a framework turns them into steps.
Every such choice is one field here, so that nothing about a network's arithmetic is hidden.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from math import isfinite
from typing import Any, Literal, get_args

from spikefab.gen.errors import InputError

__all__ = [
    "ALIASES",
    "CHOICES",
    "FIELDS",
    "PRESETS",
    "Dialect",
    "describe_dialects",
    "parse_dialect",
]

Decay = Literal["euler", "exp", "round12"]
InputGain = Literal["one", "dt/tau", "r*dt/tau", "li-decay"]
SynapseOrder = Literal["decay-add-use", "add-use-decay", "add-decay-use", "norse"]
Compare = Literal["gt", "ge"]
Reset = Literal["subtract", "zero", "value"]
NodeResetTime = Literal["same", "next-before-leak", "next-after-leak", "next-discard"]
ResetTime = Literal[
    "same", "next-before-leak", "next-after-leak", "next-discard", "snntorch", "spyx"
]
State = Literal["clear", "carry"]


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """One framework's discretisation, as plain values.

    Presets are in `PRESETS`; `parse_dialect` reads the command line's spelling, `str()` writes it.
    """

    decay: Decay
    """What the membrane keeps in a step. `euler`: 1 - dt/tau. `exp`: exp(-dt/tau). `round12`:
    1 - round(4096*dt/tau)/4096, shifted towards zero (lava-dl)."""
    input_gain: InputGain
    """Factor on the input current. `one`: 1. `dt/tau`: the node's r is ignored (Norse).
    `r*dt/tau`: the literal equation; 1 for graphs whose r is tau/dt. `li-decay`: 1, but an LI's
    input decays together with its state (rockpool's ExpSyn). An IF or I node has no tau: 1, or
    r*dt. CubaLIF and CubaLI: `one` and `li-decay` are 1 for the current and for the membrane,
    `r*dt/tau` is w_in*dt/tau_syn and r*dt/tau_mem; `dt/tau` is the same, save that the current
    jumps by w_in in the order `add-use-decay`."""
    synapse_order: SynapseOrder
    """Order of a synaptic current's update (CubaLIF and CubaLI): it decays, the input is added,
    the membrane uses it. `norse`: `add-use-decay` where r and w_in are 1, as Norse exports its
    LIFCell, else `decay-add-use`, as Norse's import runs a graph."""
    compare: Compare
    """`gt`: a spike when membrane > threshold. `ge`: when membrane >= threshold."""
    reset: Reset
    """`subtract`: minus the threshold. `zero`: to 0. `value`: to `v_reset`."""
    reset_time: ResetTime
    """`same`: in the step of the spike. `next-before-leak`: in the next step, on the old membrane.
    `next-after-leak`: in the next step, on the leaked membrane; that step's input is kept.
    `next-discard`: in the next step, on its whole new membrane, so that what came in is lost from
    it (not from a synaptic current); a subtraction loses nothing. `snntorch` and `spyx`: as the
    framework's class for each kind of node has it, see `for_node`."""
    reset_delay: bool
    """snnTorch's argument. false, with a `next-…` reset time: (s - r) resets more at the end of a
    step, s this step's spike and r the reset that acted in it. No effect with `same`."""
    v_reset: float | Literal["graph"]
    """Membrane after a reset of kind `value`: the node's own v_reset (`graph`), or a number."""
    v_min: float | Literal["none", "-threshold", "-threshold-if"]
    """Lower clamp of the membrane at the end of the step; `-threshold-if`: that of IF nodes, as
    sinabs' import has it."""
    multi_spike: bool
    """true: a neuron spikes as often in a step as its threshold goes into the membrane."""
    output_lag: bool
    """true: the output of a step is the comparison of the membrane before it (spyx)."""
    decay_input: bool | Literal["none"]
    """SpikingJelly's argument. true: the input is divided by tau, in steps, together with the
    leak. false: it is added after the leak. `none`: only `input_gain` scales it. LIF and LI."""
    norm_input: bool | Literal["lif"]
    """sinabs' argument. true: the membrane's input is multiplied by (1 - decay). `lif`: that of
    LIF and CubaLIF, not of LI and CubaLI, as the defaults of sinabs' classes are. IF has none."""
    bias_at_t0: bool | Literal["never"]
    """Whether the bias of a *recurrent* connection acts in the first step, when no spike has been
    fed back yet; `never`: it is dropped. A feed-forward bias acts in every step."""
    state: State
    """`clear`: all state returns to its initial value after each sample. `carry`: it stays, also
    what is on its way over a recurrent edge or a delay."""
    preset: str = field(default="", compare=False)
    """The preset that this dialect started from, for the default of dt; no choice by itself."""

    def __post_init__(self) -> None:
        problems = [
            f"dialect field {name}: {getattr(self, name)!r} is not one of {_choices_text(name)}"
            for name in FIELDS
            if not _is_legal(name, getattr(self, name))
        ]
        if problems:
            raise InputError(problems)
        if self.reset_time != "same":
            if not self.reset_delay and self.reset == "value":
                problems.append(
                    "dialect field reset_delay: false needs reset=subtract or reset=zero "
                    "with a delayed reset_time"
                )
            if self.multi_spike:
                problems.append("dialect field multi_spike: true needs reset_time=same")
        if self.multi_spike and self.output_lag:
            problems.append("dialect field multi_spike: true needs output_lag=false")
        if self.decay_input != "none" and self.input_gain != "one":
            problems.append(
                f"dialect field decay_input: {_spell(self.decay_input)} needs input_gain=one, "
                f"not {self.input_gain}; set one of the two to scale the input"
            )
        if self.norm_input and (self.decay_input is True or self.input_gain != "one"):
            problems.append(
                f"dialect field norm_input: {_spell(self.norm_input)} needs input_gain=one and no "
                "decay_input=true; set one of them to scale the input"
            )
        if problems:
            raise InputError(problems)

    def for_node(self, kind: str, *, recurrent: bool = False, unit_jump: bool = True) -> Dialect:
        """The dialect of one node: values that differ by kind replaced by what they stand for.

        `recurrent`: it feeds itself. `unit_jump`: its r and w_in are 1.

        | field | value | a subtraction | another reset |
        |---|---|---|---|
        | reset_time | snntorch | after the leak | Leaky: before it; Synaptic, R…: discards |
        | reset_time | spyx | (R)CuBaLIF: before the leak, others after it | the same |

        `synapse_order=norse`, `norm_input=lif` and `v_min=-threshold-if` are at the fields.
        """
        cuba = kind.startswith("Cuba")
        if kind == "Threshold":  # It has no state: only the comparison is left.
            return replace(self, reset="zero", reset_time="same", multi_spike=False,
                           output_lag=False, v_min="none")  # fmt: skip
        changes: dict[str, Any] = {}
        if self.reset_time == "snntorch":
            rest = "next-discard" if cuba or recurrent else "next-before-leak"
            changes["reset_time"] = "next-after-leak" if self.reset == "subtract" else rest
        elif self.reset_time == "spyx":
            changes["reset_time"] = "next-before-leak" if cuba else "next-after-leak"
        if self.v_min == "-threshold-if":
            changes["v_min"] = "-threshold" if kind == "IF" else "none"
        if self.norm_input == "lif":
            changes["norm_input"] = kind in ("LIF", "CubaLIF")
        if self.synapse_order == "norse":
            changes["synapse_order"] = "add-use-decay" if unit_jump else "decay-add-use"
        return replace(self, **changes) if changes else self

    @property
    def node_reset_time(self) -> NodeResetTime:
        """`reset_time` of a dialect that `for_node` gave."""
        if self.reset_time == "snntorch" or self.reset_time == "spyx":
            raise ValueError(f"reset_time = {self.reset_time} is no node's own: see for_node")
        return self.reset_time

    @property
    def only_compares(self) -> bool:
        """A threshold does nothing but to be compared with: it is neither subtracted, nor are the
        spikes of a step counted by it."""
        return self.reset != "subtract" and not self.multi_spike

    @property
    def reset_correction(self) -> bool:
        """Whether snnTorch's (s - r) rule applies: a delayed reset with reset_delay=false."""
        return self.reset_time != "same" and not self.reset_delay

    @property
    def default_dt(self) -> float:
        """Seconds a step where the user gives none (1: the graph's tau counts steps)."""
        return _DEFAULT_DT[self.preset or self._nearest(list(PRESETS))]

    def overrides(self, preset: str) -> dict[str, Any]:
        """The fields in which this dialect differs from a preset."""
        base = PRESETS[preset]
        return {n: getattr(self, n) for n in FIELDS if getattr(self, n) != getattr(base, n)}

    def _nearest(self, names: list[str]) -> str:
        return min(names, key=lambda name: (len(self.overrides(name)), name != self.preset))

    def __str__(self) -> str:
        """The shortest spelling on the command line; reading it back gives the same dialect."""
        dt = self.default_dt
        preset = self._nearest([name for name in PRESETS if _DEFAULT_DT[name] == dt])
        changed = self.overrides(preset)
        return ",".join([preset, *(f"{n}={_spell(v)}" for n, v in changed.items())])


FIELDS: tuple[str, ...] = tuple(f.name for f in fields(Dialect) if f.name != "preset")
"""Names of the fields, in order."""

_BOOL: tuple[Any, ...] = (True, False)

CHOICES: dict[str, tuple[Any, ...]] = {
    "decay": get_args(Decay),
    "input_gain": get_args(InputGain),
    "synapse_order": get_args(SynapseOrder),
    "compare": get_args(Compare),
    "reset": get_args(Reset),
    "reset_time": get_args(ResetTime),
    "reset_delay": _BOOL,
    "v_reset": ("graph", float),
    "v_min": ("none", "-threshold", "-threshold-if", float),
    "multi_spike": _BOOL,
    "output_lag": _BOOL,
    "decay_input": (*_BOOL, "none"),
    "norm_input": (*_BOOL, "lif"),
    "bias_at_t0": (*_BOOL, "never"),
    "state": get_args(State),
}
"""Legal values of each field; `float` stands for any number."""


def _is_legal(name: str, value: object) -> bool:
    if any(value is choice or (isinstance(value, str) and value == choice)
           for choice in CHOICES[name]):  # fmt: skip
        return True
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float in CHOICES[name] and number and isfinite(value)  # type: ignore[arg-type]


def _spell(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def _choices_text(name: str) -> str:
    return ", ".join("a number" if c is float else _spell(c) for c in CHOICES[name])


_NIR_LITERAL = Dialect(
    decay="euler",
    input_gain="r*dt/tau",
    synapse_order="decay-add-use",
    compare="gt",
    reset="value",
    reset_time="same",
    reset_delay=True,
    v_reset="graph",
    v_min="none",
    multi_spike=False,
    output_lag=False,
    decay_input="none",
    norm_input=False,
    bias_at_t0=True,
    state="clear",
    preset="nir-literal",
)

PRESETS: dict[str, Dialect] = {
    "nir-literal": _NIR_LITERAL,
    "snntorch-subtract": replace(
        _NIR_LITERAL, reset="subtract", reset_time="snntorch", preset="snntorch-subtract"
    ),
    "snntorch-zero": replace(
        _NIR_LITERAL, reset="zero", reset_time="snntorch", preset="snntorch-zero"
    ),
    "norse": replace(
        _NIR_LITERAL,
        input_gain="dt/tau",
        synapse_order="norse",
        bias_at_t0=False,
        preset="norse",
    ),
    "sinabs": replace(
        _NIR_LITERAL,
        decay="exp",
        input_gain="one",
        synapse_order="add-decay-use",
        compare="ge",
        reset="subtract",
        multi_spike=True,
        norm_input="lif",
        bias_at_t0=False,
        preset="sinabs",
    ),
    "spikingjelly": replace(
        _NIR_LITERAL, input_gain="one", compare="ge", decay_input=True, preset="spikingjelly"
    ),
    "rockpool": replace(
        _NIR_LITERAL,
        decay="exp",
        input_gain="li-decay",
        synapse_order="add-decay-use",
        compare="ge",
        reset="subtract",
        multi_spike=True,
        bias_at_t0="never",
        state="carry",
        preset="rockpool",
    ),
    "spyx": replace(
        _NIR_LITERAL,
        input_gain="one",
        reset="subtract",
        reset_time="spyx",
        output_lag=True,
        preset="spyx",
    ),
    "lava-dl": replace(
        _NIR_LITERAL,
        decay="round12",
        input_gain="one",
        reset="zero",
        bias_at_t0="never",
        preset="lava-dl",
    ),
}
"""Each framework's defaults, as values of the same fields."""

ALIASES: dict[str, str] = {
    "snntorch": "snntorch-subtract",
    "nir": "nir-literal",
    "lava": "lava-dl",
}
"""Bare framework names. `norse`, `sinabs`, `spikingjelly`, `rockpool` and `spyx` are presets."""

_DEFAULT_DT: dict[str, float] = {
    "nir-literal": 1e-4,
    "snntorch-subtract": 1e-4,
    "snntorch-zero": 1e-4,
    "norse": 1e-3,
    "sinabs": 1.0,
    "spikingjelly": 1e-4,
    "rockpool": 1e-3,
    "spyx": 1.0,
    "lava-dl": 1e-4,
}


def _parse_value(name: str, text: str) -> Any:
    """The value that `text` spells for a field; raises ValueError where it is none."""
    for choice in CHOICES[name]:
        if choice is not float and text.lower() == _spell(choice):
            return choice
    if float in CHOICES[name]:
        value = float(text)
        if isfinite(value):
            return value
    raise ValueError(text)


def describe_dialects() -> str:
    """All presets, as changes to `nir-literal`, and all fields with their values."""
    literal = next(iter(PRESETS))
    lines = ["presets, each as changes to nir-literal:"]
    for name, preset in PRESETS.items():
        changes = [f"{n}={_spell(v)}" for n, v in preset.overrides(literal).items()]
        also = "".join(f", alias {a}" for a, target in ALIASES.items() if target == name)
        lines.append(f"  {name}{also}: dt {preset.default_dt:g}; {', '.join(changes) or 'itself'}")
    lines.append("fields, the value of nir-literal first:")
    for name in FIELDS:
        first = _spell(getattr(PRESETS[literal], name))
        others = [c for c in _choices_text(name).split(", ") if c != first]
        lines.append(f"  {name}: {', '.join([first, *others])}")
    return "\n".join(lines)


def _suggest(word: str, words: list[str]) -> str:
    close = get_close_matches(word, words, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def parse_dialect(text: str) -> Dialect:
    """Reads `PRESET[,field=value…]`, the spelling of the command line and of configs.

    Raises `InputError` with every problem found; each lists the choices.
    """
    head, *settings = [part.strip() for part in text.split(",")]
    names = [*PRESETS, *ALIASES]
    problems: list[str] = []
    preset = ALIASES.get(head.lower(), head.lower())
    if preset not in PRESETS:
        problems.append(
            f"dialect {text!r}: {head!r} is not a preset{_suggest(head, names)}; "
            f"the presets are {', '.join(PRESETS)}"
        )
    changes: dict[str, Any] = {}
    for setting in settings:
        name, equals, value = (part.strip() for part in setting.partition("="))
        if not equals:
            problems.append(f"dialect {text!r}: {setting!r} is not of the form field=value")
        elif name not in FIELDS:
            problems.append(
                f"dialect {text!r}: {name!r} is not a field{_suggest(name, list(FIELDS))}; "
                f"the fields are {', '.join(FIELDS)}"
            )
        elif name in changes:
            problems.append(f"dialect {text!r}: field {name} is given twice")
        else:
            try:
                changes[name] = _parse_value(name, value)
            except ValueError:
                problems.append(
                    f"dialect {text!r}: {name} = {value!r} is not one of {_choices_text(name)}"
                )
    if problems:
        raise InputError(problems)
    return replace(PRESETS[preset], **changes)
