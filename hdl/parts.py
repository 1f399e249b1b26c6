# SPDX-License-Identifier: Apache-2.0
"""Parts: what a unit has many copies of is a module of its own in the exported file.

In Amaranth a copy is an ordinary submodule, in the `sync` domain of its parent. In an export a part
is built once, however many copies there are, and a copy is an instance of it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from amaranth.back import rtlil
from amaranth.hdl import (
    Cat,
    ClockDomain,
    ClockSignal,
    Elaboratable,
    Instance,
    Module,
    Shape,
    ShapeLike,
    Signal,
    Value,
)
from amaranth.lib import data

from .unit import Values


@dataclass(frozen=True, eq=False)
class Part:
    """A kind of circuit that a unit has copies of.

    Attributes
    ----------
    kind : str
        Ends the name of its module.
    summary : str
        What it does, in a line.
    inputs, outputs : dict of shape
        Its ports but the clock, by name.
    logic : callable
        ``logic(m, inputs)`` adds the logic of a copy to a module, and returns its outputs.
    clocked : bool
        Whether it has registers; they have no reset.
    """

    kind: str
    summary: str
    inputs: dict[str, ShapeLike]
    outputs: dict[str, ShapeLike]
    logic: Callable[[Module, Values], Values]
    clocked: bool = False

    def place(self, m: Module, name: str, inputs: Values) -> Values:
        """Add a copy to a module.

        Parameters
        ----------
        m : Module
            Receives the copy.
        name : str
            The copy's name, which begins those of its pins.
        inputs : dict of Value
            What each input is connected to.

        Returns
        -------
        dict of Value
            The outputs.
        """
        pins = {pin: shaped(inputs[pin], shape) for pin, shape in self.inputs.items()}
        outputs = _signals(self.outputs, f"{name}_")
        m.submodules[name] = _Copy(self, pins, outputs)
        return outputs

    def module(self, inputs: Values, outputs: dict[str, Signal]) -> Module:
        """Return the logic between pins."""
        m = Module()
        m.d.comb += [outputs[pin].eq(value) for pin, value in self.logic(m, inputs).items()]
        return m


def shaped(value: Value, shape: ShapeLike) -> Value | data.View:
    """Return a value in a shape of the same width.

    Raises
    ------
    ValueError
        If it has another width.
    """
    bits, cast = Value.cast(value), Shape.cast(shape)
    if len(bits) != cast.width:
        raise ValueError(f"value must have {cast.width} bits, not {len(bits)}")
    if isinstance(shape, data.Layout):
        return shape(bits)
    return bits.as_signed() if cast.signed else bits.as_unsigned()


def _signals(pins: dict[str, ShapeLike], prefix: str = "") -> dict[str, Signal]:
    """Return a signal for each pin, named after it."""
    return {pin: Signal(shape, name=f"{prefix}{pin}") for pin, shape in pins.items()}


def packed(fields: object, layout: data.StructLayout) -> Value:
    """Return values that are attributes of an object as the bits of one pin."""
    return Cat(getattr(fields, name) for name in layout.members)


class _Copy(Elaboratable):
    """One copy of a part: its logic, or in an export an instance of the part's module."""

    def __init__(self, part: Part, inputs: Values, outputs: dict[str, Signal]) -> None:
        self.part = part
        self.inputs, self.outputs = inputs, outputs

    def elaborate(self, platform: object) -> Elaboratable:
        """Build the copy."""
        build = platform.instance if isinstance(platform, Export) else Part.module
        return build(self.part, self.inputs, self.outputs)


class Export:
    """The platform of an export, which collects the parts of a unit.

    Parameters
    ----------
    top : str
        The unit's module; the modules of its parts are named after it.

    Attributes
    ----------
    parts : list of Part
        Those that have been instantiated, a part before those that it has copies of itself.
    """

    def __init__(self, top: str) -> None:
        self._top = top
        self.parts: list[Part] = []

    def module(self, part: Part) -> str:
        """Return the name of a part's module."""
        return f"{self._top}__{part.kind}"

    def instance(self, part: Part, inputs: Values, outputs: dict[str, Signal]) -> Instance:
        """Return an instance of a part's module between pins.

        Raises
        ------
        ValueError
            If another part of that kind has been instantiated.
        """
        if part not in self.parts:
            if part.kind in (other.kind for other in self.parts):
                raise ValueError(f"{self._top} must have one part of the kind {part.kind!r}")
            self.parts.append(part)
        ports = {f"i_{pin}": value for pin, value in inputs.items()}
        ports |= {f"o_{pin}": value for pin, value in outputs.items()}
        clock = {"i_clk": ClockSignal()} if part.clocked else {}
        return Instance(self.module(part), **clock, **ports)

    def convert(self, unit: Elaboratable) -> Iterator[tuple[str, list[str]]]:
        """Yield RTLIL of a unit and of each of its parts, and their ports in order."""
        yield rtlil.convert(unit, name=self._top, platform=self, emit_src=False), [*unit.ports]
        for part in self.parts:  # it grows: a part may have parts
            inputs, outputs = _signals(part.inputs), _signals(part.outputs)
            m, ports = part.module(inputs, outputs), inputs | outputs
            if part.clocked:
                m.domains.sync = domain = ClockDomain(reset_less=True)
                ports = {"clk": domain.clk} | ports
            signals = {pin: (Value.cast(signal), None) for pin, signal in ports.items()}
            text = rtlil.convert(
                m, name=self.module(part), platform=self, ports=signals, emit_src=False
            )
            yield text, list(ports)
