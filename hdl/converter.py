# SPDX-License-Identifier: Apache-2.0
"""HiF8 code to IEEE value, exactly.

Imports `golden.format`, `hdl.decoder` and `hdl.layouts`.
"""

from amaranth.hdl import Cat, Const, Elaboratable, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden import format as f
from .decoder import decode
from .layouts import code_port, float_layout, signature, word_port


class ToFloat(wiring.Component):
    """Convert an HiF8 code to an IEEE word; nothing is rounded.

    NaN gives the positive quiet NaN, infinities keep their sign, zero is +0.

    Latency: 0 cycles, combinational.

    Parameters
    ----------
    target : FloatFormat
        Layout of the output word: FP32, of which every HiF8 value is a normal number.

    Members
    -------
    code : In(8)
        HiF8 code.
    x : Out(target.width)
        IEEE word.
    """

    latency = 0

    def __init__(self, *, target: f.FloatFormat) -> None:
        if target is not f.FP32:
            raise ValueError(f"target must be FP32, not {target!r}")
        self.target = target
        self.ports = {"code": code_port(In), "x": word_port(target, Out)}
        super().__init__(signature(self.ports))

    def elaborate(self, platform: object) -> Elaboratable:
        """Build the converter: decode, rebias, pack."""
        m = Module()
        value = decode(m, self.code, "value")
        x = data.View(float_layout(self.target), self.x)
        finite = value.significand[-1] & ~value.inf
        biased = Signal(self.target.exponent_width)
        below = Const(0, self.target.fraction_width - f.SIGNIFICAND_WIDTH + 1)
        # The slot of the infinities has a mantissa, that of NaN has none; IEEE the other way round.
        leading = value.significand[-2] & ~value.inf | value.nan
        m.d.comb += [
            biased.eq(value.exponent + self.target.bias),
            x.sign.eq(value.sign & ~value.nan),
            x.exponent.eq(Mux(finite, biased, (value.inf | value.nan).replicate(len(biased)))),
            x.fraction.eq(Cat(below, value.significand[:-2], leading)),
        ]
        return m
