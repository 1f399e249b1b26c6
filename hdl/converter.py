# SPDX-License-Identifier: Apache-2.0
"""HiF8 code to IEEE value, exactly.

Imports `golden.format`, `hdl.decoder` and `hdl.layouts`.
"""

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from ..golden import format as f
from .decoder import take_apart
from .layouts import SIGN_MAGNITUDE, code_port, word_port
from .unit import Combinational, Stage, Values


class ToFloat(Combinational):
    """Convert an HiF8 code to an IEEE word; nothing is rounded.

    NaN gives the positive quiet NaN, infinities keep their sign, zero is +0. All HiF8 values are
    normal numbers of FP32 and BF16; those below 2^-14 are subnormals of FP16, and none is flushed.

    Latency: 0 cycles, combinational; `Streamed` makes pipelines of it.

    Parameters
    ----------
    target : FloatFormat
        Layout of the output word: FP32, FP16 or BF16.

    Members
    -------
    code : In(8)
        HiF8 code.
    x : Out(target.width)
        IEEE word.

    Notes
    -----
    Nothing is added to the exponent, for its bias is one less than a power of two. Below two, the
    field is |E| inverted; from two on it is |E| - 1 under a leading one: |E| with its lowest one,
    and the zeros below that, inverted. A subnormal of FP16 is a denormal, a single bit whose place
    the mantissa tells, or of the first binade below, whose field comes out as 0: none is shifted.
    """

    stages = 2

    def __init__(self, *, target: f.FloatFormat) -> None:
        if target not in (f.FP32, f.FP16, f.BF16):
            raise ValueError(f"target must be FP32, FP16 or BF16, not {target.name!r}")
        self.target = target
        super().__init__({"code": code_port(In)}, {"x": word_port(target, Out)})

    def logic(self, m: Module, inputs: Values, stage: Stage) -> Values:
        """Build the converter: take apart, rebias, set right what is special, pack."""
        code = inputs["code"]
        fields = take_apart(m, code, "code")
        sign = data.View(SIGN_MAGNITUDE, code).sign
        nan = fields["nothing"] & sign
        if self.target is f.FP16:
            exponent, fraction = self._fp16(m, code, fields)
        else:
            exponent, fraction = self._rebias(m, fields), fields["mantissa"]

        # What the codes of zero, NaN and infinity would stand for as values of their dot fields.
        bias, width = self.target.bias, self.target.fraction_width
        nothing = max(bias - f.DENORMAL_BIAS, 0) << width
        beyond = bias + f.MAX_EXPONENT << width | 1 << width - 1
        below = width - len(fraction)
        magnitude = Cat(fraction, exponent)
        for when, known, wanted in (
            (fields["nothing"], nothing, 0),
            (fields["inf"], beyond, self.target.inf_bits),
            (nan, 0, self.target.nan_bits),
        ):
            magnitude = replaced(magnitude, when, known >> below, wanted >> below)
        cut = stage({"magnitude": magnitude, "sign": sign & ~nan})
        return stage({"x": Cat(Const(0, below), cut["magnitude"], cut["sign"])})

    def _rebias(self, m: Module, fields: Values) -> Value:
        """Return the exponent field of a normal number."""
        magnitude, negative = fields["magnitude"], fields["negative"]
        below_two = Signal()
        m.d.comb += below_two.eq(negative | ~magnitude.any())
        digits = f.MAX_EXPONENT.bit_length()
        return Cat(
            (magnitude[k] ^ (negative | ~magnitude[:k].any()) for k in range(digits)),
            (below_two & ~bit for bit in magnitude[digits : self.target.exponent_width - 1]),
            below_two.replicate(max(self.target.exponent_width - 1 - len(magnitude), 0)),
            ~below_two,
        )

    def _fp16(self, m: Module, code: Value, fields: Values) -> tuple[Value, Value]:
        """Return the exponent field and the fraction of FP16, where small values are subnormal."""
        magnitude, mantissa, denormal = (fields[k] for k in ("magnitude", "mantissa", "denormal"))
        exponent = self._rebias(m, fields) & ~denormal.replicate(self.target.exponent_width)
        # E = -15 has the exponent field 0 by itself; there the hidden bit leads the fraction. A
        # denormal has one bit set, whose place is M.
        first = Signal()
        m.d.comb += first.eq(fields["negative"] & magnitude[:4].all())
        normal = Cat(mantissa[0], mantissa[1] | first & mantissa[2], mantissa[2] | first)
        width = self.target.fraction_width
        lowest = width + self.target.bias - 1 - f.DENORMAL_BIAS
        powers = (denormal & (code[: len(mantissa)] == k) for k in range(1, 1 << len(mantissa)))
        fraction = Cat(Const(0, width - len(normal)), normal) | Cat(Const(0, lowest + 1), *powers)
        return exponent, fraction


def replaced(value: Value, when: Value, known: int, wanted: int) -> Value:
    """Return a value, or what is wanted if `when`, in which case it is known."""
    bits = when.replicate(len(value))
    added, removed = (Const(x, len(value)) for x in (wanted & ~known, known & ~wanted))
    return (value | bits & added) & ~(bits & removed)
