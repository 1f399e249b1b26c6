# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The units: every named configuration that is exported, verified and costed, one row each.

Imports `golden.format` and the components of `hdl`. `verilog`, `verify` and the other commands
walk these rows and know no unit by name.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from amaranth.lib import wiring

from ..golden.format import BF16, FP16, FP32
from .axi import AxiStream
from .converter import ToFloat
from .decoder import Decoder
from .dot import DotProduct
from .encoder import Encoder
from .layouts import Port
from .mac import Mac
from .matrix import MatrixEngine
from .multiplier import Multiplier
from .readout import Readout
from .unit import HANDSHAKE, Combinational, StreamPorts, StreamUnit


@dataclass(frozen=True, eq=False)
class Unit:
    """One configuration of a component.

    Attributes
    ----------
    name : str
        What commands call it; the module is ``<prefix>_<name>``.
    summary : str
        What it does, in a line.
    component : callable
        The component's class.
    bench : str
        What checks it: `sim.bench_<bench>`.
    parameters : dict
        Keyword arguments of the component.
    options : tuple of str
        Those inputs that are run-time options, not data.
    core : Unit, optional
        The unit inside a streamed one, or inside one with AXI4-Stream ports.
    prefix : str
        Begins the module's name.
    format : str
        The format that it is for.
    large : bool
        Whether it takes too long, in simulation or synthesis, for what runs every unit.
    """

    name: str
    summary: str
    component: Callable[..., wiring.Component]
    bench: str
    parameters: dict[str, object] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    core: "Unit | None" = None
    prefix: str = "hif8"
    format: str = "HiFloat8 (HiF8), arXiv 2409.16626"
    large: bool = False

    @property
    def module(self) -> str:
        """The name of the Verilog module."""
        return f"{self.prefix}_{self.name}"

    def build(self) -> wiring.Component:
        """Return a fresh instance of the component."""
        return self.component(**self.parameters)

    @cached_property
    def _component(self) -> wiring.Component:
        """One instance, to be asked about itself."""
        return self.build()

    @property
    def ports(self) -> dict[str, Port]:
        """The ports, in the order of the module's header."""
        return self._component.ports

    @property
    def _inner(self) -> Combinational | StreamUnit:
        """What is between the ports."""
        return getattr(self._component, "unit", self._component)

    @property
    def latency(self) -> int:
        """Clock edges from an accepted input to its output with no stall."""
        return self._component.latency

    @property
    def initiation_interval(self) -> int | None:
        """Clock cycles from one accepted input to the next with no stall; None without a clock."""
        return self._inner.initiation_interval

    @property
    def waits(self) -> str:
        """What waits longer than `initiation_interval`, though the receiver is ready."""
        return getattr(self._inner, "waits", "")

    @property
    def max_products(self) -> int | None:
        """How many products a sum may have; None if any number, or if that is no question."""
        return self._inner.max_products

    @property
    def streams(self) -> bool:
        """Whether it has registers and handshakes, and takes an item a cycle."""
        return "clk" in self.ports

    @property
    def products(self) -> int:
        """How many products it computes in a cycle; 1 if that is no question."""
        size = {"lanes": 1, "rows": 1, "cols": 1} | self.parameters
        return size["lanes"] * size["rows"] * size["cols"]

    @property
    def data_inputs(self) -> tuple[str, ...]:
        """The inputs that carry values."""
        return tuple(
            name
            for name, port in self.ports.items()
            if port.member.flow == wiring.In and name not in (*self.options, *HANDSHAKE)
        )

    @property
    def outputs(self) -> tuple[str, ...]:
        """The outputs."""
        return tuple(
            name
            for name, port in self.ports.items()
            if port.member.flow == wiring.Out and name not in HANDSHAKE
        )


_OPTIONS = ("hybrid", "saturate", "nan_to_zero")
_WORDS = (FP32, FP16, BF16)


def _encoders() -> Iterator[Unit]:
    """Yield the encoders: both modes, TA alone, and HR that keeps exact values where it matters."""
    for source in _WORDS:
        name, title = source.name, source.name.upper()
        yield Unit(
            f"encoder_{name}",
            f"{title} to HiF8 by TA or HR",
            Encoder,
            bench="encoder",
            parameters={"source": source, "hybrid": True},
            options=_OPTIONS,
        )
        yield Unit(
            f"encoder_{name}_ta",
            f"{title} to HiF8, rounding half away from zero (TA)",
            Encoder,
            bench="encoder",
            parameters={"source": source},
            options=_OPTIONS[1:],
        )
    yield Unit(
        "encoder_fp32_keep_exact",
        "FP32 to HiF8 by TA, or by HR that leaves exact values as they are",
        Encoder,
        bench="encoder",
        parameters={"source": FP32, "hybrid": True, "keep_exact": True},
        options=_OPTIONS,
    )


def _converters() -> Iterator[Unit]:
    """Yield the conversions from HiF8."""
    for target in _WORDS:
        yield Unit(
            f"to_{target.name}",
            f"HiF8 to {target.name.upper()}, exact",
            ToFloat,
            bench="converter",
            parameters={"target": target},
        )


def _streamed(unit: Unit) -> Iterator[Unit]:
    """Yield a unit's versions with registers and handshakes."""
    for latency in (1, 2):
        yield Unit(
            f"{unit.name}_s{latency}",
            f"{unit.summary}; a stream with {latency} register stage{'s' * (latency > 1)}",
            StreamPorts,
            bench="stream",
            parameters={"unit": unit.component, "latency": latency, **unit.parameters},
            core=unit,
        )


def _sums() -> Iterator[Unit]:
    """Yield the MACs and the dot products: exact, FP32, and FP32 whose vectors take turns."""
    kinds = {"exact": "an exact sum", "fp32": "an FP32 sum"}
    for accumulator, into in kinds.items():
        yield Unit(
            f"mac_{accumulator}",
            f"HiF8 multiply-accumulate into {into}",
            StreamPorts,
            bench="sum",
            parameters={"unit": Mac, "accumulator": accumulator},
        )
    yield Unit(
        "mac_fp32_i3",
        "HiF8 multiply-accumulate into three FP32 sums that take turns",
        StreamPorts,
        bench="sum",
        parameters={"unit": Mac, "accumulator": "fp32", "interleave": 3},
    )
    yield Unit(
        "mac_exact_fast",
        "HiF8 multiply-accumulate into an exact sum, in four pieces for a fast clock",
        StreamPorts,
        bench="sum",
        parameters={"unit": Mac, "accumulator": "exact", "segments": 4, "latency": 8},
    )
    for lanes in (4, 32):
        for accumulator, into in kinds.items():
            yield Unit(
                f"dot{lanes}_{accumulator}",
                f"HiF8 dot product, {lanes} elements a beat, into {into}",
                StreamPorts,
                bench="sum",
                parameters={"unit": DotProduct, "lanes": lanes, "accumulator": accumulator},
            )


def _readouts() -> Iterator[Unit]:
    """Yield the read-outs of exact sums."""
    for output in ("fp32", "hif8"):
        yield Unit(
            f"readout_{output}",
            f"exact sum times a power of two to {output.upper().replace('HIF', 'HiF')}",
            Readout,
            bench="readout",
            parameters={"accumulator": "exact", "output": output},
            options=_OPTIONS if output == "hif8" else (),
        )


def _engines() -> Iterator[Unit]:
    """Yield the matrix engines: the one that runs a network, small ones of every kind, and large.

    The exported text of large ones is short, but a simulator or Yosys has all of their cells.
    """
    for size, accumulator, output in (
        (8, "exact", "fp32"),
        (16, "exact", "fp32"),
        (32, "exact", "fp32"),
        (4, "exact", "hif8"),
        (4, "fp32", "fp32"),
        (4, "fp32", "hif8"),
    ):
        title = output.upper().replace("HIF", "HiF")
        yield Unit(
            f"matrix{size}x{size}_{accumulator}_to_{output}",
            f"HiF8 matrix engine, tiles of {size} x {size} {accumulator} sums read out as {title}",
            StreamPorts,
            bench="matrix",
            parameters={
                "unit": MatrixEngine,
                "rows": size,
                "cols": size,
                "accumulator": accumulator,
                "output": output,
            },
            large=size > 8,
        )


def _axi(unit: Unit, **more: object) -> Unit:
    """Return a unit's version with AXI4-Stream ports."""
    wrapped = unit.parameters if unit.streams else {"unit": unit.component, **unit.parameters}
    return Unit(
        f"axi_{unit.name}",
        f"{unit.summary}; AXI4-Stream",
        AxiStream,
        bench="axi",
        parameters=wrapped | more,
        core=unit,
    )


def _rows() -> Iterator[Unit]:
    """Yield all rows, in the order of the manifest."""
    yield Unit(
        "decoder",
        "HiF8 code to sign, exponent, significand and flags",
        Decoder,
        bench="decoder",
    )
    encoders, converters = list(_encoders()), list(_converters())
    yield from encoders
    yield from converters
    yield Unit(
        "multiplier",
        "HiF8 times HiF8, exact product",
        Multiplier,
        bench="multiplier",
    )
    yield from _readouts()
    for unit in (*encoders, *converters):
        if not unit.name.endswith(("_ta", "_keep_exact")):
            yield from _streamed(unit)
    sums = {unit.name: unit for unit in (*_sums(), *_engines())}
    yield from sums.values()
    yield _axi(encoders[0], latency=2, options=_OPTIONS)
    yield _axi(sums["mac_exact"])
    yield _axi(sums["dot4_fp32"], fixed=("acc",))
    yield _axi(sums["matrix4x4_exact_to_hif8"], options=("scale", *_OPTIONS))


UNITS = {unit.name: unit for unit in _rows()}


SMALL = {name: unit for name, unit in UNITS.items() if not unit.large}
"""The units that a command may run one after the other."""


def select(
    names: Iterable[str] = (),
    among: dict[str, Unit] = UNITS,
    every: Iterable[str] = tuple(UNITS),
) -> list[Unit]:
    """Return the rows of the given names.

    Parameters
    ----------
    names : iterable of str
        Names of rows.
    among : dict of Unit
        The rows that may be named.
    every : iterable of str
        Names of the rows if none is given; by default of all that are exported.

    Raises
    ------
    ValueError
        If there is no such unit.
    """
    names = list(names) or list(every)
    for name in names:
        if name not in among:
            raise ValueError(f"unit must be one of {', '.join(among)}, not {name!r}")
    return [among[name] for name in dict.fromkeys(names)]
