# SPDX-License-Identifier: Apache-2.0
"""Runs the program that simulates a core: passes over samples, items in, items and cycles out."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from spikefab.gen.errors import InputError
from spikefab.sim.compare import first_mismatch
from spikefab.sim.core_program import (
    CONTROL,
    Core,
    Monitor,
    address_width,
    monitor_words,
)
from spikefab.sim.encode import changed

__all__ = ["SimResult", "SimulationError", "encode_items", "run_core"]

MAGIC = 0x31307369736B7073


class SimulationError(Exception):
    """The simulated hardware breaks its contract: it hangs, or its passes differ."""


@dataclass(frozen=True, eq=False)
class SimResult:
    """What a core puts out, and when."""

    spikes: np.ndarray
    """int16 (samples, steps, outputs); zeros for an integrator. Several populations stand side by
    side, as in the output stream."""
    mem: dict[str, np.ndarray] | None
    """int64 (samples, steps, n) of the recorded populations, and always of an integrator at the
    output, by name."""
    cycles: np.ndarray
    """int64 (samples,): clock cycles of a sample alone in the core, from the edge that accepts its
    first item to the edge that accepts its last output token."""
    interval: np.ndarray
    """int64 (samples,): clock cycles back to back, from the edge that accepts a sample's first
    item to the one that accepts the next sample's."""
    steps_used: np.ndarray
    """int32 (samples,): steps until the sample's last output token; rows behind them are 0, of
    recorded populations too."""
    hidden: dict[str, np.ndarray] = field(default_factory=dict)
    """int16 (samples, steps, n): spikes of the recorded populations, by name."""


def encode_items(
    core: Core, x: np.ndarray, shuffle: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Items of all samples in order, and where each sample starts among them. The events of a step
    in order of address, or, with a seed to `shuffle` them, of chance."""
    if core.input_at:
        placed = np.zeros((*x.shape[:2], core.input_space), x.dtype)
        placed[..., core.input_at] = x
        x = placed
    samples, steps, n = x.shape
    rows = x.reshape(samples * steps, n)
    # A value is one event, a count as many.
    n_events = rows
    if core.value_width:
        n_events = (changed(x) if core.changes else x != 0).reshape(rows.shape)
    ends = np.cumsum(n_events.sum(axis=1, dtype=np.int64) + 1)
    items = np.zeros(int(ends[-1]), np.uint64)
    tokens = np.ones(samples * steps, np.uint64)
    tokens[steps - 1 :: steps] |= np.uint64(2)
    is_event = np.ones(len(items), bool)
    is_event[ends - 1] = False
    items[ends - 1] = tokens
    row, address = np.nonzero(n_events)
    events = address.astype(np.uint64) << np.uint64(2)
    if core.value_width:
        at = np.uint64(2 + address_width(core.input_space))
        found = events | rows[row, address].astype(np.uint64) << at
    else:
        found = np.repeat(events, rows[row, address])
        row = np.repeat(row, rows[row, address])
    if shuffle is not None:
        found = found[np.lexsort((np.random.default_rng(shuffle).random(len(found)), row))]
    items[is_event] = found
    start = np.concatenate([[0], ends[steps - 1 :: steps]]).astype(np.uint64)
    return items, start


def _decode(
    core: Core, items: np.ndarray, samples: int, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Spikes, an integrator's membranes, (samples, steps, outputs), and steps (samples,)."""
    token = (items & np.uint64(1)).astype(bool)
    rows, used = _rows((items[token] & np.uint64(2)) != 0, samples, steps)
    if len(used) != samples:
        raise SimulationError(f"the core ended {len(used)} samples of {samples}")
    width = address_width(core.output_space)
    address = ((items >> np.uint64(2)) & np.uint64((1 << width) - 1)).astype(np.int64)
    at, sent = rows[(np.cumsum(token) - token)[~token]], address[~token]
    numbers = np.full(1 << width, -1)
    numbers[list(core.output_at) or slice(core.n_outputs)] = np.arange(core.n_outputs)
    to = numbers[sent]
    if len(to) and int(to.min()) < 0:
        where = int(np.argmax(to < 0))
        what = "address" if core.output_at else "neuron"
        raise SimulationError(
            f"sample {at[where] // steps}, step {at[where] % steps}: an output event of {what} "
            f"{sent[where]}; there are {core.n_outputs}"
        )
    counts = np.zeros((samples * steps, core.n_outputs), np.int64)
    np.add.at(counts, (at, to), 1)
    shape = (samples, steps, core.n_outputs)
    if not core.payload_width:
        return counts.reshape(shape), used
    parts = core.output_parts()
    graded = np.repeat([part.membrane for part in parts], [part.n for part in parts])
    wrong = np.zeros(counts.shape, bool)
    wrong[rows] = (counts[rows] != 1) & graded
    if wrong.any():
        where, neuron = np.argwhere(wrong)[0]
        raise SimulationError(
            f"sample {where // steps}, step {where % steps}: output neuron {neuron} put out its "
            f"membrane {counts[where, neuron]} times instead of once"
        )
    raw = (items[~token] >> np.uint64(2 + width)).astype(np.int64)
    values = _signed(raw, core.payload_width)
    spikes = (values != 1) & ~graded[to]
    if spikes.any():
        where = int(np.argmax(spikes))
        raise SimulationError(
            f"sample {at[where] // steps}, step {at[where] % steps}: a spike of output neuron "
            f"{to[where]} carries {values[where]}, must be 1"
        )
    held = graded[to]
    counts[at[held], to[held]] = values[held]
    return counts.reshape(shape), used


def _rows(last: np.ndarray, samples: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Where steps belong, of which those marked `last` end a sample.

    A row among `samples * steps` for each step, and the steps of each sample that ended.
    """
    ends = np.flatnonzero(last) + 1
    used = np.diff(ends, prepend=0).astype(np.int32)
    sample = np.cumsum(last) - last
    start = np.concatenate([[0], ends])[sample]
    rows = sample * steps + np.arange(len(last)) - start
    if used.max(initial=0) > steps or rows.max(initial=0) >= samples * steps:
        raise SimulationError(f"the core ran more than {steps} steps of a sample")
    return rows, used


def _signed(raw: np.ndarray, width: int) -> np.ndarray:
    half = np.int64(1) << np.int64(width - 1)
    return (raw ^ half) - half


@dataclass(eq=False)
class _Pass:
    """One run of the program over some samples."""

    mode: str
    first: int
    stop: int
    process: subprocess.Popen[str]
    response: Path
    readers: list[threading.Thread]
    errors: list[str]
    done: int = 0


def run_core(
    program: Path,
    core: Core,
    x: np.ndarray,
    *,
    name: str = "output",
    monitors: Sequence[Monitor] = (),
    fst: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    back_pressure: float = 0.0,
    seed: int = 0,
    shuffle: int | None = None,
    hang: int = 1_000_000,
    steps: int | None = None,
    load: Path | None = None,
) -> SimResult:
    """Runs samples (samples, steps, inputs) through a program that `build_core` made.

    `steps`: the output's steps a sample, where they are not the input's.
    `name`: the output population, where `core` does not say it. `hang`: clock cycles without any
    item moving after which the core counts as stuck. The rest as in `simulate_rtl`.
    """
    if not 0 <= back_pressure < 1:
        raise InputError(f"back pressure {back_pressure}: a probability, 0 to below 1")
    samples, steps = x.shape[0], steps or x.shape[1]
    scratch = Path(tempfile.mkdtemp(prefix="run-", dir=program.parent))
    passes: list[_Pass] = []
    lock = threading.Lock()

    def read_progress(task: _Pass) -> None:
        assert task.process.stdout is not None
        for line in task.process.stdout:
            with lock:
                task.done = int(line)
                if progress is not None:
                    # A sample counts when every pass has done it.
                    share = sum(t.done for t in passes) / sum(t.stop - t.first for t in passes)
                    progress(int(share * samples), samples)

    def read_errors(task: _Pass) -> None:
        assert task.process.stderr is not None
        task.errors += list(task.process.stderr)

    try:
        plan = [("stream", 0, samples)]
        if back_pressure:
            plan.append(("pause", 0, samples))
        # The passes alone know nothing of each other: they share the remaining processors.
        free = max(1, (os.cpu_count() or 1) - len(plan))
        whole = fst is not None or bool(monitors)
        chunks = 1 if whole else max(1, min(free, samples // 8))
        edges = [samples * i // chunks for i in range(chunks + 1)]
        plan += [("alone", a, b) for a, b in pairwise(edges)]
        stimuli: dict[tuple[int, int], Path] = {}
        for _mode, a, b in plan:
            if (a, b) not in stimuli:
                items, start = encode_items(core, x[a:b], shuffle)
                quiet = int(hang / (1 - back_pressure))
                head = np.array([MAGIC, b - a, steps, quiet, int(core.stops)], np.uint64)
                stimuli[a, b] = scratch / f"stimulus-{a}-{b}.bin"
                stimuli[a, b].write_bytes(head.tobytes() + start.tobytes() + items.tobytes())
        monitor_file = scratch / "monitor.bin"
        for mode, a, b in plan:
            response = scratch / f"{mode}-{a}.bin"
            command = [
                str(program), "--mode", mode, "--stimulus", str(stimuli[a, b]),
                "--response", str(response), "--pause", str(back_pressure), "--seed", str(seed),
            ]  # fmt: skip
            if load is not None:
                command += ["--load", str(load)]
            if mode == "alone" and fst is not None:
                fst.parent.mkdir(parents=True, exist_ok=True)
                command += ["--fst", str(fst)]
            if mode == "alone" and monitors:
                command += ["--monitor", str(monitor_file)]
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            passes.append(_Pass(mode, a, b, process, response, [], []))
        for task in passes:
            for target in (read_progress, read_errors):
                task.readers.append(threading.Thread(target=target, args=(task,), daemon=True))
                task.readers[-1].start()
        return _collect(passes, core, (samples, steps), name, monitors, monitor_file)
    finally:
        for task in passes:
            if task.process.poll() is None:
                task.process.kill()
            task.process.wait()
            for reader in task.readers:
                reader.join()
        shutil.rmtree(scratch, ignore_errors=True)


def _collect(
    passes: Sequence[_Pass],
    core: Core,
    shape: tuple[int, int],
    name: str,
    monitors: Sequence[Monitor],
    monitor_file: Path,
) -> SimResult:
    samples, steps = shape
    parts = core.output_parts(name)
    ends = np.cumsum([part.n for part in parts])[:-1]

    def split(values: np.ndarray) -> list[np.ndarray]:
        """Views, a population each."""
        return np.split(values, ends, axis=2)

    values = np.zeros((samples, steps, core.n_outputs), np.int64)
    cycles = np.zeros(samples, np.int64)
    interval = np.zeros(samples, np.int64)
    used = np.zeros(samples, np.int32)
    others: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for task in passes:
        code = task.process.wait()
        for reader in task.readers:
            reader.join()
        if code:
            offset = f" (sample 0 is {task.first})" if task.first else ""
            what = "".join(task.errors).strip() or f"exit status {code}"
            raise SimulationError(f"pass {task.mode!r}: the core {what}{offset}")
        data = np.fromfile(task.response, np.uint64)
        count, n_items = int(data[1]), int(data[2])
        first = data[4 : 5 + count].astype(np.int64)
        done = data[5 + count : 5 + 2 * count].astype(np.int64)
        out, ran = _decode(core, data[5 + 2 * count :][:n_items], count, steps)
        if task.mode == "alone":
            values[task.first : task.stop] = out
            used[task.first : task.stop] = ran
            cycles[task.first : task.stop] = done - first[:-1]
        else:
            others[task.mode] = out, ran
            if task.mode == "stream":
                interval = np.diff(first)
    for mode, (out, ran) in others.items():
        if (ran != used).any():
            at = int(np.argmax(ran != used))
            raise SimulationError(
                f"the core's output depends on its pace: sample {at} ends after {used[at]} steps "
                f"alone, after {ran[at]} in pass {mode!r}"
            )
        for part, one, other in zip(parts, split(values), split(out), strict=True):
            mismatch = first_mismatch(
                {part.name: one},
                {part.name: other},
                labels=("alone", mode),
                quantity="membrane" if part.membrane else "spikes",
            )
            if mismatch is not None:
                raise SimulationError(f"the core's output depends on its pace: {mismatch}")
    recorded = _read_monitors(monitors, monitor_file, used, steps) if monitors else {}
    mem_out = {key: pair[0] for key, pair in recorded.items()}
    hidden = {key: pair[1] for key, pair in recorded.items()}
    for part, own in zip(parts, split(values), strict=True):
        if part.membrane:
            mem_out[part.name] = own.copy()
            own[:] = 0
    return SimResult(values.astype(np.int16), mem_out or None, cycles, interval, used, hidden)


def _read_monitors(
    monitors: Sequence[Monitor], file: Path, used: np.ndarray, steps: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Membranes and spikes of each monitored population, up to the steps that samples used."""
    records = np.fromfile(file, np.uint32).reshape(-1, 1 + monitor_words(monitors))
    samples = len(used)
    wanted = (np.arange(steps) < used[:, None]).ravel()
    out = {}
    for k, m in enumerate(monitors):
        members, spikes = (_passes(records, 2 * k + part, m) for part in (0, 1))
        last = (spikes[:, -1, 0] & 2) != 0
        # What follows a stopped sample's last step was in flight.
        rows, _ = _rows(last, samples, steps)
        found = np.zeros(samples * steps, np.int64)
        found[rows[: len(members)]] = 1
        if not found[wanted].all():
            at = int(np.argmax(wanted & (found == 0)))
            raise SimulationError(
                f"population {m.name!r}: no update in sample {at // steps}, step {at % steps}"
            )
        arrays = []
        for words, skip, width in (
            (members, 0, m.membrane_width),
            (spikes, CONTROL, m.count_width),
        ):
            values = np.zeros((samples * steps, m.n), np.int64)
            if width:
                n = min(len(rows), len(words))
                raw = _fields(words[:n].reshape(n * m.groups, -1), m.lanes, width, skip)
                values[rows[:n]] = raw.reshape(n, m.groups * m.lanes)[:, : m.n]
            values[~wanted] = 0
            whole = values.reshape(samples, steps, m.n)
            arrays.append(whole[..., m.order] if m.order else whole)
        out[m.name] = (_signed(arrays[0], m.membrane_width), arrays[1].astype(np.int16))
    return out


def _passes(records: np.ndarray, source: int, m: Monitor) -> np.ndarray:
    """A source's whole passes: words (passes, groups, words of a group)."""
    words = records[records[:, 0] == source, 1:]
    whole = len(words) // m.groups
    return words[: whole * m.groups].reshape(whole, m.groups, words.shape[1])


def _fields(words: np.ndarray, count: int, width: int, skip: int = 0) -> np.ndarray:
    """Cuts `count` fields of `width` bits from each row of 32-bit words, lowest bits first.

    The lowest `skip` bits are no field's.
    """
    padded = np.pad(words, ((0, 0), (0, 2))).astype(np.uint64)
    out = np.zeros((len(words), count), np.int64)
    for i in range(count):
        word, bit = divmod(skip + i * width, 32)
        low = padded[:, word] | padded[:, word + 1] << np.uint64(32)
        value = low >> np.uint64(bit)
        if bit + width > 64:
            value |= padded[:, word + 2] << np.uint64(64 - bit)
        out[:, i] = (value & np.uint64((1 << width) - 1)).astype(np.int64)
    return out
