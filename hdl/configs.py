# SPDX-License-Identifier: Apache-2.0
"""The units: every named configuration that is exported, verified and costed, one row each.

Imports `golden.format` and the components of `hdl`. `verilog`, `verify` and the other commands
walk these rows and know no unit by name.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from amaranth.hdl import Fragment
from amaranth.lib import wiring

from ..golden.format import BF16, FP16, FP32
from .converter import ToFloat
from .decoder import Decoder
from .encoder import Encoder
from .layouts import Port
from .multiplier import Multiplier
from .unit import StreamPorts


@dataclass(frozen=True, eq=False)
class Unit:
    """One configuration of a component.

    Attributes
    ----------
    name : str
        What commands call it; the module is ``hif8_<name>``.
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
        The combinational unit inside a streamed one.
    """

    name: str
    summary: str
    component: Callable[..., wiring.Component]
    bench: str
    parameters: dict[str, object] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    core: "Unit | None" = None

    @property
    def module(self) -> str:
        """The name of the Verilog module."""
        return f"hif8_{self.name}"

    def build(self) -> wiring.Component:
        """Return a fresh instance of the component."""
        return self.component(**self.parameters)

    @cached_property
    def _component(self) -> wiring.Component:
        """One instance, to be asked about itself; elaborated, for Amaranth warns of unused ones."""
        component = self.build()
        Fragment.get(component, None)
        return component

    @property
    def ports(self) -> dict[str, Port]:
        """The ports, in the order of the module's header."""
        return self._component.ports

    @property
    def latency(self) -> int:
        """Clock edges from an accepted input to its output with no stall."""
        return self._component.latency

    @property
    def data_inputs(self) -> tuple[str, ...]:
        """The inputs that carry values."""
        return tuple(
            name
            for name, port in self.ports.items()
            if port.member.flow == wiring.In and name not in self.options
        )

    @property
    def outputs(self) -> tuple[str, ...]:
        """The outputs."""
        return tuple(n for n, port in self.ports.items() if port.member.flow == wiring.Out)


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
    for unit in (*encoders, *converters):
        if not unit.name.endswith(("_ta", "_keep_exact")):
            yield from _streamed(unit)


UNITS = {unit.name: unit for unit in _rows()}


def select(names: Iterable[str] = ()) -> list[Unit]:
    """Return the rows of the given names, all of them if none is given.

    Raises
    ------
    ValueError
        If there is no such unit.
    """
    names = list(names) or list(UNITS)
    for name in names:
        if name not in UNITS:
            raise ValueError(f"unit must be one of {', '.join(UNITS)}, not {name!r}")
    return [UNITS[name] for name in dict.fromkeys(names)]
