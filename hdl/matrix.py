# SPDX-License-Identifier: Apache-2.0
"""A matrix engine: tiles of a matrix product, output-stationary.

Imports `hdl.accumulator`, `hdl.decoder`, `hdl.mac`, `hdl.multiplier`, `hdl.readout`, `hdl.layouts`
and `hdl.unit`.
"""

from collections.abc import Iterator

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib.wiring import Out, PureInterface

from .accumulator import choose
from .decoder import HIF8
from .layouts import UNPACKED, Operand, Port
from .mac import MARKERS, Fields
from .multiplier import multiply
from .readout import Readout
from .unit import Pipeline, StreamUnit, Values, held, lend

SIZES = range(1, 65)


class MatrixEngine(StreamUnit):
    """Multiply matrices tile by tile: a column of A and a row of B a beat, a row of C out.

    Every beat adds the outer product of a column of A and a row of B to `rows` x `cols` sums. With
    the last beat of a tile, the K-th, the sums move to a second set of registers. From there they
    are read out row by row, scaled and rounded, while the next tile is added up.

    Latency: `latency` cycles from the last beat of a tile to its first row. Initiation interval 1
    for tiles of K >= rows beats; a shorter tile waits for the rows of the one before. Largest K:
    `max_products` for exact sums, any number for FP32 ones.

    Parameters
    ----------
    rows, cols : int
        Size of a tile of C, 1 to 64; what is left over at an edge is padded with zero codes.
    accumulator : str
        ``exact``, or ``fp32`` with one rounding a product, in the order of the beats.
    output : str
        ``fp32`` or ``hif8``.
    latency : int, optional
        2, for what is decoded and for the sums, and the registers in the read-out, one at least; by
        default all that `Readout` has places for.
    max_products : int, optional
        The largest K of an exact sum; by default 2^20.
    operand : Operand
        The format of the elements.

    Members
    -------
    i : In(stream.Signature(...))
        `a`, the codes of a column of A, `b`, those of a row of B; `last`; and, read with `last`,
        `scale` and for HiF8 `hybrid`, `saturate` and `nan_to_zero`, as of `Readout`.
    o : Out(stream.Signature(...))
        `c`, a row of C as FP32 words or HiF8 codes, the first column lowest; `last_row`.
    """

    waits = "the last beat of a tile waits for the rows of the one before"

    def __init__(
        self,
        *,
        rows: int,
        cols: int,
        accumulator: str,
        output: str,
        latency: int | None = None,
        max_products: int | None = None,
        operand: Operand = HIF8,
    ) -> None:
        for name, size in (("rows", rows), ("cols", cols)):
            if size not in SIZES:
                raise ValueError(f"{name} must be in {SIZES[0]}..{SIZES[-1]}, not {size!r}")
        how = {"operand": operand, "max_products": max_products}
        self.sum = choose(accumulator, lanes=1, **how)
        self.readout = Readout(accumulator=accumulator, output=output, **how)
        most = 2 + self.readout.stages
        latency = most if latency is None else latency
        if latency not in range(3, most + 1):
            raise ValueError(f"latency must be in 3..{most}, not {latency!r}")
        self.rows, self.cols = rows, cols
        self.operand = operand
        self.max_products = self.sum.max_products
        [(self.word, word)] = self.readout.outputs.items()
        self.options = self.readout.options
        column, row = operand.port(rows), operand.port(cols)
        kind = {"fp32": "FP32 words", "hif8": "HiF8 codes"}[output]
        super().__init__(
            {
                "a": column._replace(bits=f"a column of A: {column.bits}"),
                "b": row._replace(bits=f"a row of B: {row.bits}"),
                "last": MARKERS["last"]._replace(bits="1: the last beat of a tile"),
                **{
                    name: port._replace(bits=f"{port.bits}; read with `last`")
                    for name, port in self.options.items()
                },
            },
            {
                "c": Port(
                    Out(cols * word.width),
                    f"a row of C: {cols} {kind}, column k in "
                    f"[{word.width}k+{word.width - 1}:{word.width}k]",
                ),
                "last_row": Port(Out(1), "1: the last row of a tile"),
            },
            latency,
        )

    def flow(self, m: Module, i: PureInterface, o: PureInterface) -> None:
        """Build the engine: decode, accumulate, hand over, read out."""
        pipe = Pipeline(m, i)
        beat = pipe.register(
            {
                **self._decoded(m, i, "a"),
                **self._decoded(m, i, "b"),
                **{name: i.payload[name] for name in ("last", *self.options)},
            }
        )

        # A finished tile stays until its rows have gone; the last beat of the next waits for that.
        left = Signal(range(self.rows + 1))
        row = Fields({"valid": left.any(), "ready": Signal(name="row_ready")})
        goes = row.valid & row.ready
        last_row = left == 1
        taken = pipe.end(~beat["last"] | ~row.valid | last_row & row.ready)
        done = Signal()
        first = Signal(init=1)
        m.d.comb += done.eq(taken & beat["last"])
        with m.If(taken):
            m.d.sync += first.eq(beat["last"])
        with m.If(done):
            m.d.sync += left.eq(self.rows)
        with m.Elif(goes):
            m.d.sync += left.eq(left - 1)

        tile = [
            [self._registers(f"held_{r}_{c}") for c in range(self.cols)] for r in range(self.rows)
        ]
        for r in range(self.rows):
            for c in range(self.cols):
                added = self._cell(m, beat, first, taken, r, c)
                cell = tile[r][c]
                with m.If(done):
                    m.d.sync += [cell[name].eq(added[name]) for name in cell]
                if r + 1 < self.rows:
                    with m.Elif(goes):
                        m.d.sync += [cell[name].eq(tile[r + 1][c][name]) for name in cell]
        options = held(m, done, {name: beat[name] for name in self.options}, self.latency)
        self._read_out(m, row, last_row, tile[0], options, o)

    def _decoded(self, m: Module, i: PureInterface, name: str) -> Values:
        """Return all fields of the decoded codes of an input."""
        fields = {}
        for k, code in enumerate(self.operand.codes(i.payload[name])):
            value = self.operand.decode(m, code, f"decoded_{name}_{k}")
            fields |= {f"{name}_{k}_{field}": getattr(value, field) for field in UNPACKED}
        return fields

    def _registers(self, name: str) -> dict[str, Signal]:
        """Return registers for a state of the accumulator."""
        return {
            key: Signal(port.member.shape, name=f"{name}_{key}", reset_less=True)
            for key, port in self.sum.state.items()
        }

    def _cell(self, m: Module, beat: Values, first: Value, taken: Value, r: int, c: int) -> Values:
        """Build the sum at a place of the tile; return what it is with this beat's product."""
        a, b = (
            Fields({field: beat[f"{name}_{k}_{field}"] for field in UNPACKED})
            for name, k in (("a", r), ("b", c))
        )
        product = multiply(m, a, b, self.operand, f"product_{r}_{c}")
        addend = self.sum.addend(m, [product], _uncut)
        state = self._registers(f"cell_{r}_{c}")
        after = self.sum.next(m, state, addend, first=first, taken=taken, name=f"product_{r}_{c}")
        m.d.sync += [value.eq(after[name]) for name, value in state.items()]
        return after

    def _read_out(
        self,
        m: Module,
        row: Fields,
        last_row: Value,
        sums: list[Values],
        options: Values,
        o: PureInterface,
    ) -> None:
        """Build the read-out of a row, all columns in step."""
        lend(self.readout)
        pipe = Pipeline(m, row)
        registers = self.latency - 2
        moves = [pipe.advance()[0] for _ in range(registers)]
        words = []
        for state in sums:
            cuts = iter(range(registers - self.readout.stages, registers))

            def stage(values: Values, cuts: Iterator[int] = cuts) -> Values:
                k = next(cuts)
                return values if k < 0 else held(m, moves[k], values, k + 3)

            words.append(self.readout.logic(m, {**state, **options}, stage)[self.word])
        for k in range(registers):
            last_row = held(m, moves[k], {"last_row": last_row}, k + 3)["last_row"]
        pipe.finish(o, {"c": Cat(words), "last_row": last_row})


def _uncut(values: Values) -> Values:
    """Be a `Stage` without a register."""
    return values
