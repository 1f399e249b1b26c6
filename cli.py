# SPDX-License-Identifier: Apache-2.0
"""The front door: the command ``hif8``, one thin function a subcommand.

Imports every room, each inside the command that needs it, so that ``hif8 show`` answers at once.
"""

import os
import sys
import time
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from . import __version__, files
from .golden.accumulate import SCALES
from .golden.decode import as_codes, decode
from .golden.describe import describe
from .golden.encode import as_floats, encode
from .golden.format import FLOAT_FORMATS
from .golden.matmul import matmul
from .golden.rounding import Rounding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .hdl.configs import Unit
    from .sim.mutants import Report
    from .sim.netlists import Checked
    from .sim.proofs import Proof
    from .sim.sweep import Plan, Range, Record
    from .sim.verify import Verdict

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
console = Console(width=None if sys.stdout.isatty() else 110, highlight=False)

Units = Annotated[list[str] | None, typer.Argument(help="Units; all of them by default.")]
Jobs = Annotated[
    int | None, typer.Option(min=1, help="Processes; by default as many as processors.")
]
Scheduler = Annotated[
    str | None, typer.Option(help="Address of a Dask scheduler whose workers do it.")
]
Build = Annotated[Path, typer.Option("--build", help="Folder for everything made.")]
BUILD = Path("build")
INTERRUPTED = 130
_SAID = {"pass": "bit-exact", "fail": "FAIL", "not run": "NOT RUN"}


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print it and exit.")] = False,
) -> None:
    """HiFloat8 (HiF8) in open hardware: golden model, RTL, co-simulation, figures."""
    if version:
        console.print(f"hif8 {__version__}")
    elif context.invoked_subcommand is None:
        print(context.get_help())


@app.command(context_settings={"ignore_unknown_options": True})
def show(
    values: Annotated[
        list[str], typer.Argument(help="Codes as 0x6E or 0b01101110; anything else is a value.")
    ],
) -> None:
    """Explain codes, and the codes that values are encoded to (TA)."""
    head = ("input", "code", "fields", "kind", "value", "ulp", "next below", "next above")
    table = Table(*head, box=SIMPLE_HEAD)
    for text in values:
        what = describe(_code(text))
        table.add_row(
            text,
            f"0x{what.code:02X}",
            what.bits,
            f"{what.dot_field.name} {what.kind}",
            f"{what.value:.6g}",
            f"{what.ulp:.4g}",
            *(
                "-" if code is None else f"{describe(code).value:.6g}"
                for code in (what.below, what.above)
            ),
        )
    console.print(table)


def _code(text: str) -> int:
    """Return the code that a word of `show` means."""
    try:
        if text.lower().startswith(("0x", "0b")):
            return int(as_codes(int(text, 0), text))
        return int(encode(float(text)))
    except ValueError as error:
        if "must be in" in str(error):
            raise
        raise ValueError(
            f"{text!r} must be a code like 0x6E or 0b01101110, or a number like -3e-5"
        ) from None


@app.command("encode")
def encode_file(
    source: Annotated[Path, typer.Argument(help="A .npy of floating-point values.")],
    target: Annotated[Path, typer.Argument(help="The .npy of uint8 codes to write.")],
    rounding: Annotated[Rounding, typer.Option(help="How to round.")] = Rounding.TA,
    saturate: Annotated[bool, typer.Option(help="No infinities: the largest value.")] = False,
    nan_to_zero: Annotated[bool, typer.Option(help="No NaN: zero.")] = False,
    keep_exact: Annotated[
        bool, typer.Option(help="hr: leave float32 values that HiF8 has as they are.")
    ] = False,
    seed: Annotated[
        int | None, typer.Option(min=0, help="sr: seeds its random numbers; required.")
    ] = None,
) -> None:
    """Encode a tensor in a file as HiF8 codes."""
    if keep_exact and rounding is not Rounding.HR:
        raise ValueError(f"--keep-exact needs --rounding hr, not {rounding.value}")
    if (seed is not None) != (rounding is Rounding.SR):
        needs = "--rounding sr needs --seed" if seed is None else "--seed needs --rounding sr"
        raise ValueError(f"{needs}: it seeds the random numbers of stochastic rounding")
    codes = encode(
        _floats(source),
        rounding,
        saturate=saturate,
        nan_to_zero=nan_to_zero,
        keep_exact=keep_exact,
        rng=None if seed is None else np.random.default_rng(seed),
    )
    files.save_array(target, codes)
    console.print(f"{target}: {codes.size:,} codes of shape {codes.shape}")


@app.command("decode")
def decode_file(
    source: Annotated[Path, typer.Argument(help="A .npy of uint8 codes.")],
    target: Annotated[Path, typer.Argument(help="The .npy of values to write.")],
    dtype: Annotated[
        str, typer.Option(help="float16, bfloat16, float32 or float64; all are exact.")
    ] = "float32",
) -> None:
    """Decode a tensor of HiF8 codes in a file."""
    chosen = {word.dtype.name: word.dtype for word in FLOAT_FORMATS}
    if dtype not in chosen:
        raise ValueError(f"--dtype must be one of {', '.join(chosen)}, not {dtype!r}")
    values = decode(as_codes(files.load_array(source), str(source)), chosen[dtype])
    files.save_array(target, values)
    console.print(f"{target}: {values.size:,} values of shape {values.shape}, {dtype}")


def _floats(path: Path, array: np.ndarray | None = None) -> np.ndarray:
    """Read a floating-point tensor; two raw bytes an item are bfloat16, as NumPy stores it."""
    array = files.load_array(path) if array is None else array
    if array.dtype == np.dtype("V2"):
        array = array.view(next(word.dtype for word in FLOAT_FORMATS if word.name == "bf16"))
    return as_floats(array, str(path))[0]


@app.command("matmul")
def multiply_files(
    left: Annotated[
        Path, typer.Argument(metavar="A", help="A .npy, M x K: uint8 codes, or values to encode.")
    ],
    right: Annotated[Path, typer.Argument(metavar="B", help="The same, K x N.")],
    out: Annotated[Path | None, typer.Option(help="The .npy of the product to write.")] = None,
    accumulator: Annotated[
        Literal["exact", "fp32"], typer.Option(help="fp32 rounds after every product.")
    ] = "exact",
    output: Annotated[
        Literal["fp32", "hif8"],
        typer.Option(help="What the sums are rounded to: float32 or codes."),
    ] = "fp32",
    scale: Annotated[
        int, typer.Option(min=SCALES[0], max=SCALES[-1], help="s: sums times 2^s.")
    ] = 0,
    rounding: Annotated[
        Literal["ta", "hr"] | None, typer.Option(help="To hif8; by default ta.")
    ] = None,
    saturate: Annotated[bool, typer.Option("--saturate", help="hif8: no infinities.")] = False,
    nan_to_zero: Annotated[bool, typer.Option("--nan-to-zero", help="hif8: no NaN.")] = False,
    rtl: Annotated[
        bool, typer.Option("--rtl", help="Multiply on a simulated engine, compare with golden.")
    ] = False,
    unit: Annotated[
        str | None, typer.Option(help="The engine; by default the largest that fits.")
    ] = None,
    sim: Annotated[str | None, typer.Option(help="verilator or icarus.")] = None,
    build: Build = BUILD,
) -> None:
    """Multiply matrices of HiF8 codes: the golden model, or with --rtl a simulated engine."""
    if (unit or sim) and not rtl:
        raise ValueError("--unit and --sim need --rtl: they say what simulates which engine")
    if output == "fp32" and (rounding or saturate or nan_to_zero):
        raise ValueError("--rounding, --saturate and --nan-to-zero need --output hif8")
    a, b = _matrix(left), _matrix(right)
    if a.shape[1] != len(b):
        raise ValueError(
            f"{right} must have {a.shape[1]} rows, as many as {left} has columns, not {len(b)}"
        )
    flags = {"saturate": saturate, "nan_to_zero": nan_to_zero} if output == "hif8" else {}
    mode = None if output == "fp32" else rounding or "ta"

    def golden() -> np.ndarray:
        return matmul(a, b, accumulator=accumulator, scale=scale, rounding=mode, **flags)

    if rtl:
        from .sim.engine import fitting

        options = {"hybrid": int(mode == "hr"), **flags} if mode else {}
        chosen = fitting(accumulator, output, unit)
        how = {"simulator": sim or "verilator", "root": build / "sim", "scale": scale, **options}
        c = _on_engine(a, b, chosen, golden, how)
    else:
        c = golden()
    values = c if mode is None else decode(c)
    console.print(
        f"{c.shape[0]:,} x {c.shape[1]:,} {accumulator} sums of {len(b):,} products, times "
        f"2^{scale}, to {output}: {np.isnan(values).sum():,} NaN, {np.isinf(values).sum():,} "
        f"infinite{f', in {out}' if out else ''}"
    )
    if out:
        files.save_array(out, c)


def _matrix(path: Path) -> np.ndarray:
    """Read a matrix of codes; values are encoded by TA, and it is said what became of them."""
    array = files.load_array(path)
    if array.ndim != 2:
        raise ValueError(f"{path} must be a matrix, with two axes, not of shape {array.shape}")
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind in "biu":
        known = ", ".join(word.dtype.name for word in FLOAT_FORMATS)
        raise TypeError(f"{path} must be uint8 codes or {known} values, not {array.dtype.name!r}")
    x = _floats(path, array)
    codes = encode(x)
    encoded = decode(codes)
    zero = np.count_nonzero((encoded == 0) & (x != 0))
    infinite = np.count_nonzero(np.isinf(encoded) & np.isfinite(x))
    console.print(
        f"{path} is {x.dtype.name}: {x.size:,} values encoded by TA, of which {zero:,} not zero "
        f"became zero and {infinite:,} finite became infinite"
    )
    return codes


def _on_engine(
    a: np.ndarray,
    b: np.ndarray,
    unit: "Unit",
    golden: "Callable[[], np.ndarray]",
    how: dict[str, object],
) -> np.ndarray:
    """Return a product as the simulated engine made it; leave if that is not golden's."""
    from .sim import engine
    from .toolchain import simulators
    from .toolchain.program import ToolError

    chosen = simulators.simulator(how["simulator"])
    reason = chosen.missing()
    if reason:
        raise ToolError(reason)
    with _progress() as progress:
        made = engine.multiply(
            a, b, unit=unit, progress=lambda *done: progress(unit, chosen.name, *done), **how
        )
    expected = golden()
    word = np.dtype(f"u{expected.itemsize}")
    differing = np.argwhere(made.c.view(word) != expected.view(word))
    passed = made.verdict.status == "pass" and not len(differing)
    console.print(
        f"{unit.name} under {chosen.name} {chosen.version()}: {a.size * b.shape[1]:,} products, "
        f"{made.tiles:,} tile{'s' * (made.tiles != 1)}, {made.cycles:,} cycles, "
        f"{'bit-exact' if passed else 'NOT bit-exact'} against golden"
    )
    if len(differing):
        row, column = differing[0]
        wanted, got = (_bits(matrix[row, column]) for matrix in (expected, made.c))
        console.print(
            f"{len(differing):,} of {expected.size:,} elements differ, first that of row {row}, "
            f"column {column}: expected {wanted}, got {got}"
        )
    elif not passed:
        console.print(f"FAIL: {made.verdict.note}")
    if not passed:
        raise typer.Exit(1)
    return made.c


def _bits(element: np.generic) -> str:
    """Return an element's bits and value: of a float32, or of a code."""
    bits = f"0x{int.from_bytes(element.tobytes(), 'little'):0{2 * element.itemsize}X}"
    return f"{bits} = {float(decode(element) if element.dtype == np.uint8 else element):.9g}"


@app.command()
def analyze(
    source: Annotated[
        Path, typer.Argument(help="A .npy, .npz or .safetensors of floating-point tensors.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results as CSV, and for two figures.")
    ] = None,
) -> None:
    """Say what becomes of tensors in HiF8 and in other formats of 8 bits: noise, lost values."""
    from .analysis import tensor_files, tensor_table

    found = tensor_files.look(source)
    with _advance(sum(stored.size for stored in found.tensors)) as advance:
        summary = tensor_table.measure(found, advance)
    if not console.is_terminal:  # the names of tensors are whole
        console.width = 150
    for table in tensor_table.tables(summary):
        console.print(table)
    for text in tensor_table.texts(source, found, summary):
        console.print(text, markup=False)
    for path in tensor_table.save(summary, out) if out else ():
        console.print(str(path))


@contextmanager
def _advance(total: int) -> "Iterator[Callable[[str, int], None]]":
    """Show one bar, on a terminal; yield what names the step and moves the bar."""
    from rich.markup import escape
    from rich.progress import Progress

    with Progress(console=console, disable=not console.is_terminal, transient=True) as shown:
        bar = shown.add_task("", total=total)
        yield lambda name, done: shown.update(bar, description=escape(name), advance=done)


@app.command()
def verilog(
    units: Units = None,
    out: Annotated[Path, typer.Option(help="Folder.")] = BUILD / "verilog",
) -> None:
    """Write units as Verilog-2001, one file each, and manifest.json."""
    from .hdl.configs import select
    from .hdl.export import export

    for path in export(select(units or ()), out):
        console.print(str(path))


@app.command()
def verify(
    units: Units = None,
    sim: Annotated[
        list[str] | None, typer.Option("--sim", help="verilator or icarus; both by default.")
    ] = None,
    tensor: Annotated[
        list[Path] | None,
        typer.Option(help="A .npy to run in place of the bench's cases, one a data input."),
    ] = None,
    gemms: Annotated[
        Path | None,
        typer.Option(help="A file of capture_gemms, whose dot products a MAC computes instead."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seeds the random cases.")] = None,
    random_cases: Annotated[
        int | None, typer.Option("--random", min=0, help="How many random cases.")
    ] = None,
    effort: Annotated[
        str, typer.Option(help="How much is run: quick, full or soak, which takes minutes a unit.")
    ] = "full",
    waves: Annotated[bool, typer.Option(help="Record waveforms.")] = False,
    build: Build = BUILD,
) -> None:
    """Simulate units and compare every output bit with the golden model."""
    from .hdl.baselines import ROWS
    from .hdl.configs import SMALL, select
    from .sim import verify as sim_verify
    from .sim.effort import check
    from .toolchain import simulators
    from .toolchain.program import ToolError

    check(effort)
    chosen = select(units or (), ROWS, SMALL)
    for name in sim or ():
        reason = simulators.simulator(name).missing()
        if reason:
            raise ToolError(reason)
    how: dict[str, object] = {
        "root": build / "sim",
        "seed": sim_verify.SEED if seed is None else seed,
        "effort": effort,
        "random_cases": random_cases,
        "waves": waves,
    }
    own = "--tensor" if tensor else "--gemms" if gemms else ""
    if own and (len(chosen) != 1 or (tensor and gemms)):
        raise ValueError(f"{own} takes one unit and no other cases, not {len(chosen)} units")
    if tensor:
        how["tensors"] = _words(chosen[0], tensor)
    if gemms:
        how |= _dot_products(chosen[0], gemms, int(how["seed"]))
    pairs = [(unit, name) for unit in chosen for name in sim or simulators.SIMULATORS]
    with _progress() as progress:
        verdicts = sim_verify.run_all(pairs, progress=progress, **how)
    _show_verdicts(verdicts)
    for unit, name in pairs if waves else ():
        waveform = sim_verify.waveform(unit, name, build / "sim")
        if waveform:
            console.print(f"waveform of {unit.name} under {name}: {waveform}")
    for verdict in verdicts if not own else ():
        sim_verify.save(verdict, build / "verify")
    _leave(verdicts)


def _words(unit: "Unit", paths: list[Path]) -> dict[str, np.ndarray]:
    """Read a tensor for each of a unit's data inputs, as the words that its ports take."""
    if unit.streams or not all(unit.ports[name].carries for name in unit.data_inputs):
        raise ValueError(f"--tensor takes a combinational unit of codes or words, not {unit.name}")
    if len(paths) != len(unit.data_inputs):
        needed = " ".join(f"--tensor {name.upper()}.npy" for name in unit.data_inputs)
        raise ValueError(f"{unit.name} takes {needed}, not {len(paths)} tensors")
    words = {}
    for name, path in zip(unit.data_inputs, paths, strict=True):
        source = next((w for w in FLOAT_FORMATS if w.name == unit.ports[name].carries), None)
        if source is None:
            words[name] = as_codes(files.load_array(path), str(path)).ravel()
            continue
        array = _floats(path)
        if array.dtype != source.dtype:
            console.print(f"{path} is {array.dtype.name}: converted to {source.dtype.name} first")
            with np.errstate(over="ignore"):
                array = array.astype(source.dtype)
        words[name] = array.ravel().view(source.word)
    if len({column.size for column in words.values()}) != 1:
        sizes = ", ".join(f"{name} {column.size}" for name, column in words.items())
        raise ValueError(f"the tensors of {unit.name} must be of one size, not {sizes}")
    return words


def _dot_products(unit: "Unit", path: Path, seed: int) -> dict[str, object]:
    """Read captured GEMMs as a unit's cases, and say what they are."""
    from .sim.gemms import read

    chosen = read(path, unit, seed=seed)
    ways = " and ".join(f"{count:,} {way}" for way, count in chosen.gemms.items())
    console.print(
        f"{path}: {ways} GEMMs, {chosen.sums:,} of their dot products, {chosen.products:,} products"
    )
    return {"tensors": chosen.tensors, "cases": chosen.sums}


@app.command()
def soak(
    units: Units = None,
    again: Annotated[bool, typer.Option("--again", help="Repeat what has passed, too.")] = False,
    jobs: Jobs = None,
    scheduler: Scheduler = None,
    build: Build = BUILD,
) -> None:
    """Check units as deeply as there is time for at night; goes on where it was stopped."""
    from .sim import soak as job
    from .toolchain import pool

    pool.check(jobs, scheduler)
    asked, folder = job.checks(units), build / "soak"
    done = {} if again else job.kept(asked, folder)
    left = [check for check in asked if check not in done]
    processes = jobs or os.cpu_count() or 1
    minutes = sum(check.seconds for check in left) / 60
    console.print(
        f"{len(left):,} checks, {len(done):,} more have passed before; about {minutes:,.0f} "
        f"minutes of one processor" + ("" if scheduler else f", {minutes / processes:,.0f} on all")
    )
    begin = time.perf_counter()
    how = {"root": build / "sim", "folder": folder, "jobs": jobs, "scheduler": scheduler}
    with _counting("checks", len(asked), len(done)) as advance:
        done |= job.run(left, progress=lambda check, verdict: advance(), **how)
    verdicts = [done[check] for check in asked]
    _show_soak(verdicts, time.perf_counter() - begin)
    short = job.shortfall(done)
    for line in short:
        console.print(f"FAIL: {line}")
    _leave(verdicts, failed=bool(short))


def _show_soak(verdicts: "list[Verdict]", seconds: float) -> None:
    """Print what a soak has covered."""
    table = Table("unit", "simulator", box=SIMPLE_HEAD)
    for column in ("cases", "random products", "s"):
        table.add_column(column, justify="right")
    table.add_column("verdict")
    for verdict in sorted(verdicts, key=lambda verdict: (verdict.unit, verdict.simulator)):
        table.add_row(
            verdict.unit,
            verdict.simulator,
            f"{verdict.cases:,}",
            "" if verdict.random_products is None else f"{verdict.random_products:,}",
            f"{verdict.seconds:,.1f}",
            _SAID[verdict.status],
        )
    console.print(table)
    for verdict in verdicts:
        if verdict.note:
            status = verdict.status.upper()
            console.print(f"{status}: {verdict.unit} under {verdict.simulator}: {verdict.note}")
    passed = sum(verdict.status == "pass" for verdict in verdicts)
    console.print(
        f"{passed:,} of {len(verdicts):,} checks bit-exact: "
        f"{sum(verdict.cases for verdict in verdicts):,} cases, with "
        f"{sum(verdict.random_products or 0 for verdict in verdicts):,} random products; "
        f"this run took {seconds / 60:,.1f} minutes"
    )


@app.command()
def prove(units: Units = None, build: Build = BUILD) -> None:
    """Prove properties of units for all inputs, and refute a wrong variant of each."""
    from rich.progress import track

    from .sim import proofs

    claims = [(u, p) for u in proofs.select(units or ()) for p in proofs.properties(u)]
    steps = proofs.prove_all(claims)
    shown = {"console": console, "transient": True, "disable": not console.is_terminal}
    done = list(track(steps, "proofs", len(claims), **shown))
    _show_proofs(done)
    proofs.save(done, build / "prove")
    if not all(proof.passed for proof in done):
        raise typer.Exit(1)


def _show_proofs(done: "list[Proof]") -> None:
    """Print a table for every property, and the counterexample to each that does not hold."""
    from .sim.proofs import PROPERTIES, explain, summary

    for name in (p.name for p in PROPERTIES):
        rows = [proof for proof in done if proof.property == name]
        if not rows:
            continue
        title = f"{name}: {rows[0].claim.statement}\nwrong variant: {rows[0].variant.statement}"
        console.print(f"\n{title}")
        table = Table("unit", "inputs x settings", "s", "verdict", "wrong variant", box=SIMPLE_HEAD)
        for proof in rows:
            table.add_row(
                proof.unit,
                f"2^{proof.bits} x {proof.settings}",
                f"{proof.seconds:.1f}",
                "proved" if proof.claim.proved else "REFUTED",
                summary(proof),
            )
        console.print(table)
    for proof in done:
        if proof.claim.counterexample:
            table = Table("port", "expected", "got", title=f"{proof.unit}: not {proof.property}")
            for row in explain(proof, proof.claim.counterexample):
                table.add_row(*row)
            console.print(table)
    proved = sum(proof.claim.proved for proof in done)
    refuted = sum(not proof.variant.proved for proof in done)
    console.print(
        f"{proved} of {len(done)} properties proved, {refuted} of {len(done)} wrong variants "
        f"refuted ({done[0].tool})"
    )


@app.command()
def netlist(
    units: Units = None,
    sim: Annotated[
        list[str] | None, typer.Option("--sim", help="verilator or icarus; by default verilator.")
    ] = None,
    random_cases: Annotated[
        int | None, typer.Option("--random", min=0, help="How many random cases.")
    ] = None,
    liberty: Annotated[
        Path | None, typer.Option(help="Cells to take in place of Debian's OSU 180 nm.")
    ] = None,
    build: Build = BUILD,
) -> None:
    """Map units to standard cells, run the netlists through the benches, prove they are the RTL."""
    from .hdl.configs import SMALL, UNITS, select
    from .sim import netlists
    from .toolchain import simulators
    from .toolchain.program import ToolError
    from .toolchain.synthesis import Library

    chosen, names = select(units or (), UNITS, SMALL), sim or ["verilator"]
    for name in names:
        reason = simulators.simulator(name).missing()
        if reason:
            raise ToolError(reason)
    with _progress() as progress:
        every = netlists.check_all(
            chosen,
            names,
            Library.find(liberty),
            root=build / "sim",
            cached=build / "cost" / "kept",
            saved=build / "netlists",
            random_cases=netlists.RANDOM_CASES if random_cases is None else random_cases,
            progress=progress,
        )
    _show_netlists(every)
    if not all(checked.passed for checked in every):
        raise typer.Exit(1)


def _show_netlists(every: "list[Checked]") -> None:
    """Print what became of netlists: by proof, then in the benches."""
    table = Table("unit", box=SIMPLE_HEAD)
    for column in ("cells", "registers", "modules", "s"):
        table.add_column(column, justify="right")
    table.add_column("the same as its RTL")
    for checked in every:
        answer = checked.equivalence
        said = "proved" if answer.equivalent else "REFUTED" if answer.decided else "UNDECIDED"
        modules = f"{len(answer.modules)}"
        numbers = (
            f"{checked.cells:,}",
            f"{checked.registers:,}",
            modules,
            f"{answer.seconds:.1f}",
        )
        table.add_row(checked.unit, *numbers, said)
    console.print(table)
    for checked in every:
        if checked.equivalence.difference:
            console.print(f"{checked.unit} is not its RTL: {checked.equivalence.difference}")
    _show_verdicts([verdict for checked in every for verdict in checked.verdicts])
    console.print(
        f"{sum(checked.passed for checked in every)} of {len(every)} netlists pass their benches "
        f"and are their RTL (cells of {every[0].library}, Yosys {every[0].yosys}; "
        f"{every[0].equivalence.tool})"
    )


@app.command()
def growth(
    units: Units = None,
    liberty: Annotated[
        Path | None, typer.Option(help="Cells to take in place of Debian's OSU 180 nm.")
    ] = None,
    build: Build = BUILD,
) -> None:
    """Say how files, builds, areas and proofs of dot products and engines grow with their size."""
    from dataclasses import asdict

    from .analysis import growth as shown
    from .hdl.configs import UNITS, select
    from .sim import growth as job
    from .toolchain.synthesis import Library

    os.environ["CCACHE_DISABLE"] = "1"  # builds are timed
    chosen, library = select(units or (), UNITS, job.SIZES), Library.find(liberty)
    if not console.is_terminal:  # all columns are whole
        console.width = 160
    rows = []
    for unit in chosen:  # one at a time, because they are timed
        rows.append(job.measure(unit, library, build / "cost" / "kept"))
        if not units:
            job.save(rows, library, build)
    table = Table("unit", box=SIMPLE_HEAD)
    for head in shown.COLUMNS:
        table.add_column(head, justify="right")
    for line in shown.table(map(asdict, rows)):
        table.add_row(*line)
    console.print(table)
    if not units:
        console.print(str(build / job.RESULTS))


@app.command()
def mutate(
    units: Units = None,
    count: Annotated[
        int | None, typer.Option(min=1, help="Faults a unit, if it has as many places.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Chooses the faults.")] = None,
    scheduler: Scheduler = None,
    build: Build = BUILD,
) -> None:
    """Put faults into units and see whether the benches notice every one that matters."""
    from .sim import mutants
    from .sim.verify import SEED

    with _progress() as progress:
        reports = mutants.run_all(
            mutants.select(units or ()),
            root=build / "sim",
            count=mutants.COUNT if count is None else count,
            seed=SEED if seed is None else seed,
            scheduler=scheduler,
            progress=lambda unit, done, total: progress(unit, "faults", done, total),
        )
    _show_faults(reports)
    for report in reports:
        mutants.save(report, build / "mutate")
    if any(report.of("survived") or report.of("undecided") for report in reports):
        raise typer.Exit(1)


def _show_faults(reports: "list[Report]") -> None:
    """Print what became of the faults of every unit, and each that survived."""
    table = Table("unit", box=SIMPLE_HEAD)
    verdicts = ("killed", "equivalent", "undecided", "survived")
    for column in ("faults", *verdicts, "median case", "s"):
        table.add_column(column, justify="right")
    for report in reports:
        numbers = (len(report.of(verdict)) for verdict in verdicts)
        table.add_row(
            report.unit,
            f"{len(report.faults):,}",
            *(f"{number:,}" for number in numbers),
            f"{report.median_cases:,.0f}",
            f"{report.seconds:.1f}",
        )
    console.print(table)
    for report in reports:
        for fault in report.of("survived") + report.of("undecided"):
            what = f"{report.unit} fault {fault.number}: {fault.what}"
            console.print(f"{fault.verdict.upper()}: {what}")
            console.print(f"    shows at {fault.note}")
    every = [fault.verdict for report in reports for fault in report.faults]
    console.print(
        f"{len(every):,} faults in {len(reports)} units: {every.count('killed'):,} killed, "
        f"{every.count('equivalent'):,} proved equivalent, {every.count('undecided'):,} undecided, "
        f"{every.count('survived'):,} survived "
        f"({reports[0].tool}, seed {reports[0].seed})"
    )


@app.command()
def sweep(
    unit: Annotated[str, typer.Argument(help="A combinational encoder.")],
    first: Annotated[str, typer.Option(help="First word, like 0x3F000000.")] = "0",
    last: Annotated[str | None, typer.Option(help="Last word, like 0x40FFFFFF.")] = None,
    every_setting: Annotated[
        bool, typer.Option("--every-setting", help="saturate and nan_to_zero on, too.")
    ] = False,
    jobs: Jobs = None,
    scheduler: Scheduler = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what is done.")] = False,
    build: Build = BUILD,
) -> None:
    """Run every word through an encoder's RTL; goes on where it was stopped."""
    from .sim import sweep as job
    from .toolchain import pool

    pool.check(jobs, scheduler)
    bounds = [None if text is None else _word(text) for text in (first, last)]
    if build.exists() and not build.is_dir():
        raise NotADirectoryError(f"{build} must be a folder, not a file")
    asked = job.plan(
        unit, build / "sweep", first=bounds[0], last=bounds[1], every_setting=every_setting
    )
    with job.alone(asked.folder):
        if fresh:
            job.forget(asked)
        done = job.finished(asked)
        _show_coverage(asked, done)
        begin = time.perf_counter()
        with _progress() as progress:
            every = job.run(
                asked,
                done,
                root=build / "sim",
                jobs=jobs,
                scheduler=scheduler,
                progress=partial(progress, asked.unit),
            )
        seconds = time.perf_counter() - begin
    _show_sweep(asked, every)
    cases = sum(part.count for part in asked.ranges if part not in done)
    console.print(f"this run: {cases:,} words in {seconds:.1f} s, {cases / seconds:,.0f} a second")
    if any(record.mismatches for record in every.values()):
        raise typer.Exit(1)


def _word(text: str) -> int:
    """Return the word that an option of `sweep` means."""
    try:
        return int(text, 0)
    except ValueError:
        raise ValueError(f"{text!r} must be a word like 0x3F000000") from None


def _by_label(asked: "Plan", done: "dict[Range, Record]") -> "dict[str, list[Record]]":
    """Return the records of every setting, in the order of the words."""
    labels = dict.fromkeys(part.label for part in asked.ranges)
    return {
        label: [done[p] for p in asked.ranges if p.label == label and p in done] for label in labels
    }


def _show_coverage(asked: "Plan", done: "dict[Range, Record]") -> None:
    """Print how far a sweep is."""
    for label, records in _by_label(asked, done).items():
        total = sum(part.count for part in asked.ranges if part.label == label)
        cases = sum(record.cases for record in records)
        console.print(f"{label}: {cases:,} of {total:,} words done", soft_wrap=True)


def _show_sweep(asked: "Plan", done: "dict[Range, Record]") -> None:
    """Print the table of a sweep, and the first mismatch of every setting that has one."""
    table = Table("setting", title=asked.unit.name)
    for column in ("words", "mismatches", "worker s", "in RTL", "words/s a worker", "workers"):
        table.add_column(column, justify="right")
    table.add_column("verdict")
    for label, records in _by_label(asked, done).items():
        cases, mismatches = (sum(getattr(r, n) for r in records) for n in ("cases", "mismatches"))
        seconds, rtl = (sum(getattr(r, n) for r in records) for n in ("seconds", "rtl_seconds"))
        table.add_row(
            label,
            f"{cases:,}",
            f"{mismatches:,}",
            f"{seconds:.1f}",
            f"{rtl / seconds:.0%}",
            f"{cases / seconds:,.0f}",
            f"{len({record.worker for record in records})}",
            "FAIL" if mismatches else "bit-exact",
        )
    console.print(table)
    for label, records in _by_label(asked, done).items():
        example = next((record.example for record in records if record.example), None)
        if example:
            _show_mismatch(asked.unit, example, f"{asked.unit.name} under {label}")


@app.command()
def cost(
    units: Units = None,
    liberty: Annotated[
        Path | None, typer.Option(help="Cells; by default Debian's OSU 180 nm.")
    ] = None,
    slow: Annotated[
        bool,
        typer.Option("--slow", help="Also what takes minutes: large engines, FP32 dot products."),
    ] = False,
    commands: Annotated[
        bool, typer.Option("--commands", help="Write what the units' rows are measured with.")
    ] = False,
    build: Build = BUILD,
) -> None:
    """Say what units cost: area and delay on standard cells, LUTs and clock on FPGAs."""
    from rich.progress import track

    from .analysis import cost as job
    from .analysis import cost_table
    from .analysis.figures import draw_cost
    from .toolchain.synthesis import Library

    chosen, library = job.select(units or (), slow=slow), Library.find(liberty)
    if commands:
        for unit in chosen:
            print(*job.write_files(unit, library, build), "cd - >/dev/null", "", sep="\n")
        return
    shown = {"console": console, "transient": True, "disable": not console.is_terminal}
    rows = list(track(job.measure(chosen, library, build), "units", len(chosen), **shown))
    done = job.Cost.of(rows, chosen, library)
    if not console.is_terminal:  # the names of units are whole, for commands take them
        console.width = 132
    console.print(cost_table.table(done))
    for text in cost_table.texts(done):
        console.print(text)
    if units:  # results of all units are kept, for what is read of them compares
        return
    saved = job.save(done, build / "cost")
    for path in (*saved, *draw_cost(build / "cost")):
        console.print(str(path))


@app.command()
def figures(
    out: Annotated[Path, typer.Option(help="Folder.")] = BUILD / "figures",
) -> None:
    """Draw every figure, with its data as CSV."""
    from .analysis.figures import build

    for path in build(out, step=_step):
        console.print(str(path))


@app.command()
def report(build: Build = BUILD) -> None:
    """Write the report of what is there; figures that would become the same are left."""
    from .demo import write_report

    console.print(f"report: {write_report(build, step=_step)}")


@app.command()
def values() -> None:
    """Print the typical values of HiF8 and of other formats (paper, Table 4)."""
    from .analysis.values import compute

    rows = compute()
    table = Table(*rows[0], show_lines=True)
    for row in rows:
        table.add_row(*row.values())
    console.print(table)


@app.command()
def bench(
    units: Units = None,
    elements: Annotated[int, typer.Option(min=1, help="Array size.")] = 10_000_000,
    rtl: Annotated[
        bool, typer.Option("--rtl", help="The benches of units, beside a bare loop in C++.")
    ] = False,
    seconds: Annotated[
        float, typer.Option(min=0.1, help="With --rtl: how long each is measured.")
    ] = 5.0,
    build: Build = BUILD,
) -> None:
    """Time the golden model against its peers; with --rtl the benches of sums and engines."""
    if rtl:
        _time_benches(units or [], seconds, build)
        return
    if units:
        raise ValueError("units need --rtl: without it the golden model is timed")
    from .analysis.speed import measure, table

    console.print(table(measure(elements)))


def _time_benches(names: list[str], seconds: float, build: Path) -> None:
    """Measure benches, and print how fast they are beside bare loops around the same Verilog."""
    from .sim import speed

    table = Table("unit", title="benches under Verilator beside a bare C++ loop, one copy a unit")
    columns = (
        "lanes",
        "bare cycles/s",
        "bare results/s",
        "bench results/s",
        "ratio",
        "of CPU time",
    )
    for column in columns:
        table.add_column(column, justify="right")
    for unit in speed.chosen(names):
        row = speed.measure(unit, seconds, build / "sim")
        table.add_row(
            row.unit,
            f"{row.lanes}",
            *(f"{rate:,.0f}" for rate in (row.bare_cycles, row.bare_results, row.results)),
            *(f"{ratio:.2f}" for ratio in (row.ratio, row.cpu_ratio)),
        )
    console.print(table)
    console.print(
        "Results are sums, or rows of a product. The bench draws its cases, simulates, computes "
        "golden's results and compares. The last column has seconds of processors in place of the "
        "clock's."
    )


@app.command()
def vectors(
    out: Annotated[Path, typer.Argument(help="Folder.")],
) -> None:
    """Write conformance vectors: what any HiF8 decoder and encoder must give, as text."""
    from .golden.vectors import write

    for path in write(out):
        console.print(str(path))


@app.command()
def datasheet(units: Units = None, build: Build = BUILD) -> None:
    """Write a page for every module: ports, special values, costs, and how it was checked."""
    import json

    from .analysis import datasheet as pages
    from .analysis import results
    from .hdl import export
    from .hdl.configs import select

    found = results.read(build)
    manifest = json.loads(export.texts(select(units or ()))[export.MANIFEST])
    for path in pages.build(build / "report" / pages.FOLDER, manifest, found):
        console.print(str(path))


@app.command()
def release(build: Build = BUILD) -> None:
    """Pack what a hardware project needs, without Python: Verilog, datasheets, vectors, a bench."""
    from . import release as job

    made = job.run(build, step=_step)
    console.print(
        f"{made.path}: {made.files:,} files; of {made.modules} modules {made.checked} have results "
        f"of checks in their datasheets, {made.measured} their cost"
    )


@app.command()
def workloads(
    names: Annotated[
        list[str] | None, typer.Argument(help="Workloads; all of them by default.")
    ] = None,
    formats: Annotated[
        str | None, typer.Option(help="Like fp32,hif8_ta; by default those of the paper's table.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Pairs of runs; by default 8, or 1 with --quick.")
    ] = None,
    loss_scale: Annotated[
        str | None,
        typer.Option(
            help="Like recipe,none,als,pts,4096; by default recipe,none, or recipe with --quick."
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Small runs, a few seconds each.")] = False,
    jobs: Jobs = None,
    scheduler: Scheduler = None,
    build: Build = BUILD,
) -> None:
    """Train published systems in 8-bit formats beside FP32; goes on where it was stopped."""
    from importlib.util import find_spec

    if not find_spec("torch"):
        raise RuntimeError("torch is not installed: make training")
    from .analysis.workloads.harness import batch, results, runs, table

    chosen = (formats or ",".join(runs.FORMATS)).split(",")
    chosen = list(dict.fromkeys([table.REFERENCE, *chosen]))  # all are measured by it
    asked = runs.plan(
        runs.select(names or ()),
        chosen,
        (loss_scale or ("recipe" if quick else "recipe,none")).split(","),
        seeds or (1 if quick else 8),
        quick=quick,
    )
    folder = build / "workloads"
    found, stale = results.load(folder / "runs", asked)
    if stale:
        console.print(
            f"{folder}: {stale:,} results of another version are left aside, and run anew"
        )
    left = [setting for setting in asked if setting not in found]
    begin = time.perf_counter()
    done = batch.run_all(left, folder / "runs", jobs=jobs, scheduler=scheduler)
    with closing(done), _counting("runs", len(asked), len(found)) as advance:
        for result in done:
            found[result.setting] = result
            advance()
    seconds = sum(found[setting].seconds for setting in left)
    console.width = max(console.width, 132)
    console.print(table.table(found, chosen))
    for line in table.texts(found, chosen):
        console.print(line, soft_wrap=True)
    path = folder / ("quick.csv" if quick else "table.csv")
    console.print(str(files.write_csv(path, list(table.rows(found, chosen)))))
    console.print(
        f"this run: {len(left):,} of {len(asked):,} runs in {time.perf_counter() - begin:.0f} s, "
        f"{seconds:.0f} s of processor time"
    )


@contextmanager
def _counting(what: str, total: int, done: int) -> "Iterator[Callable[[], None]]":
    """Show a bar with the time left, on a terminal; yield what moves it."""
    from rich.progress import Progress

    shown = Progress(console=console, disable=not console.is_terminal, transient=True)
    with shown:
        bar = shown.add_task(what, total=total, completed=done)
        yield lambda: shown.advance(bar)


@app.command()
def demo(build: Build = BUILD) -> None:
    """Do the main job: a real network through RTL, every bench, the figures, the report."""
    from . import demo as job

    with _progress() as progress:
        outcome = job.run(build, step=_step, progress=progress)
    _show_verdicts(outcome.verdicts)
    digits = outcome.digits
    console.print(
        f"digits on RTL ({digits.simulator}): {digits.images} images, {digits.encodes:,} encodes, "
        f"{digits.decodes:,} decodes; {digits.engine}: {digits.products:,} products, "
        f"{digits.tiles:,} tiles, {digits.cycles:,} cycles; "
        f"{'bit-exact' if digits.bit_exact else 'NOT bit-exact'} against golden\n"
        f"accuracy: FP32 {digits.accuracy_fp32:.2%}, HiF8 GEMM inputs {digits.accuracy_hif8:.2%}"
    )
    console.print(f"report: {outcome.page}")
    _leave(outcome.verdicts, failed=not outcome.passed)


def _step(text: str) -> None:
    """Say what is done next."""
    console.print(f"- {text}")


@contextmanager
def _progress() -> "Iterator[Callable[[Unit, str, int, int], None]]":
    """Show a bar for every running simulation, on a terminal; yield what moves the bars."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    bars: dict[tuple[str, str], int] = {}
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    shown = Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
    with shown:

        def move(unit: "Unit", name: str, done: int, total: int) -> None:
            key = unit.name, name
            if key not in bars:
                bars[key] = shown.add_task(f"{unit.name} under {name}", total=None)
            shown.update(bars[key], completed=done, total=total or None)

        yield move


def _show_verdicts(verdicts: "list[Verdict]") -> None:
    """Print the table of verdicts, and the first mismatch of each that has one."""
    from .hdl.baselines import ROWS

    table = Table("unit", "simulator")
    for column in ("cases run", "expected", "mismatches", "values/s"):
        table.add_column(column, justify="right")
    table.add_column("verdict")
    for verdict in verdicts:
        ran = verdict.status != "not run"
        numbers = (verdict.cases, verdict.expected, verdict.mismatches, round(verdict.rate))
        table.add_row(
            verdict.unit,
            f"{verdict.simulator} {verdict.simulator_version}".strip(),
            *(f"{number:,}" if ran else "-" for number in numbers),
            _SAID[verdict.status],
        )
    console.print(table)
    covered = [verdict.coverage for verdict in verdicts if verdict.coverage]
    if covered:
        hit, bins = (sum(coverage[key] for coverage in covered) for key in ("hit", "bins"))
        console.print(f"coverage: {hit:,} of {bins:,} bins")
    for verdict in verdicts:
        if verdict.note:
            status = verdict.status.upper()
            console.print(f"{status}: {verdict.unit} under {verdict.simulator}: {verdict.note}")
        if verdict.first:
            _show_mismatch(ROWS[verdict.unit], verdict.first, verdict.unit)


def _show_mismatch(unit: "Unit", first: dict[str, dict[str, int]], where: str) -> None:
    """Print a mismatch, port by port."""
    from .sim.verify import explain

    table = Table("port", "expected", "got", title=f"first mismatch: {where}")
    for port, expected, got in explain(unit, first):
        table.add_row(port, expected, f"{got}  <--" if got not in ("", expected) else got)
    console.print(table)


def _leave(verdicts: "list[Verdict]", *, failed: bool = False) -> None:
    """Exit with 1 if anything failed; in CI also if anything was not run."""
    statuses = {verdict.status for verdict in verdicts}
    if failed or "fail" in statuses or ("not run" in statuses and os.environ.get("CI")):
        raise typer.Exit(1)


def main() -> int:
    """Run the command; every error that is not a bug ends in one line.

    Returns
    -------
    int
        Exit status: 0, or 1 for a failure, 2 for a wrong call, 130 for Ctrl-C.
    """
    try:
        status = app(standalone_mode=False) or 0
        if status == INTERRUPTED:  # which typer makes of Ctrl-C, in silence
            raise KeyboardInterrupt
        return status
    except (KeyboardInterrupt, typer.Abort):
        print("hif8: interrupted", file=sys.stderr)
        return INTERRUPTED
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"hif8: {where}{error.strerror or error}", file=sys.stderr)
        return 1
    except Exception as error:
        if os.environ.get("HIF8_TRACEBACK"):
            raise
        if hasattr(error, "format_message"):  # typer's own, for a wrong call
            print(f"hif8: {error.format_message()} (see hif8 --help)", file=sys.stderr)
            return 2
        expected = isinstance(error, ValueError | TypeError | RuntimeError)
        hint = "" if expected else f" ({type(error).__name__}; HIF8_TRACEBACK=1 shows where)"
        print(f"hif8: {' '.join(str(error).split())}{hint}", file=sys.stderr)
        return 1
