# SPDX-License-Identifier: Apache-2.0
"""The main job: real tensors through every room once, from training to the report.

Imports every room. The digits network's tensors are encoded, multiplied and decoded by simulated
RTL; the same forward pass on the golden model must give the same bits.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from . import files
from .analysis import digits, figures, report, values
from .golden.arithmetic import Product, multiply, product_values
from .golden.encode import encode, quantize
from .hdl import export
from .hdl.configs import UNITS, Unit
from .sim import verify
from .sim.simulators import SIMULATORS, SimulatorError

COMMAND = "hif8 demo"
SIMULATOR = "verilator"
"""Runs the network; the benches run under every simulator."""
NAMES = ("decoder", "encoder_fp32_ta", "encoder_fp32", "to_fp32", "multiplier")
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
    encodes, products, decodes : int
        What the RTL encoded, multiplied and decoded.
    bit_exact : bool
        Whether all of it, logits included, equals golden.
    simulator, command : str
        What ran it.
    """

    accuracy_fp32: float
    accuracy_hif8: float
    images: int
    encodes: int
    products: int
    decodes: int
    bit_exact: bool
    simulator: str
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


class Circuits:
    """The units as functions on arrays, each call a simulation, and a count of what they did."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.done: dict[str, int] = {}
        self.wrong = 0

    def _run(self, name: str, **tensors: np.ndarray) -> dict[str, np.ndarray]:
        unit = UNITS[name]
        options = dict.fromkeys(unit.options, 0)
        verdict, outputs = verify.run(
            unit, SIMULATOR, root=self.root, tensors=tensors, options=options
        )
        self.done[name] = self.done.get(name, 0) + verdict.cases
        self.wrong += verdict.status != "pass"
        return outputs

    def encode(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        """Encode in RTL."""
        return self._run("encoder_fp32_ta", x=x.view(np.uint32))["code"]

    def multiply(
        self, a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]
    ) -> npt.NDArray[np.float32]:
        """Multiply in RTL; the fields of the exact products are read as values."""
        fields = self._run("multiplier", a=a, b=b)
        return product_values(Product(**{name: fields[name] for name in Product._fields}))

    def decode(self, codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Decode in RTL."""
        return self._run("to_fp32", code=codes)["x"].view(np.float32)


def classify(root: Path) -> Digits:
    """Run the digits network on RTL and on golden, and compare.

    Parameters
    ----------
    root : Path
        Folder of builds and runs.

    Returns
    -------
    Digits
        Counts, accuracies, and whether all bits agree.
    """
    network = digits.train()
    rtl = Circuits(root)
    logits = digits.forward(network, encode=rtl.encode, multiply=rtl.multiply)
    expected = digits.forward(network, encode=encode, multiply=multiply)
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
        products=rtl.done["multiplier"],
        decodes=rtl.done["to_fp32"],
        bit_exact=same and not rtl.wrong,
        simulator=f"{SIMULATOR} {SIMULATORS[SIMULATOR].version()}",
    )


def run(
    build: Path,
    *,
    step: Callable[[str], None],
    progress: Callable[[Unit, str, int, int], None],
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
    SimulatorError
        If the simulator that runs the network is missing, or one could not be run to the end.
    OSError
        If something cannot be written.
    """
    missing = SIMULATORS[SIMULATOR].missing()
    if missing:
        raise SimulatorError(missing)
    step("Verilog of every unit")
    export.export(list(UNITS.values()), build / "verilog")
    step(f"{', '.join(NAMES)} against golden, under every simulator")
    pairs = [(UNITS[unit], name) for unit in NAMES for name in SIMULATORS]
    verdicts = verify.run_all(pairs, root=build / "sim", progress=progress)
    for verdict in verdicts:
        verify.save(verdict, build / "verify")
    step(f"the digits network on RTL, under {SIMULATOR}")
    classified = classify(build / "sim")
    files.write(build / "digits.json", (json.dumps(asdict(classified), indent=2) + "\n").encode())
    step("figures and report")
    figures.build(build / "figures")
    page = report.render(
        build / "report",
        verdicts=[asdict(verdict) for verdict in verdicts],
        demo=asdict(classified),
        figures=figures.read(build / "figures"),
        values_rows=values.compute(),
        manifest=json.loads((build / "verilog" / "manifest.json").read_text()),
    )
    return Outcome(verdicts, classified, page)
