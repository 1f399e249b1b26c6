# SPDX-License-Identifier: Apache-2.0
"""What units cost, as a table for a terminal.

Imports `analysis.cost`.
"""

from collections.abc import Callable, Iterator

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ..hdl import fpga
from .cost import Cost, Row


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
    shown = Table("kind", "unit", "format", box=SIMPLE_HEAD)
    for column in COLUMNS:
        shown.add_column(column, justify="right")
    for kind in dict.fromkeys(row.kind for row in cost.rows):
        shown.add_section()
        label = kind
        for row in cost.rows:
            if row.kind == kind:
                name = row.unit if row.exported else f"{row.unit} *"
                shown.add_row(label, name, row.format, *(of(row) for of in COLUMNS.values()))
                label = ""
    return shown


def notes(cost: Cost) -> Iterator[str]:
    """Yield what must be said of the figures, a paragraph each."""
    yield "with " + ", ".join(f"{name} {version}" for name, version in cost.tools.items())
    delays = {"abc" if not row.path else "sta" for row in cost.rows}
    longest = "OpenSTA" if delays == {"sta"} else "ABC, without the registers' own delays"
    yield (
        f"GE: area of {cost.library} over that of its smallest NAND2. ns: the longest path by "
        f"{longest}, from registers or ports to registers or ports, without wires."
    )
    parts = ", ".join(f"{device.name} {device.part}" for device in fpga.DEVICES.values())
    yield (
        f"{parts}: LUTs of four inputs and flip-flops of the unit alone, as synthesised, no DSP "
        f"blocks; MHz placed and routed with a register before each input and after each output, "
        f"seed {fpga.SEED}: another seed may differ by a tenth. -: not put there, for "
        f"its size."
    )
    yield "*: not exported, for comparison alone."
    yield (
        "a row by hand: hif8 cost UNIT --commands writes its files and prints the commands that "
        "give its figures."
    )
