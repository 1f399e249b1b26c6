# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""A matrix engine: tiles of a matrix product, output-stationary.

A cell of the tile, a row of them, the decoder of an operand and the read-out of a column are parts.
"""

from functools import cached_property

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import Out, PureInterface

from .accumulator import choose
from .decoder import HIF8
from .layouts import Operand, Port
from .mac import MARKERS, Fields
from .multiplier import multiply
from .parts import Part, packed
from .readout import Readout
from .unit import Pipeline, StreamUnit, Values, held, payload

SIZES = range(1, 65)

CONTROL = {"first": 1, "taken": 1, "done": 1, "goes": 1}
"""What tells every cell: a tile begins, a beat is taken, it ends a tile, and the rows move up."""


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
        moves, _ = pipe.advance()
        passed = {name: i.payload[name] for name in ("last", *self.options)}
        beat = held(m, moves, passed, 1)
        a, b = (
            [
                self._operand.place(m, f"{name}_{k}", {"code": code, "moves": moves})["value"]
                for k, code in enumerate(self.operand.codes(i.payload[name]))
            ]
            for name in ("a", "b")
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

        control = {"first": first, "taken": taken, "done": done, "goes": goes}
        last = top = Signal(self.cols * self._state.size, name="bottom")
        for r in reversed(range(self.rows)):
            pins = {"a": a[r], "b": Cat(b), "below": top, **control}
            top = self._row.place(m, f"row_{r}", pins)["tops"].as_value()
            if r + 1 == self.rows:  # it has none below: its sums stay
                m.d.comb += last.eq(top)
        options = held(m, done, {name: beat[name] for name in self.options}, self.latency)
        self._read_out(m, row, last_row, top, options, o)

    @cached_property
    def _state(self) -> data.StructLayout:
        """The layout of a state of the accumulator."""
        return payload(self.sum.state)

    @cached_property
    def _operand(self) -> Part:
        """What decodes a code."""
        return Part(
            "operand",
            "a decoder, and the register of what it gives",
            {"code": self.operand.width, "moves": 1},
            {"value": self.operand.unpacked},
            self._decode,
            clocked=True,
        )

    def _decode(self, m: Module, pins: Values) -> Values:
        """Decode a code."""
        decoded = self.operand.decode(m, pins["code"], "decoded")
        return held(m, pins["moves"], {"value": packed(decoded, self.operand.unpacked)}, 1)

    @cached_property
    def _row(self) -> Part:
        """A row of cells."""
        return Part(
            "row",
            "a row of cells, which share the operand of A",
            {
                "a": self.operand.unpacked,
                "b": data.ArrayLayout(self.operand.unpacked, self.cols),
                "below": data.ArrayLayout(self._state, self.cols),
                **CONTROL,
            },
            {"tops": data.ArrayLayout(self._state, self.cols)},
            self._cells,
            clocked=True,
        )

    def _cells(self, m: Module, pins: Values) -> Values:
        """Build a row of cells."""
        control = {name: pins[name] for name in ("a", *CONTROL)}
        cells = [
            self._cell.place(m, f"cell_{c}", {"b": pins["b"][c], "below": below, **control})
            for c, below in enumerate(pins["below"])
        ]
        return {"tops": Cat(cell["top"] for cell in cells)}

    @cached_property
    def _cell(self) -> Part:
        """One sum of the tile."""
        return Part(
            "cell",
            "multiply and accumulate; a finished sum is held, and moves up row by row",
            {
                "a": self.operand.unpacked,
                "b": self.operand.unpacked,
                "below": self._state,
                **CONTROL,
            },
            {"top": self._state},
            self._accumulate,
            clocked=True,
        )

    def _accumulate(self, m: Module, pins: Values) -> Values:
        """Build the sum at a place of the tile, and where it is held when it is finished."""
        product = multiply(m, pins["a"], pins["b"], self.operand, "product")
        addend = self.sum.addend(m, [product], _uncut)
        sums, tops = (
            {
                name: Signal(port.member.shape, name=f"{kind}_{name}", reset_less=True)
                for name, port in self.sum.state.items()
            }
            for kind in ("cell", "held")
        )
        first, taken = pins["first"], pins["taken"]
        after = self.sum.next(m, sums, addend, first=first, taken=taken, name="product")
        m.d.sync += [value.eq(after[name]) for name, value in sums.items()]
        with m.If(pins["done"]):
            m.d.sync += [value.eq(after[name]) for name, value in tops.items()]
        with m.Elif(pins["goes"]):
            m.d.sync += [value.eq(pins["below"][name]) for name, value in tops.items()]
        return {"top": Cat(tops.values())}

    def _read_out(
        self,
        m: Module,
        row: Fields,
        last_row: Value,
        top: Value,
        options: Values,
        o: PureInterface,
    ) -> None:
        """Build the read-out of a row, all columns in step."""
        pipe = Pipeline(m, row)
        moves = [pipe.advance()[0] for _ in range(self.latency - 2)]
        pins = {"moves": Cat(moves), **options}
        states = [top.word_select(c, self._state.size) for c in range(self.cols)]
        words = [
            self._column.place(m, f"column_{c}", {"state": state, **pins})[self.word]
            for c, state in enumerate(states)
        ]
        for k, move in enumerate(moves, start=3):
            last_row = held(m, move, {"last_row": last_row}, k)["last_row"]
        pipe.finish(o, {"c": Cat(words), "last_row": last_row})

    @cached_property
    def _column(self) -> Part:
        """The read-out of a column."""
        return Part(
            "readout",
            "scale and round the sum at the top of a column",
            {
                "state": self._state,
                **{name: port.member.shape for name, port in self.options.items()},
                "moves": self.latency - 2,
            },
            {self.word: self.readout.outputs[self.word].member.shape},
            self._column_of,
            clocked=True,
        )

    def _column_of(self, m: Module, pins: Values) -> Values:
        """Build the read-out of a column."""
        state, moves = pins["state"], pins["moves"]
        cuts = iter(range(len(moves) - self.readout.stages, len(moves)))

        def stage(values: Values) -> Values:
            k = next(cuts)
            return values if k < 0 else held(m, moves[k], values, k + 3)

        inputs = {name: state[name] for name in self.sum.state}
        inputs |= {name: pins[name] for name in self.options}
        return self.readout.logic(m, inputs, stage)


def _uncut(values: Values) -> Values:
    """Be a `Stage` without a register."""
    return values
