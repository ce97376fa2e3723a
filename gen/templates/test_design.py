"""Streams vectors.npz through spikefab_core and compares all that comes out."""

import json
import random
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer

HERE = Path(__file__).resolve().parent
STREAMS = json.loads((HERE / "streams.json").read_text(encoding="utf-8"))
VECTORS = np.load(HERE / "vectors.npz")


def pack(fields, **values):
    """An item's payload bits."""
    return sum(values[name] << offset for name, (offset, _) in fields.items() if name in values)


def unpack(fields, payload):
    """An item's fields; `payload` is signed."""
    out = {name: payload >> at & ((1 << width) - 1) for name, (at, width) in fields.items()}
    if "payload" in out and out["payload"] >> (fields["payload"][1] - 1):
        out["payload"] -= 1 << fields["payload"][1]
    return out


async def feed(dut, items, pause, rng):
    """Offers the items, with random pauses."""
    for item in items:
        while rng.random() < pause:
            dut.i__valid.value = 0
            await RisingEdge(dut.clk)
        dut.i__payload.value = item
        dut.i__valid.value = 1
        while True:
            await RisingEdge(dut.clk)
            if int(dut.i__ready.value):
                break
    dut.i__valid.value = 0


async def load(dut):
    """Fills the memories that hold nothing from the start, if there are any."""
    if "load" not in STREAMS:
        return
    words = (HERE.parent / "memory" / "load.hex").read_text(encoding="utf-8").split()
    for address, word in enumerate(words):
        dut.load__payload.value = pack(STREAMS["load"], address=address, data=int(word, 16))
        dut.load__valid.value = 1
        while True:
            await RisingEdge(dut.clk)
            if int(dut.load__ready.value):
                break
    dut.load__valid.value = 0
    await RisingEdge(dut.clk)
    while not int(dut.load__ready.value):  # the last word finds its place
        await RisingEdge(dut.clk)


async def run(dut, pause):
    """One pass over the vectors."""
    rng = random.Random(1)
    x, spikes = VECTORS["x"], VECTORS["spikes"]
    mem = VECTORS["mem"] if "mem" in VECTORS.files else None
    graded = VECTORS["graded"] if mem is not None else np.zeros(spikes.shape[2], bool)
    n_samples, n_tokens = len(x), int(VECTORS["tokens"])
    items = []
    shape = n_samples, n_tokens, -1
    for sample, counts in zip(x.reshape(shape), VECTORS["events"].reshape(shape), strict=True):
        for t, (step, repeats) in enumerate(zip(sample, counts, strict=True)):
            events = [int(a) for a in np.repeat(np.arange(len(step)), repeats)]
            rng.shuffle(events)  # the order within a step must not matter
            items += [pack(STREAMS["i"], address=a, payload=int(step[a])) for a in events]
            items.append(pack(STREAMS["i"], token=1, last=int(t == n_tokens - 1)))
    dut.rst.value = 1
    dut.i__valid.value = 0
    dut.o__ready.value = 0
    if "load" in STREAMS:
        dut.load__valid.value = 0
    clock = cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
    for _ in range(4):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    await load(dut)
    feeder = cocotb.start_soon(feed(dut, items, pause, rng))
    got_spikes = np.zeros_like(spikes)
    got_mem = None if mem is None else np.zeros_like(mem)
    sample = step = waited = 0
    while sample < n_samples:
        dut.o__ready.value = int(rng.random() >= pause)
        await RisingEdge(dut.clk)
        waited += 1
        assert waited < 1_000_000, f"no output: sample {sample}, step {step}"
        if not (int(dut.o__valid.value) and int(dut.o__ready.value)):
            continue
        waited = 0
        item = unpack(STREAMS["o"], int(dut.o__payload.value))
        if item["token"]:
            assert item["last"] == (step == VECTORS["steps"][sample] - 1), (
                f"last: sample {sample}, step {step}"
            )
            sample, step = (sample + 1, 0) if item["last"] else (sample, step + 1)
        elif graded[item["address"]]:
            got_mem[sample, step, item["address"]] = item["payload"]
        else:
            got_spikes[sample, step, item["address"]] += 1
    await feeder
    clock.cancel()
    await Timer(20, "ns")
    for name, got, expected in (("spikes", got_spikes, spikes), ("mem", got_mem, mem)):
        if expected is None:
            continue
        # Steps behind a sample's end do not come out.
        wrong = (got != expected) & (np.arange(got.shape[1]) < VECTORS["steps"][:, None])[..., None]
        if wrong.any():
            at = tuple(int(k) for k in np.argwhere(wrong)[0])
            raise AssertionError(
                f"{name}: sample {at[0]}, step {at[1]}, neuron {at[2]}: "
                f"{got[at]}, the golden model says {expected[at]}"
            )


@cocotb.test()
async def full_rate(dut):
    """Input always offered, output always taken."""
    await run(dut, 0.0)


@cocotb.test()
async def random_stalls(dut):
    """Both ends pause at random."""
    await run(dut, 0.4)
