# SPDX-License-Identifier: Apache-2.0
"""The harness on cores whose every clock edge is known; whole designs against the golden model."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from designs import make_design, make_network, make_samples

from spikefab.gen.errors import InputError
from spikefab.sim.core_program import Core, build_core
from spikefab.sim.core_run import SimulationError, run_core
from spikefab.sim.golden import run_golden
from spikefab.sim.rtl import simulate_rtl

ECHO = Core(n_inputs=8, n_outputs=8)


def echo(before: str = "", out: str = "data", valid: str = "full", ready: str = "1'b1") -> str:
    """A core that hands on each item one clock edge later, with places to break it."""
    return f"""
module spikefab_core(input clk, input rst, input [4:0] i__payload, input i__valid,
        output i__ready, output [4:0] o__payload, output o__valid, input o__ready);
    reg full; reg [4:0] data; reg [7:0] count; wire move = i__valid & i__ready;
    assign i__ready = (~full | o__ready) & {ready};
    assign o__valid = {valid};
    assign o__payload = {out};
    always @(posedge clk) begin
        {before}
        if (o__ready) full <= 0;
        if (move) begin full <= 1; data <= i__payload; end
        if (move) count <= count + 1;
        if (rst) begin full <= 0; count <= 0; end
    end
endmodule
"""


def build(text: str, folder: Path, core: Core = ECHO) -> Path:
    (folder / "core.v").write_text(text)
    return build_core(core, [folder / "core.v"], folder / "build")


@pytest.fixture
def samples() -> np.ndarray:
    rng = np.random.default_rng(5)
    x = rng.integers(0, 4, (9, 3, 8)) * (rng.random((9, 3, 8)) < 0.4)
    x[4] = 0
    return x.astype(np.int16)


def test_echo_gives_counts_and_exact_cycles(samples: np.ndarray, tmp_path: Path) -> None:
    result = run_core(build(echo(), tmp_path), ECHO, samples, back_pressure=0.5, seed=3)
    assert np.array_equal(result.spikes, samples)
    items = samples.sum(axis=(1, 2)) + 3
    # First item accepted at edge 0, last one at items - 1, handed on one edge later.
    assert np.array_equal(result.cycles, items)
    assert np.array_equal(result.interval, items)
    assert result.mem is None


def test_a_single_sample_has_an_interval(tmp_path: Path) -> None:
    x = np.ones((1, 2, 8), np.int16)
    result = run_core(build(echo(), tmp_path), ECHO, x)
    assert result.cycles.tolist() == result.interval.tolist() == [18]


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ({"ready": "(count != 20)"}, r"hangs at clock edge \d+, no item moved for 1000 cycles: "
         r"the output is in sample \d+, step \d+; the input in sample \d+, item \d+, valid=1"),
        ({"valid": "full & (count != 20)"}, "changed an item|hangs|pace|tokens for|last="),
        ({"out": "{data[4:2], data[1] ^ (count == 20), data[0]}"}, "last=|changed an item"),
        ({"out": "{data[4:2] ^ (o__ready ? 3'd0 : 3'd1), data[1:0]}"}, "changed an item"),
        ({"before": "if (full & ~o__ready) data[2] <= ~data[2];"}, "changed an item"),
    ],
)  # fmt: skip
def test_what_a_broken_core_is_told(
    broken: dict[str, str], words: str, samples: np.ndarray, tmp_path: Path
) -> None:
    program = build(echo(**broken), tmp_path)
    with pytest.raises(SimulationError, match=words):
        run_core(program, ECHO, samples, back_pressure=0.5, seed=1, hang=500)


def test_output_that_depends_on_the_pace(samples: np.ndarray, tmp_path: Path) -> None:
    """An event right behind another one is moved to another address."""
    text = echo(
        before="if (move & ~i__payload[0] & full & o__ready) begin end",
        out="{data[4:2] ^ {2'b0, quick & ~data[0]}, data[1:0]}",
    ).replace("reg full;", "reg full; reg quick; reg [3:0] idle = 0;")
    text = text.replace(
        "if (o__ready) full <= 0;",
        "if (move) idle <= 0; else if (~&idle) idle <= idle + 1;\n"
        "        if (move) quick <= idle == 0; if (o__ready) full <= 0;",
    )
    samples[:, 0, 0] = 1
    with pytest.raises(SimulationError, match=r"depends on its pace: sample \d+, step 0, layer"):
        run_core(build(text, tmp_path), ECHO, samples)


def test_port_widths_must_be_the_designs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="port i__payload of spikefab_core is not 6 bits wide"):
        build(echo(), tmp_path, Core(n_inputs=16, n_outputs=8))
    with pytest.raises(InputError, match="no module spikefab_core"):
        build("module other; endmodule", tmp_path)


@pytest.mark.parametrize(("n_inputs", "n_outputs", "payload"), [(1, 1, 40), (300, 2, 7)])
def test_payloads_of_any_width(n_inputs: int, n_outputs: int, payload: int, tmp_path: Path) -> None:
    """A core that answers each token with membranes that count the tokens down from its top."""
    core = Core(n_inputs=n_inputs, n_outputs=n_outputs, payload_width=payload)
    address = core.out_width - payload - 2
    program = build(
        f"""
module spikefab_core(input clk, input rst, input [{core.in_width - 1}:0] i__payload,
        input i__valid, output i__ready, output [{core.out_width - 1}:0] o__payload,
        output o__valid, input o__ready);
    reg [{address - 1}:0] n; reg busy, last; reg [{payload - 1}:0] count;
    wire end_ = busy & n == {n_outputs % (1 << address)} & done;
    reg done;
    assign i__ready = ~busy;
    assign o__valid = busy;
    assign o__payload = done ? {{last, 1'b1}} : {{count, n, 2'b00}};
    always @(posedge clk) begin
        if (~busy & i__valid & i__payload[0]) begin busy <= 1; last <= i__payload[1]; end
        if (busy & o__ready & ~done) begin
            n <= n + 1; count <= count - 1; done <= n == {n_outputs - 1};
        end
        if (busy & o__ready & done) begin busy <= 0; done <= 0; n <= 0; end
        if (rst) begin busy <= 0; n <= 0; done <= 0; end
        if (rst) count <= {{1'b0, {{{payload - 1}{{1'b1}}}}}};
    end
endmodule
""",
        tmp_path,
        core,
    )
    x = np.zeros((1, 4, n_inputs), np.int16)
    result = run_core(program, core, x, name="out")
    top = (1 << (payload - 1)) - 1
    expected = top - np.arange(4 * n_outputs).reshape(1, 4, n_outputs)
    assert result.mem is not None
    assert np.array_equal(result.mem["out"], expected)
    assert not result.spikes.any()


@pytest.mark.parametrize("integrator", [False, True])
def test_design_equals_the_golden_model(integrator: bool, tmp_path: Path) -> None:
    network = make_network([20, 13, 5], integrator=integrator)
    design = make_design(network, tmp_path / "design", "ecp5-25f", 4)
    x = make_samples(network, 12, 6)
    names = [layer.name for layer in network.layers]
    golden = run_golden(network, x, record=names)
    waves = tmp_path / "waves.fst"
    seen: list[int] = []
    result = simulate_rtl(
        design,
        x,
        record=names,
        fst=waves,
        back_pressure=0.3,
        seed=4,
        progress=lambda done, total: seen.append(done * 100 // total),
    )
    assert np.array_equal(result.spikes, golden.spikes[names[-1]])
    assert golden.spikes[names[0]].any()
    assert result.mem is not None
    for name in names:
        assert np.array_equal(result.mem[name], golden.mem[name])
        assert np.array_equal(result.hidden[name], golden.spikes[name])
    assert (result.cycles > 0).all()
    assert (result.interval <= result.cycles).all()
    assert seen == sorted(seen)
    assert seen[-1] == 100
    assert waves.stat().st_size > 1000


def test_two_simulations_of_one_design_at_once(tmp_path: Path) -> None:
    network = make_network([6, 3])
    design = make_design(network, tmp_path / "design", "ecp5-25f", 1)
    x = make_samples(network, 2, 3)
    golden = run_golden(network, x).spikes[network.layers[-1].name]
    with ThreadPoolExecutor(3) as pool:
        jobs = [
            pool.submit(simulate_rtl, design, x, record=record)
            for record in ([], ["population0"], [])
        ]
        for job in jobs:
            assert np.array_equal(job.result().spikes, golden)


def test_bad_requests(tmp_path: Path) -> None:
    network = make_network([6, 3])
    design = make_design(network, tmp_path / "design", "ecp5-25f", 1)
    x = make_samples(network, 2, 3)
    with pytest.raises(InputError, match="no population 'hidden'; there are population0"):
        simulate_rtl(design, x, record=["hidden"])
    with pytest.raises(InputError, match="after synthesis has no membranes"):
        simulate_rtl(design, x, record=["population0"], engine="gates")
    with pytest.raises(InputError, match="x has shape"):
        simulate_rtl(design, x[:, :, :5])
    with pytest.raises(InputError, match=r"back pressure 1\.0"):
        simulate_rtl(design, x, back_pressure=1.0)
    (tmp_path / "file").touch()
    for waves in (tmp_path, tmp_path / "file" / "waves.fst"):
        with pytest.raises(InputError, match="the waveform cannot be written"):
            simulate_rtl(design, x, fst=waves)
