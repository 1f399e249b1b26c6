# SPDX-License-Identifier: Apache-2.0
"""What units cost, as a table for a terminal.

Imports `analysis.cost` and `analysis.cost_peers`.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ..toolchain import fpga
from .cost import Cost, Row
from .cost_peers import compared


def _on(device: str) -> Callable[[Row], str]:
    """Return what is shown of an FPGA: LUTs, flip-flops, clock."""

    def shown(row: Row) -> str:
        placed = getattr(row, device)
        return f"{placed['luts']:,} {placed['ffs']:,} {placed['mhz']:.0f}" if placed else "-"

    return shown


COLUMNS: dict[str, Callable[[Row], str]] = {
    "GE": lambda row: f"{row.ge:,.0f}",
    "FF": lambda row: f"{row.flip_flops:,}",
    "ns": lambda row: f"{row.delay_ns:.2f}",
    "MHz": lambda row: f"{row.mhz_asic:,.0f}",
    "GE ns": lambda row: f"{row.ge * row.delay_ns:,.0f}",
    "ECP5 LUT FF MHz": _on("ecp5"),
    "iCE40 LUT FF MHz": _on("ice40"),
}
"""What is shown of a row, by the head of its column."""


def table(cost: Cost) -> Table:
    """Return the table of all rows, each kind of unit apart."""
    shown = Table("kind", box=SIMPLE_HEAD)
    shown.add_column("unit", no_wrap=True)
    shown.add_column("format")
    for column in COLUMNS:
        shown.add_column(column, justify="right")
    for kind in dict.fromkeys(row.kind for row in cost.rows):
        shown.add_section()
        label = kind
        for row in cost.rows:
            if row.kind == kind:
                name = row.unit + " *" * (not row.exported) + " +" * row.by_module
                shown.add_row(label, name, row.format, *(of(row) for of in COLUMNS.values()))
                label = ""
    return shown


FAIR = (
    "All formats go through one datapath: decode, multiply exactly, add; their rows differ in the "
    "operand alone. What has no format in its name is HiF8's, and exported.",
    "Cores, unlike the exported MACs and dot products, have no handshake and no reset, a beat "
    "comes in every cycle, the sum is their only register, and FP32 sums start from 0.",
    "Exact sums have room for 2^20 of the largest products of their own format, and flags for its "
    "special values; FP32 sums are rounded to nearest even, subnormals included.",
    "FP8, both: E4M3 and E5M2 as OCP has them, with an input that selects one: what HiF8 stands "
    "in for.",
    "Equal logic written another way may come out of ABC a tenth larger or smaller, FP32 adders "
    "above all: rows that are nearer than that are equal.",
    "INT8 has neither exponents nor special values; its sum has 32 bits. int8_plain is the same "
    "in Verilog's own operators, as peers have it; int8 has the columns of Baugh and Wooley.",
    "Encoders saturate and replace NaN at run time. FP8's round half to even; of HiF8's those "
    "with _ta round half away from zero, the others by HR besides.",
)
"""What each format's row includes and omits."""


def peers(cost: Cost) -> Table:
    """Return what others' units cost, next to ours that do the same."""
    shown = Table("peer", "its GE", "ns", "ours", "GE", "ns", "GE, ours", box=SIMPLE_HEAD)
    for column in (1, 2, 4, 5, 6):
        shown.columns[column].justify = "right"
    for peer, row in compared(cost):
        ours = (row.unit, f"{row.ge:,.0f}", f"{row.abc_ns:.1f}", f"{row.ge / peer.ge:.2f} times")
        shown.add_row(peer.source, f"{peer.ge:,}", f"{peer.ns:.1f}", *ours)
    return shown


def page(cost: Cost) -> dict[str, Any]:
    """Return costs as the report takes them."""
    return asdict(cost) | {"notes": [*notes(cost), *FAIR]}


def texts(cost: Cost) -> Iterator[Table | str]:
    """Yield what follows the table: peers' figures, and the notes."""
    if next(compared(cost), None):
        yield peers(cost)
        yield (
            "Peers' figures are of their Verilog by Yosys on the same cells in an earlier run; "
            "delays in this table are ABC's."
        )
    yield from notes(cost)
    yield from FAIR


def notes(cost: Cost) -> Iterator[str]:
    """Yield what must be said of the figures, a paragraph each."""
    yield "with " + ", ".join(f"{name} {version}" for name, version in cost.tools.items())
    delays = {"abc" if not row.path else "sta" for row in cost.rows}
    longest = "OpenSTA" if delays == {"sta"} else "ABC, without the registers' own delays"
    yield (
        f"GE: area of {cost.library} over that of its smallest NAND2. ns: the longest path by "
        f"{longest}, from registers or ports to registers or ports, without wires; inputs are "
        f"driven by an inverter of strength 4, outputs loaded with 0.05 pF, which ABC does not see."
    )
    parts = ", ".join(f"{device.name} {device.part}" for device in fpga.DEVICES.values())
    yield (
        f"{parts}: LUTs of four inputs and flip-flops of the unit alone, as synthesised, no DSP "
        f"blocks; MHz placed and routed with a register before each input and after each output, "
        f"seed {fpga.SEED}, on which they depend. -: not put there, for its size."
    )
    yield "*: not exported, for comparison alone."
    if any(row.by_module for row in cost.rows):
        yield (
            "+: each module mapped by itself, and counted as often as it is there; others as one "
            "module. ns: ABC's, of the slowest module, without registers' own delays; buffers for "
            "nets that reach many modules are not counted. `hif8 growth` compares both ways."
        )
    yield (
        "a row by hand: hif8 cost UNIT --commands writes its files and prints the commands that "
        "give its figures."
    )
