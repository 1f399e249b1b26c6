# SPDX-License-Identifier: Apache-2.0
"""Every baseline's exported Verilog is bit-exact, in as many cases as there must be."""

import pytest
from conftest import need
from hif8.hdl.baselines import BASELINES
from hif8.hdl.configs import UNITS
from hif8.sim import verify

RANDOM = 1 << 15
"""Random words of each encoder's setting; four times as many random products go into sums."""
CODES, PAIRS = 256, 256 * 256
WORDS = 7 * 2**14 + 2 * (7 * (126 + 127 + 123 + 124) + 23 + 23) + RANDOM
EXPONENTS = {"e4m3": 36, "e5m2": 64, "posit8": 87, "int8": 14, "hif8": 75}
"""How many exponents products have."""
EXHAUSTED = {"decoder": CODES, "multiplier": PAIRS, "encoder": WORDS}


def test_baselines_are_never_among_the_exported_units():
    assert not BASELINES.keys() & UNITS.keys()
    assert all(unit.module.startswith("baseline_") for unit in BASELINES.values())
    assert all(unit.module.startswith("hif8_") for unit in UNITS.values())


def least(unit) -> int:
    """Return how many cases a row must have been compared in at least."""
    kind = unit.name.partition("_")[0]
    if kind in EXHAUSTED:
        return EXHAUSTED[kind] << len(unit.options)
    name = unit.name.removesuffix("_plain").rpartition("_")[2]
    names = ("e4m3", "e5m2") if name == "fp8" else (name,)
    return sum(4 * EXPONENTS[n] ** 2 + 2 * 600 * 5 for n in names) + 4 * RANDOM // unit.products


@pytest.mark.parametrize("name", BASELINES)
def test_baseline_equals_golden_bit_for_bit(name, builds, record_property):
    unit = BASELINES[name]
    simulator = "verilator" if unit.bench == "core" else "icarus"
    need(simulator)
    verdict, _ = verify.run(unit, simulator, root=builds, random_cases=RANDOM)
    record_property("cases", verdict.cases)
    record_property("mismatches", verdict.mismatches)
    assert verdict.note == ""
    assert verdict.status == "pass"
    assert verdict.cases == verdict.expected >= least(unit)
    if unit.bench == "core":
        assert verdict.random_products >= 4 * RANDOM
    else:
        assert verdict.cases == least(unit)
