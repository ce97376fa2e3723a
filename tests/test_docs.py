# SPDX-License-Identifier: Apache-2.0
"""The documentation runs: its code blocks, its command lines, its tables.

A page's fenced blocks, in order and in one folder: `python` runs; `bash` runs line by line, with
spikefab's own lines in this process; `toml` and `verilog` are written to the file that their first
line names; a `text` block behind one that ran must be found in what that printed, line by line, in
order, `…` standing for anything. A comment before a block says otherwise:
`<!-- slow -->`, `<!-- slow: build run -->` (those commands only), `<!-- not run: why -->`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_layering

from spikefab.gen.config import read_config
from spikefab.gen.cost import predict_cycles
from spikefab.gen.dialect import PRESETS, parse_dialect
from spikefab.gen.errors import InputError
from spikefab.gen.qnetwork import QInput, QLayer, QNetwork, QOutput, dense_edge
from spikefab.hdl.params import CoreParams, LayerParams, NeuronParams, SynapseParams
from spikefab.hdl.shiftadd import leak_of
from spikefab.hdl.timing import NeuronTiming
from spikefab.scripts.main import COMMANDS, _parser, main
from spikefab.sim.golden import run_golden

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(
    str(page.relative_to(ROOT))
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md")]
)

FENCE = re.compile(
    r"(?:<!-- (?P<mark>[^>]*) -->\n)?^```(?P<language>\w+)\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    body: str
    mark: str
    line: int

    @property
    def never(self) -> bool:
        return self.mark.startswith("not run: ")

    def runs(self, command: str, slow: bool) -> bool:
        """Whether a command of the block runs in this set."""
        if self.never:
            return False
        if slow or not self.mark.startswith("slow"):
            return True
        named = self.mark.removeprefix("slow").lstrip(":").split()
        return bool(named) and command not in named


def text_of(page: str) -> str:
    return (ROOT / page).read_text()


def blocks(page: str) -> list[Block]:
    text = text_of(page)
    return [
        Block(m["language"], m["body"], m["mark"] or "", text.count("\n", 0, m.start()) + 1)
        for m in FENCE.finditer(text)
    ]


def command_lines(page: str) -> list[str]:
    """Whole lines that are a spikefab command, in fenced and in indented blocks."""
    text = text_of(page)
    indented = [line[4:] for line in text.splitlines() if line.startswith("    ")]
    fenced = [line for m in FENCE.finditer(text) for line in m["body"].splitlines()]
    return [line.split("  ")[0] for line in fenced + indented if line.startswith("spikefab ")]


@contextlib.contextmanager
def captured() -> Iterator[io.StringIO]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            yield out
        except BaseException:
            sys.__stderr__.write(out.getvalue() + err.getvalue())
            raise


def run_line(line: str) -> str:
    """One line of a shell block; what it printed."""
    if line.startswith("spikefab "):
        with captured() as out:
            assert main(shlex.split(line)[1:]) == 0, line
        return out.getvalue()
    # The programs of this environment, installed or not.
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    environment = os.environ | {"PATH": path}
    done = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, env=environment, timeout=900
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def expect(text: str, printed: str, where: str) -> None:
    """Every line of `text` is in `printed`, in order; `…` stands for anything."""
    lines = iter(" ".join(line.split()) for line in printed.splitlines())
    for wanted in filter(None, (" ".join(line.split()) for line in text.splitlines())):
        pattern = ".*".join(re.escape(part) for part in wanted.split("…"))
        assert any(re.fullmatch(pattern, line) for line in lines), (
            f"{where}: {wanted!r} is not in\n{printed}"
        )


def run_page(page: str, *, slow: bool = False, names: dict[str, Any] | None = None) -> None:
    """Runs a page in the current folder."""
    names = {"__name__": "docs"} if names is None else names
    printed: str | None = None
    for block in blocks(page):
        where = f"{page}:{block.line}"
        if block.language == "text":
            if printed is not None:
                expect(block.body, printed, where)
        elif block.language == "python":
            printed = None
            if block.runs("python", slow):
                with captured() as out:
                    exec(compile(block.body, where, "exec"), names)
                printed = out.getvalue()
        elif block.language == "bash":
            shown = []
            for line in block.body.splitlines():
                words = line.split()
                command = words[1] if words[:1] == ["spikefab"] else words[0] if words else ""
                if command and block.runs(command, slow):
                    shown.append(run_line(line))
            printed = "".join(shown) if shown else None
        elif block.language in ("toml", "verilog") and not block.never:
            name = re.match(r"(?:#|//) (\S+\.(?:toml|v))\n", block.body)
            assert name, f"{where}: the first line of a {block.language} block names its file"
            Path(name[1]).write_text(block.body)


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the tutorial has run, but for its slow blocks."""
    folder = tmp_path_factory.mktemp("tutorial")
    with contextlib.chdir(folder):
        run_page("docs/tutorial.md")
    for other, name in (
        ("net.nir", "bars.nir"),
        ("digits.npz", "test.npz"),
        ("train.npz", "test.npz"),
    ):
        (folder / other).write_bytes((folder / name).read_bytes())
    return folder


def test_tutorial(tutorial: Path) -> None:
    """The fixture ran it; the design that it leaves is there."""
    made = {path.name for path in (tutorial / "build" / "bars").iterdir()}
    table = re.findall(r"^\| `([\w.]+)", text_of("docs/tutorial.md"), re.MULTILINE)
    assert {"design.v", "manifest.json", "constraints.lpf", "network.npz"} <= set(table) <= made


@pytest.mark.slow
def test_tutorial_with_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_page("docs/tutorial.md", slow=True)


def readme(slow: bool) -> None:
    own_network = text_of("README.md").index("### Your own network")
    wanted = text_of("README.md").count("\n", 0, own_network)
    ran = 0
    for block in blocks("README.md"):
        for line in block.body.splitlines():
            command = line.split()[1] if line.startswith("spikefab ") else ""
            if block.line > wanted and command and block.runs(command, slow):
                run_line(line)
                ran += 1
    assert ran == (5 if slow else 3)


def test_readme(tutorial: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tutorial)
    readme(slow=False)


@pytest.mark.slow
def test_readme_with_tools(tutorial: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tutorial)
    readme(slow=True)


def test_readme_scripts() -> None:
    """The two commands that it begins with are programs, and its extras exist."""
    text = text_of("README.md")
    for script in ("scripts/demo", "scripts/test"):
        assert f"\n./{script}\n" in text
        assert os.access(ROOT / script, os.X_OK)
    project = (ROOT / "pyproject.toml").read_text()
    for extra in re.findall(r"'\.\[(\w+)\]'", text):
        assert re.search(rf"^{extra} = \[", project, re.MULTILINE), extra


@pytest.mark.parametrize("page", ["docs/theory.md", "docs/architecture.md"])
def test_page_runs(page: str, tutorial: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tutorial)
    run_page(page)


def test_input_coding_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_page("docs/input-coding.md")


def test_config_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its example compiles; its refusals are what is said."""
    monkeypatch.chdir(tmp_path)
    run_page("docs/config.md")
    (command,) = command_lines("docs/config.md")
    run_line(command)
    text = Path("digits.toml").read_text()
    np.savez("weights.npz", fc2=np.zeros((32, 10)))
    bad = text.replace("beta = 0.9", "beeta = 0.9").replace("threshold = 1.0", "threshold = -1")
    bad = re.sub(
        r'weights = \{ seed = 2.*\}', 'weights = { file = "weights.npz", key = "fc2" }', bad
    )  # fmt: skip
    Path("digits.toml").write_text(bad)
    with pytest.raises(InputError) as refused:
        read_config(Path("digits.toml"))
    shown = re.findall(r"^    (digits\.toml: .*)$", text_of("docs/config.md"), re.MULTILINE)
    assert len(shown) == 3
    for line in shown:
        pattern = ".*".join(re.escape(part) for part in line.split("…"))
        assert any(re.fullmatch(pattern, p) for p in refused.value.problems), (
            f"{line!r} is not in\n" + "\n".join(refused.value.problems)
        )


def test_dialects_page(tutorial: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commands run, and what it tells a user to say is a dialect."""
    monkeypatch.chdir(tutorial)
    for line in command_lines("docs/dialects.md"):
        run_line(line)
    text = text_of("docs/dialects.md")
    said = re.findall(r"`((?:" + "|".join(PRESETS) + r")(?:,\w+=[\w.-]+)*)`", text)
    assert set(PRESETS) <= set(said)
    for dialect in said:
        parse_dialect(dialect)


def table(text: str, heading: str) -> list[list[str]]:
    """The rows of the first table behind `heading`, without its rule."""
    rows = text[text.index(heading) :].split("\n\n|", 1)[1].split("\n\n")[0].splitlines()
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return [row for row in cells if not set("".join(row)) <= set("-: ")]


def golden_leak(v: int, num: int, shift: int, rounding: Any) -> int:
    """What the golden model makes of a membrane in a step without input."""
    neuron = NeuronParams(
        n=1, spiking=False, reset="none", fraction_bits=0, membrane_width=8, v_init=(v,),
        leak_num=(num,), leak_shift=shift, leak_rounding=rounding,
    )  # fmt: skip
    layer = QLayer(
        name="one",
        edges=(dense_edge("i", np.zeros((1, 1))),),
        synapse=SynapseParams(n_in=1, n_out=1, weight_width=2, acc_min=0, acc_max=0),
        neuron=neuron,
        scale=np.ones(1),
    )
    qnet = QNetwork(
        name="one", inputs=(QInput(name="i", shape=(1,)),), layers=(layer,),
        outputs=(QOutput(name="o", source="one"),),
    )  # fmt: skip
    return int(run_golden(qnet, np.zeros((1, 1, 1), np.uint8)).mem["one"][0, 0, 0])


def test_leak_table_of_the_contract() -> None:
    """Both implementations give the page's numbers, and rest where it says that they do."""
    text = text_of("docs/numeric-contract.md")
    num, shift = map(int, re.findall(r"For num = (\d+), shift = (\d+)", text)[0])
    formulas = {row[0].strip("`") for row in table(text, "## The leak")}
    rows = table(text, "For num =")
    numbers = [[cell.replace("−", "-") for cell in row] for row in rows]
    membranes = [int(cell) for cell in numbers[0][1:]]
    assert [float(cell) for cell in numbers[1][1:]] == [v * num / 2**shift for v in membranes]
    assert len(numbers) == 5
    sentence = " ".join(text[text.index("*quiescent*") :].split()).replace("−", "-")
    said_to_rest = {
        name: [int(v) for v in re.findall(r"-?\d+", values)]
        for values, name in re.findall(r"([-\d, and]+) \(`([\w-]+)`", sentence)
    }
    for name, *values in numbers[2:]:
        rounding: Any = name.strip("`")
        assert rounding in formulas
        p = NeuronParams(
            n=1, fraction_bits=0, membrane_width=8, leak_num=(num,), leak_shift=shift,
            leak_rounding=rounding,
        )  # fmt: skip
        assert [leak_of(v, num, p) for v in membranes] == [int(cell) for cell in values]
        assert [golden_leak(v, num, shift, rounding) for v in membranes] == [
            int(cell) for cell in values
        ]
        rest = [v for v in membranes if leak_of(v, num, p) == v]
        assert said_to_rest[rounding] == rest


@pytest.mark.parametrize(("n", "lanes"), [(1, 1), (8, 8), (8, 2), (10, 4), (40, 20), (33, 4)])
def test_latency_of_the_theory(n: int, lanes: int) -> None:
    """The page's sum from a step's token to its output token, where nothing spikes."""
    layer = LayerParams(
        name="one",
        synapse=SynapseParams(n_in=16, n_out=n, weight_width=4, acc_min=-128, acc_max=112),
        neuron=NeuronParams(n=n, fraction_bits=4, membrane_width=14, threshold=(100,)),
        lanes=lanes,
    )
    x = np.zeros((1, 1, 16), int)
    x[0, 0, :5] = 1
    cycles = predict_cycles(CoreParams(layers=(layer,)), x, [np.zeros((1, 1, n), int)]).cycles[0]
    groups = -(-n // lanes)
    output = NeuronTiming(layer.neuron, groups).output
    queue = 1 if 2 * groups <= 4 else 2
    assert cycles == 5 * groups + 3 + output + (groups - 1) + queue + 2 + 3 * (lanes > 8)


def test_architecture_has_the_layering() -> None:
    """The page's table names the packages that the layering test allows."""
    rooms = table(text_of("docs/architecture.md"), "## The rooms")
    rows = {row[0].strip("`"): row[3] for row in rooms}
    for room, names in test_layering.ALLOWED.items():
        if "spikefab" in names:
            assert rows[room] == "everything"
            continue
        own = "spikefab." + {"firmware/host": "host"}.get(room, room)
        said = set(re.findall(r"[\w.]+", rows[room]))
        for name in names - {own}:
            general = name.startswith("spikefab.gen.") and "spikefab.gen" in said
            assert name in said or general, f"{room} may import {name}"
        assert {word for word in said if word in ("torch", "amaranth", "serial")} <= names


def subparsers() -> dict[str, argparse.ArgumentParser]:
    (action,) = [a for a in _parser()._actions if isinstance(a, argparse._SubParsersAction)]
    return dict(action.choices)


def flags_of(parser: argparse.ArgumentParser) -> set[str]:
    return {flag for action in parser._actions for flag in action.option_strings}


@pytest.mark.parametrize("page", PAGES)
def test_command_lines_parse(page: str) -> None:
    for line in command_lines(page):
        status: object = 0
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                _parser().parse_args(shlex.split(line, comments=True)[1:])
        except SystemExit as end:  # --help and --version end with 0
            status = end.code
        assert status == 0, f"{page}: {line}"


OTHER_TOOLS = {
    "--slow",  # ./scripts/test
    "--detect",  # openFPGALoader
    "--lint-only",  # Verilator
}


def example_flags() -> set[str]:
    """Of the scripts in examples/."""
    sources = [path.read_text() for path in sorted((ROOT / "examples").glob("*.py"))]
    return {flag for source in sources for flag in re.findall(r'"(--[a-z][a-z-]+)"', source)}


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_flags_in_prose_exist(page: str) -> None:
    prose = FENCE.sub("", text_of(page))
    every = set().union(*(flags_of(parser) for parser in subparsers().values()))
    every |= flags_of(_parser()) | OTHER_TOOLS | example_flags()
    for code in re.findall(r"(?<!`)`([^`]+)`(?!`)", prose):
        words = code.split()
        known = every
        if words[:1] == ["spikefab"] and len(words) > 1:
            if not words[1].startswith("-"):
                assert words[1] in COMMANDS or words[1].isupper(), f"{page}: `{code}`"
            if words[1] in COMMANDS:
                known = flags_of(subparsers()[words[1]])
        elif len(words) > 1 and not code.startswith("-") and words[0] not in COMMANDS:
            continue  # another program's line
        for word in words:
            flag = word.split("=")[0].rstrip(",;)")
            if re.fullmatch(r"--[a-z][a-z-]+", flag):
                assert flag in known, f"{page}: `{code}`: no {flag}"


def test_every_command_is_taught() -> None:
    """A user meets each command on the README or in the tutorial."""
    text = text_of("README.md") + text_of("docs/tutorial.md")
    missing = [name for name in COMMANDS if not re.search(rf"(spikefab |scripts/){name}\b", text)]
    assert not missing


def test_index_names_every_page() -> None:
    index = text_of("docs/README.md")
    pages = [p.removeprefix("docs/") for p in PAGES if p.startswith("docs/")]
    assert not [page for page in pages if page != "README.md" and f"({page})" not in index]
