# SPDX-License-Identifier: Apache-2.0
"""Dialects: presets, spelling, and what is refused."""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikefab.gen.dialect import (
    ALIASES,
    CHOICES,
    FIELDS,
    PRESETS,
    Dialect,
    describe_dialects,
    parse_dialect,
)
from spikefab.gen.errors import InputError


def test_presets_and_fields_are_spelt_as_designed() -> None:
    assert list(PRESETS) == [
        "nir-literal", "snntorch-subtract", "snntorch-zero", "norse", "sinabs", "spikingjelly",
        "rockpool", "spyx", "lava-dl",
    ]  # fmt: skip
    assert FIELDS == (
        "decay", "input_gain", "synapse_order", "compare", "reset", "reset_time", "reset_delay",
        "v_reset", "v_min", "multi_spike", "output_lag", "decay_input", "norm_input", "bias_at_t0",
        "state",
    )  # fmt: skip
    assert set(CHOICES) == set(FIELDS)


@pytest.mark.parametrize("name", [*PRESETS, *ALIASES])
def test_names_read_and_write(name: str) -> None:
    dialect = parse_dialect(name)
    assert dialect == PRESETS[ALIASES.get(name, name)]
    assert str(dialect) == ALIASES.get(name, name)


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("snntorch-subtract", {"compare": "gt", "reset": "subtract", "reset_delay": True,
                               "reset_time": "snntorch"}),
        ("snntorch-zero", {"reset": "zero", "reset_time": "snntorch"}),
        ("norse", {"compare": "gt", "reset": "value", "reset_time": "same"}),
        ("sinabs", {"compare": "ge", "multi_spike": True, "decay": "exp", "v_min": "none"}),
        ("spikingjelly", {"compare": "ge", "decay_input": True, "reset": "value"}),
        ("rockpool", {"state": "carry", "multi_spike": True}),
        ("spyx", {"output_lag": True, "reset": "subtract"}),
        ("lava-dl", {"decay": "round12", "bias_at_t0": "never"}),
    ],
)  # fmt: skip
def test_presets_say_what_the_frameworks_do(preset: str, expected: dict[str, Any]) -> None:
    assert {name: getattr(PRESETS[preset], name) for name in expected} == expected


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("snntorch", "snntorch-subtract"),
        ("nir", "nir-literal"),
        (" sinabs , v_min = -1.5 ", "sinabs,v_min=-1.5"),
        ("norse,reset=value", "norse"),
        ("snntorch,reset=zero", "snntorch-zero"),
        (
            "snntorch,reset=zero,reset_time=next-before-leak",
            "snntorch-zero,reset_time=next-before-leak",
        ),
        ("rockpool,state=clear", "rockpool,state=clear"),
        ("Norse,v_reset=0.1", "norse,v_reset=0.1"),
        ("sinabs,v_min=0.30000000000000004", "sinabs,v_min=0.30000000000000004"),
    ],
)
def test_shortest_spelling(text: str, short: str) -> None:
    assert str(parse_dialect(text)) == short
    assert parse_dialect(short) == parse_dialect(text)


@st.composite
def dialects(draw: st.DrawFn) -> Dialect:
    """Any legal dialect that starts from any preset."""
    base = PRESETS[draw(st.sampled_from(list(PRESETS)))]
    number = st.floats(allow_nan=False, allow_infinity=False)
    for name in draw(st.lists(st.sampled_from(FIELDS), unique=True)):
        choice = draw(st.sampled_from(CHOICES[name]))
        value: Any = draw(number) if choice is float else choice
        try:
            changed: Any = {name: value}
            base = replace(base, **changed)
        except InputError:
            continue  # a combination that the class refuses
    return base


@settings(derandomize=True)
@given(dialects())
def test_every_dialect_reads_back(dialect: Dialect) -> None:
    again = parse_dialect(str(dialect))
    assert again == dialect
    assert again.default_dt == dialect.default_dt
    assert str(again) == str(dialect)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("snntorh", r"'snntorh' is not a preset \(did you mean 'snntorch'\?\); the presets are"),
        ("", r"'' is not a preset; the presets are nir-literal, snntorch-subtract"),
        ("norse,compar=ge", r"'compar' is not a field \(did you mean 'compare'\?\)"),
        ("norse,compare=>", r"compare = '>' is not one of gt, ge"),
        ("norse,reset", r"'reset' is not of the form field=value"),
        ("norse,reset=zero,reset=zero", r"field reset is given twice"),
        ("sinabs,v_min=low", r"v_min = 'low' is not one of none, -threshold, -threshold-if, a "),
        ("sinabs,v_min=nan", r"v_min = 'nan' is not one of"),
        ("norse,v_reset=inf", r"v_reset = 'inf' is not one of graph, a number"),
        ("spyx,output_lag=1", r"output_lag = '1' is not one of true, false"),
        ("sinabs,reset_time=next-after-leak", r"multi_spike: true needs reset_time=same"),
        ("spyx,reset=value,reset_delay=false", r"reset_delay: false needs reset=subtract or "),
        ("sinabs,input_gain=dt/tau", r"norm_input: lif needs input_gain=one"),
        ("norse,decay_input=true", r"decay_input: true needs input_gain=one, not dt/tau"),
        ("norse,preset=x", r"'preset' is not a field"),
    ],
)  # fmt: skip
def test_refusals_list_the_choices(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_dialect(text)


def test_all_problems_at_once() -> None:
    with pytest.raises(InputError) as caught:
        parse_dialect("nors,reset=foo,bar=1")
    assert len(caught.value.problems) == 3


def test_wrong_values_from_code_are_refused() -> None:
    with pytest.raises(InputError, match=re.escape("multi_spike: 1 is not one of true, false")):
        replace(PRESETS["norse"], multi_spike=1)  # type: ignore[arg-type]
    with pytest.raises(FrozenInstanceError):
        PRESETS["norse"].reset = "zero"  # type: ignore[misc]


def test_snntorch_correction() -> None:
    assert parse_dialect("snntorch,reset_delay=false").reset_correction
    assert parse_dialect("snntorch-zero,reset_delay=false").reset_correction
    assert not parse_dialect("snntorch").reset_correction
    assert not parse_dialect("norse,reset_delay=false").reset_correction


def test_description_names_everything() -> None:
    text = describe_dialects()
    for name in [*PRESETS, *ALIASES, *FIELDS]:
        assert name in text
    assert "norse: dt 0.001; input_gain=dt/tau" in text
    assert "v_min: none, -threshold, -threshold-if, a number" in text
