# SPDX-License-Identifier: Apache-2.0
"""The report: one page that stands alone, shows what it is given and nothing that it is not."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikefab.gen.errors import InputError
from spikefab.scripts.htmlreport import page, write_report
from spikefab.scripts.reportdata import (
    BitSweep,
    Difference,
    Figures,
    LayerInfo,
    LinkInfo,
    Raster,
    ReportData,
    Resource,
    Trace,
    WeightChange,
)

VOID = {"meta", "br", "hr", "img", "input", "link"}
LOADS = {"script", "img", "link", "iframe", "object", "embed", "video", "audio", "source", "image"}


class Checker(HTMLParser):
    """Follows every tag: what is open, what is wrong, what is there."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.problems: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.headings: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open[-1] != tag:
            self.problems.append(f"</{tag}> while {self.open[-1:]} is open")
        else:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data
        if self.open[-1:] == ["h2"]:
            self.headings.append(data)


def parse(text: str) -> Checker:
    checker = Checker()
    checker.feed(text)
    checker.close()
    return checker


def full() -> ReportData:
    rng = np.random.default_rng(3)
    weights = rng.normal(size=(6, 12))
    rows = [("in <put>", rng.integers(0, 2, (8, 12))), ("hidden", rng.integers(0, 2, (8, 40)))]
    membrane = rng.normal(size=8)
    return ReportData(
        name="net <b>&",
        hash="0123456789abcdef0123456789abcdef",
        target="ULX3S-85F",
        version="9.8.7",
        summary="A sentence & more.",
        figures=Figures(
            accuracy_float=0.9812,
            accuracy_integer=0.9784,
            accuracy_board=0.975,
            samples=364,
            samples_board=200,
            input_spikes=102.13,
            layer_spikes=41.9,
            cycles_predicted=1234.5,
            cycles_measured=1234.5,
            interval_cycles=1000.0,
            fmax_mhz=100.0,
            fmax_mhz_seeds=(99.0, 100.0, 101.5),
            clock_mhz=80.0,
        ),
        input=("in <put>", 12),
        layers=[LayerInfo(name="hidden", neurons=40, lanes=8, weight_bits=5, note="leak 7/8")],
        raster=Raster(title="sample 5", rows=rows),
        traces=[
            Trace(
                name="hidden 3",
                threshold=1.0,
                integer=membrane,
                reference=membrane + 0.1,
                spikes=membrane > 1,
            ),
            Trace(name="hidden 4", threshold=1.0, integer=np.zeros(8)),
        ],
        weights=[
            WeightChange(name="hidden", before=weights, after=np.round(weights * 4) / 4, bits=5)
        ],
        resources=[
            Resource(name="LUT4", used=2345, available=24288),
            Resource(name="DSP", used=0, available=28),
            Resource(name="Block RAM", used=60, available=56),
        ],
        bit_sweep=BitSweep(
            bits=[8, 4, 2], accuracy=[0.981, 0.977, 0.631], accuracy_float=0.9812, chosen=4
        ),
        confusion=np.array([[77, 3], [0, 88]]),
        class_names=("cat", "dog"),
        differences=[
            Difference(
                name="hidden",
                spikes_float=5100,
                spikes_integer=5099,
                differing=31,
                neuron_steps=10000,
                samples_differing=9,
                samples=364,
                largest_membrane=0.0625,
                share_by_step=[0.0, 0.25, 0.125],
            )
        ],
        notes=["dt = 0.0001 s"],
    )


def graph() -> ReportData:
    """A branch, a join, a loop, a way back, a delay; an output under two names."""
    layers = [
        LayerInfo(name=name, neurons=n, lanes=2, weight_bits=4)
        for name, n in (("hid<den", 1200), ("side", 7), ("context", 20), ("classes", 3))
    ]
    links = [
        LinkInfo(source="hid<den", target="hid<den", recurrent=True),
        LinkInfo(source="context", target="hid<den", recurrent=True),
        LinkInfo(source="ears", target="hid<den"),
        LinkInfo(source="ears", target="side"),
        LinkInfo(source="eyes", target="side", note="0…3 late"),
        LinkInfo(source="hid<den", target="context"),
        LinkInfo(source="side", target="context"),
        LinkInfo(source="context", target="classes"),
        LinkInfo(source="eyes", target="classes"),
    ]
    return ReportData(
        name="graph",
        inputs=[("ears", 64), ("eyes", 9)],
        layers=layers,
        links=links,
        outputs=[("a", "classes"), ("again", "classes"), ("b", "side")],
    )


SECTIONS = {
    "figures": "Figures",
    "layers": "Network",
    "raster": "Spikes of one sample",
    "traces": "Membranes",
    "weights": "Weights",
    "bit_sweep": "Accuracy against weight bits",
    "resources": "Resources",
    "confusion": "Answers",
    "differences": "What rounding changed",
    "notes": "Notes",
}


@pytest.mark.parametrize(
    "data", [full(), graph(), ReportData(name="bare")], ids=["full", "graph", "bare"]
)
def test_page_is_well_formed_and_stands_alone(data: ReportData) -> None:
    text = page(data)
    checker = parse(text)
    assert checker.problems == []
    assert checker.open == []
    assert not LOADS & set(checker.tags)
    assert not {name for name, _ in checker.attributes} & {"src", "href", "srcset", "xlink:href"}
    assert not [name for name, _ in checker.attributes if name.startswith("on")]
    assert "http" not in text
    assert "url(" not in text
    assert "@import" not in text
    assert not re.search(r'="[^"]*\bnan\b', text)


def test_a_graph_is_drawn_with_an_arrow_a_link() -> None:
    data = graph()
    text = page(data)
    checker = parse(text)
    assert checker.headings == ["Network"]
    assert text.count('class="link"') == text.count('class="head"') == 7
    assert text.count('class="link back"') == text.count('class="head back"') == 2
    for link in data.links:
        assert f"{link.source} to {link.target}" in checker.text
    for words in (
        "context to hid<den, a step later",
        "eyes to side, 0…3 late",
        "1,200 neurons",
        "4-bit weights, 2 lanes",
        "read as a, again",
        "read as b",
        "Dashed: what a population puts out acts a step later. Late: a connection's delay",
    ):
        assert words in checker.text
    plain = [dataclasses.replace(k, note="") for k in data.links if not k.recurrent]
    less = parse(page(dataclasses.replace(data, links=plain))).text
    assert "Dashed" not in less
    assert "Late" not in less


def test_differences_are_drawn_over_steps() -> None:
    assert "Differences of hidden in each step" in page(full())
    silent = dataclasses.replace(full().differences[0], share_by_step=[0.0, 0.0])
    assert "in each step" not in page(dataclasses.replace(full(), differences=[silent]))


def test_numbers_appear() -> None:
    text = parse(page(full())).text
    for expected in (
        "0123456789abcdef0123456789abcdef",
        "ULX3S-85F",
        "9.8.7",
        "98.12 %",
        "97.84 %",
        "\u22120.28 points",
        "97.50 %",
        "364 samples",
        "200 samples",
        "102.1",
        "1,234.5",
        "12.35 µs",  # 1234.5 cycles at 100 MHz
        "100,000",  # a thousand cycles apart at 100 MHz
        "median of 99.0, 100.0, 101.5",
        "2,345 of 24,288",
        "9.7 %",
        "5-bit weights",
        "8 lanes",
        "165 of 168 answers are right",
        "31 (0.31 %)",
        "0.062 thresholds",
        "63.1",
        "dt = 0.0001 s",
    ):
        assert expected in text, expected


@pytest.mark.parametrize(
    ("bits", "ternary", "name"), [(1, False, "binary"), (2, True, "ternary"), (2, False, "2-bit")]
)
def test_weights_are_called_by_their_name(bits: int, ternary: bool, name: str) -> None:
    data = full()
    layer = dataclasses.replace(data.layers[0], weight_bits=bits, ternary=ternary)
    change = dataclasses.replace(data.weights[0], bits=bits, ternary=ternary)
    text = page(dataclasses.replace(data, layers=[layer], weights=[change]))
    for other in ("binary", "ternary", "2-bit weights"):
        assert (other in text) == other.startswith(name), other
    assert f"{'2 bits' if name == '2-bit' else name}, " in text


def test_user_text_is_escaped() -> None:
    text = page(full())
    assert "net &lt;b&gt;&amp;" in text
    assert "net <b>" not in text
    assert "in <put>" not in text
    assert "net <b>&" in parse(text).text


def test_all_sections_in_order() -> None:
    assert parse(page(full())).headings == list(SECTIONS.values())


@pytest.mark.parametrize("field", SECTIONS)
def test_absent_section_leaves_no_trace(field: str) -> None:
    empty: Any = () if isinstance(getattr(full(), field), list) else None
    text = page(dataclasses.replace(full(), **{field: empty}))
    checker = parse(text)
    assert checker.headings == [title for key, title in SECTIONS.items() if key != field]
    assert checker.problems == []
    assert "None" not in checker.text


def test_bare_page_has_a_title_and_no_section() -> None:
    checker = parse(page(ReportData(name="bare")))
    assert checker.headings == []
    assert "section" not in checker.tags
    assert "svg" not in checker.tags
    assert "bare" in checker.text


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(Figures)])
def test_each_figure_may_be_absent(field: str) -> None:
    figures = full().figures
    assert figures is not None
    default: Any = getattr(Figures(), field)
    less = dataclasses.replace(figures, **{field: default})
    checker = parse(page(dataclasses.replace(full(), figures=less)))
    assert checker.problems == []
    assert "None" not in checker.text


def test_raster_draws_a_mark_for_each_spike() -> None:
    spikes = np.zeros((5, 20), dtype=np.int16)
    spikes[1, 3] = spikes[4, 19] = spikes[2, 0] = 1
    data = ReportData(name="n", raster=Raster(title="s", rows=[("in", spikes)]))
    marks = re.search(r'<path d="([^"]*)" class="spike"/>', page(data))
    assert marks is not None
    assert marks[1].count("z") == 3
    empty = ReportData(name="n", raster=Raster(title="s", rows=[("in", spikes * 0)]))
    assert 'class="spike"' not in page(empty)
    assert "0 spikes" in page(empty)


def test_meter_is_as_long_as_the_share_and_red_when_over() -> None:
    half = page(ReportData(name="n", resources=[Resource(name="RAM", used=28, available=56)]))
    assert 'width="150" height="12" class="meter"' in half
    over = page(ReportData(name="n", resources=[Resource(name="RAM", used=57, available=56)]))
    assert 'width="300" height="12" class="over"' in over


def test_predicted_cycles_stand_in_for_measured_ones() -> None:
    figures = Figures(cycles_predicted=500.0, fmax_mhz=50.0)
    text = parse(page(ReportData(name="n", figures=figures))).text
    assert "10.00 µs" in text
    assert "predicted by the cost model" in text
    assert "counted in simulation" not in text


def test_confusion_must_be_square() -> None:
    with pytest.raises(InputError, match=r"confusion has shape \(2, 3\): must be square"):
        page(ReportData(name="n", confusion=np.zeros((2, 3), dtype=int)))


def test_same_data_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.html", "b.html"):
        write_report(tmp_path / name, full())
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.html", "b.html"]


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="choose a folder that can be written"):
        write_report(tmp_path / "none" / "report.html", full())


def test_failed_write_keeps_the_old_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("spikefab.scripts.files.os.replace", full_disk)
    with pytest.raises(InputError, match="No space left"):
        write_report(path, full())
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
