# SPDX-License-Identifier: Apache-2.0
"""The components as Amaranth users meet them: validation, latency, names."""

from fractions import Fraction

import paper
import pytest
from amaranth.sim import Simulator
from hif8.golden import format as f
from hif8.hdl.axi import AxiStream
from hif8.hdl.configs import UNITS, select
from hif8.hdl.converter import ToFloat
from hif8.hdl.dot import DotProduct
from hif8.hdl.encoder import Encoder
from hif8.hdl.mac import Mac
from hif8.hdl.matrix import MatrixEngine
from hif8.hdl.multiplier import Multiplier
from hif8.hdl.unit import Streamed


def engine(**how):
    small = {"rows": 2, "cols": 2, "accumulator": "exact", "output": "fp32"}
    return MatrixEngine(**(small | how))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Encoder(source=f.FP64), "source must be FP32, FP16 or BF16, not 'fp64'"),
        (lambda: ToFloat(target=f.FP64), "target must be FP32, FP16 or BF16, not 'fp64'"),
        (lambda: Encoder(source=f.FP32, keep_exact=True), "keep_exact must be False"),
        (lambda: Streamed(unit=Multiplier(), latency=2), "latency must be in 0..1, not 2"),
        (lambda: Streamed(unit=Multiplier(), latency=-1), "latency must be in 0..1, not -1"),
        (lambda: Mac(accumulator="exact", latency=0), "latency must be in 1..5, not 0"),
        (lambda: Mac(accumulator="exact", latency=6), "latency must be in 1..5, not 6"),
        (lambda: Mac(accumulator="exact", interleave=2), "interleave must be in 1..1 for exact"),
        (lambda: Mac(accumulator="fp32", latency=5), "latency must be in 1..4, not 5"),
        (lambda: Mac(accumulator="fp32", interleave=2, latency=1), "must be in 2..5, not 1"),
        (lambda: Mac(accumulator="fp32", interleave=4), "interleave must be in 1..3 for fp32"),
        (lambda: Mac(accumulator="fp32", interleave=0), "interleave must be in 1..3 for fp32"),
        (lambda: Mac(accumulator="fp16"), "accumulator must be one of exact, fp32, not 'fp16'"),
        (lambda: Mac(accumulator="exact", max_products=0), "max_products must be at least lanes"),
        (lambda: Mac(accumulator="fp32", max_products=9), "max_products must be None for fp32"),
        (lambda: DotProduct(lanes=0, accumulator="exact"), "lanes must be in 2..32, not 0"),
        (lambda: DotProduct(lanes=33, accumulator="fp32"), "lanes must be in 2..32, not 33"),
        (lambda: DotProduct(lanes=4, accumulator=""), "accumulator must be one of exact, fp32"),
        (
            lambda: DotProduct(lanes=4, accumulator="exact", max_products=3),
            "max_products must be at least lanes, 4, not 3",
        ),
        (lambda: DotProduct(lanes=4, accumulator="fp32", latency=6), "latency must be in 1..5"),
        (lambda: engine(rows=0), "rows must be in 1..64, not 0"),
        (lambda: engine(cols=65), "cols must be in 1..64, not 65"),
        (lambda: engine(latency=2), "latency must be in 3..4, not 2"),
        (lambda: engine(accumulator="fp64"), "accumulator must be one of exact, fp32, not 'fp64'"),
        (lambda: engine(output="fp16"), "output must be one of fp32, hif8, not 'fp16'"),
        (lambda: AxiStream(unit=Multiplier), "latency must be at least 1 between .*, not 0"),
        (
            lambda: AxiStream(unit=Mac, accumulator="fp32", interleave=2),
            "interleave must be 1 between .*, not 2",
        ),
        (
            lambda: AxiStream(unit=Mac, accumulator="exact", fixed=["acc"]),
            "options and fixed must be inputs of the unit, not 'acc'",
        ),
        (
            lambda: AxiStream(unit=Mac, accumulator="exact", options=["last"]),
            "options and fixed must be inputs of the unit, not 'last'",
        ),
        (lambda: select(["adder"]), "unit must be one of decoder, .*, not 'adder'"),
    ],
)
def test_bad_parameters_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("latency", [0, 1, 2])
def test_streamed_component_has_the_latency_it_states(latency):
    component = Streamed(unit=Encoder(source=f.FP32), latency=latency)
    assert component.latency == latency
    simulator = Simulator(component)
    seen = []

    async def bench(context):
        context.set(component.o.ready, 1)
        context.set(component.i.payload.x, 0x41000000)  # 8.0, code 0x60
        context.set(component.i.valid, 1)
        for cycle in range(5):
            if context.get(component.o.valid):
                seen.append((cycle, context.get(component.o.payload.code)))
            if latency:
                await context.tick()
            context.set(component.i.valid, 0)

    if latency:
        simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen == [(latency, paper.encode(Fraction(8)))]


def test_rows_are_named_after_their_parameters():
    for unit in UNITS.values():
        if unit.bench == "axi":
            assert unit.name == f"axi_{unit.core.name}"
        elif unit.core:
            assert unit.name == f"{unit.core.name}_s{unit.latency}"
        else:
            assert unit.streams == (unit.latency > 0)
