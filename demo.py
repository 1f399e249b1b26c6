# SPDX-License-Identifier: Apache-2.0
"""The main job: real tensors through every room once, from training to the report.

Imports every room. The digits network's tensors are encoded and decoded by simulated RTL, and its
matrix products go through a simulated matrix engine tile by tile; the same forward pass on the
golden model must give the same bits.
"""

import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from . import files
from .analysis import (
    cost,
    cost_table,
    datasheet,
    digits,
    figures,
    growth,
    learning,
    report,
    results,
    values,
)
from .golden.encode import encode, quantize
from .golden.matmul import matmul
from .hdl import export
from .hdl.configs import UNITS, Unit
from .sim import engine, verify
from .toolchain.program import ToolError
from .toolchain.simulators import SIMULATORS

COMMAND = "hif8 demo"
SIMULATOR = "verilator"
"""Runs the network; the benches run under every simulator."""
ENGINE = UNITS["matrix8x8_exact_to_fp32"]
"""Multiplies the network's matrices."""
PATH = ("encoder_fp32_ta", ENGINE.name, "to_fp32")
"""What the network's tensors go through."""
EFFORT = "quick"
"""Of the benches: `make test` and `make soak` run more."""
NAMES = ("decoder", "encoder_fp32_ta", "encoder_fp32", "to_fp32", "multiplier", ENGINE.name)
"""The units of the path that the network's tensors take, and the encoder that has HR besides TA.

`hif8 verify` runs all there are.
"""


@dataclass(frozen=True)
class Digits:
    """What the digits network gave.

    Attributes
    ----------
    accuracy_fp32, accuracy_hif8 : float
        Share of the test images classified rightly, with FP32 and with HiF8 matrix inputs.
    images : int
        Test images.
    encodes, decodes : int
        What the RTL encoded and decoded.
    products, tiles, cycles : int
        What the matrix products ask for, in how many tiles the engine made it, and in how many
        clock cycles.
    bit_exact : bool
        Whether all of it, logits included, equals golden.
    simulator, engine, command : str
        What ran it, and which unit multiplied.
    verilog : dict of str
        SHA-256 of the Verilog of every unit that was simulated.
    """

    accuracy_fp32: float
    accuracy_hif8: float
    images: int
    encodes: int
    decodes: int
    products: int
    tiles: int
    cycles: int
    bit_exact: bool
    simulator: str
    verilog: dict[str, str]
    engine: str = ENGINE.name
    command: str = COMMAND


@dataclass(frozen=True)
class Outcome:
    """What the main job gave."""

    verdicts: list[verify.Verdict]
    digits: Digits
    page: Path

    @property
    def passed(self) -> bool:
        """Whether everything that was run is bit-exact; what was not run is not held against it."""
        return self.digits.bit_exact and all(v.status != "fail" for v in self.verdicts)


Progress = Callable[[Unit, str, int, int], None]


class Circuits:
    """The units as functions on arrays, each call a simulation, and counts of what they did."""

    def __init__(self, root: Path, progress: Progress) -> None:
        self.root = root
        self.progress = progress
        self.done: Counter[str] = Counter()
        self.wrong = 0

    def _how(self, unit: Unit) -> dict[str, object]:
        """Return the arguments of every simulation."""
        return {"root": self.root, "progress": partial(self.progress, unit, SIMULATOR)}

    def _run(self, name: str, **tensors: np.ndarray) -> dict[str, np.ndarray]:
        unit = UNITS[name]
        options = dict.fromkeys(unit.options, 0)
        verdict, outputs = verify.run(
            unit, SIMULATOR, tensors=tensors, options=options, **self._how(unit)
        )
        self.done[name] += verdict.cases
        self.wrong += verdict.status != "pass"
        return outputs

    def encode(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        """Encode in RTL."""
        return self._run("encoder_fp32_ta", x=x.view(np.uint32))["code"]

    def matmul(self, a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Multiply matrices in RTL."""
        made = engine.multiply(a, b, unit=ENGINE, simulator=SIMULATOR, **self._how(ENGINE))
        products = a.shape[0] * a.shape[1] * b.shape[1]
        self.done.update(products=products, tiles=made.tiles, cycles=made.cycles)
        self.wrong += made.verdict.status != "pass"
        return made.c

    def decode(self, codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Decode in RTL."""
        return self._run("to_fp32", code=codes)["x"].view(np.float32)


def classify(root: Path, progress: Progress = lambda *_: None) -> Digits:
    """Run the digits network on RTL and on golden, and compare.

    Parameters
    ----------
    root : Path
        Folder of builds and runs.
    progress : callable
        As for `sim.verify.run_all`.

    Returns
    -------
    Digits
        Counts, accuracies, and whether all bits agree.
    """
    network = digits.train()
    rtl = Circuits(root, progress)
    logits = digits.forward(network, encode=rtl.encode, matmul=rtl.matmul)
    expected = digits.forward(network, encode=encode, matmul=matmul)
    tensors = np.concatenate([tensor.ravel() for tensor in digits.tensors(network).values()])
    decoded = rtl.decode(rtl.encode(tensors))
    same = np.array_equal(logits.view(np.uint32), expected.view(np.uint32)) and np.array_equal(
        decoded.view(np.uint32), quantize(tensors).view(np.uint32)
    )
    return Digits(
        accuracy_fp32=digits.accuracy(digits.forward_fp32(network), network.test_labels),
        accuracy_hif8=digits.accuracy(logits, network.test_labels),
        images=len(network.test_labels),
        encodes=rtl.done["encoder_fp32_ta"],
        decodes=rtl.done["to_fp32"],
        **{name: rtl.done[name] for name in ("products", "tiles", "cycles")},
        bit_exact=same and not rtl.wrong,
        simulator=f"{SIMULATOR} {SIMULATORS[SIMULATOR].version()}",
        verilog={name: verify.digest(UNITS[name]) for name in PATH},
    )


def run(
    build: Path,
    *,
    step: Callable[[str], None],
    progress: Progress,
) -> Outcome:
    """Do the main job.

    Parameters
    ----------
    build : Path
        Folder of everything made.
    step : callable
        Told what is done next.
    progress : callable
        As for `sim.verify.run_all`.

    Returns
    -------
    Outcome
        Verdicts, the network's result, and the page of the report.

    Raises
    ------
    ToolError
        If the simulator that runs the network is missing, or one could not be run to the end.
    OSError
        If something cannot be written.
    """
    missing = SIMULATORS[SIMULATOR].missing()
    if missing:
        raise ToolError(missing)
    _exported(build, step)
    step(f"{', '.join(NAMES)} against golden, under every simulator")
    pairs = [(UNITS[unit], name) for unit in NAMES for name in SIMULATORS]
    with ThreadPoolExecutor(1) as beside:  # simulators leave this process idle: it draws
        drawn = beside.submit(figures.build, build / "figures")
        verdicts = verify.run_all(pairs, root=build / "sim", effort=EFFORT, progress=progress)
        drawn.result()
    for verdict in verdicts:
        verify.save(verdict, build / "verify")
    step(f"the digits network on RTL, under {SIMULATOR}")
    classified = classify(build / "sim", progress)
    files.write(build / results.DIGITS, (json.dumps(asdict(classified), indent=2) + "\n").encode())
    return Outcome(verdicts, classified, write_report(build, step))


def write_report(build: Path, step: Callable[[str], None]) -> Path:
    """Write the report and the datasheets of what is there, and draw what figures have changed.

    Parameters
    ----------
    build : Path
        Folder of everything made. What was not run, or is of Verilog that has changed since, the
        report calls not run.
    step : callable
        Told what is done next.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    OSError
        If something cannot be written.
    ValueError
        If a result is damaged.
    """
    manifest = _exported(build, step)
    figures.build(build / "figures", step=lambda title: step(f"figure: {title}"))
    step("datasheets and report")
    found = results.read(build)
    hashes = {module["unit"]: module["sha256"] for module in manifest["modules"]}
    classified = found.digits
    if classified and classified.get("verilog") != {name: hashes[name] for name in PATH}:
        classified = None
    datasheet.build(build / "report" / datasheet.FOLDER, manifest, found)
    return report.render(
        build / "report",
        verdicts=_current(found.verdicts, hashes),
        demo=classified,
        figures=figures.read(build / "figures"),
        values_rows=values.compute(),
        manifest=manifest,
        cost=cost_table.page(cost.read(cost.MEASURED)),
        learning=learning.page(learning.read()),
        datasheets={name: datasheet.address(name) for name in UNITS},
        growth=growth.page(),
        soaked=found.soaked,
    )


def _exported(build: Path, step: Callable[[str], None]) -> dict[str, Any]:
    """Write every unit's Verilog, and return the manifest."""
    step("Verilog of every unit")
    export.export(list(UNITS.values()), build / "verilog")
    return json.loads((build / "verilog" / export.MANIFEST).read_text())


def _current(
    verdicts: dict[str, list[dict[str, Any]]], hashes: dict[str, str]
) -> list[dict[str, Any]]:
    """Return all verdicts in the order of the units; one of other Verilog counts as not run."""
    return [
        verdict
        if verdict.get("verilog") == sha256
        else verdict | {"status": "not run", "note": "its Verilog has changed since"}
        for unit, sha256 in hashes.items()
        for verdict in verdicts.get(unit, [])
    ]
