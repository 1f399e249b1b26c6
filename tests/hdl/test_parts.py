# SPDX-License-Identifier: Apache-2.0
"""Parts: built once in an export, as often as they are placed in a simulation."""

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from hif8.hdl.parts import Export, Part, shaped

BUILT = []


def delay(m, pins):
    BUILT.append(1)
    after = Signal(4, reset_less=True)
    m.d.sync += after.eq(pins["d"] + 1)
    return {"q": after}


def part(kind="delay", logic=delay):
    return Part(kind, "one more, a cycle later", {"d": 4}, {"q": 4}, logic, clocked=True)


class Chain(wiring.Component):
    """As many parts as are given, one after the other."""

    def __init__(self, parts):
        self.parts = parts
        self.ports = {"i": In(4), "o": Out(4)}
        super().__init__(self.ports)

    def elaborate(self, platform):
        m = Module()
        value = self.i
        for k, one in enumerate(self.parts):
            value = one.place(m, f"delay_{k}", {"d": value})["q"]
        m.d.comb += self.o.eq(value)
        return m


def convert(parts):
    BUILT.clear()
    return "".join(text for text, _ in Export("top").convert(Chain(parts)))


def test_a_part_is_one_module_however_many_copies_there_are():
    il = convert([part()] * 9)
    assert len(BUILT) == 1
    assert il.count("module \\top__delay\n") == 1
    assert il.count("cell \\top__delay ") == 9


def test_the_clock_is_the_first_port_of_a_part_with_registers():
    [_, (_, ports)] = Export("top").convert(Chain([part()]))
    assert ports == ["clk", "d", "q"]


def test_two_parts_of_one_kind_are_refused():
    with pytest.raises(ValueError, match="top must have one part of the kind 'delay'"):
        convert([part(), part()])


def test_a_part_within_a_part_is_a_module_too():
    inner = part("inner")
    outer = part("outer", lambda m, pins: inner.place(m, "only", pins))
    il = convert([outer] * 3)
    assert il.count("cell \\top__outer ") == 3
    assert il.count("cell \\top__inner ") == 1


def test_a_value_of_another_width_is_refused():
    with pytest.raises(ValueError, match="value must have 4 bits, not 3"):
        shaped(Signal(3), 4)


def test_in_a_simulation_every_copy_is_there():
    chain = Chain([part()] * 3)
    simulator = Simulator(chain)
    simulator.add_clock(1e-6)

    async def bench(context):
        context.set(chain.i, 5)
        await context.tick().repeat(3)
        assert context.get(chain.o) == 8

    simulator.add_testbench(bench)
    simulator.run()
