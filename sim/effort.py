# SPDX-License-Identifier: Apache-2.0
"""How much is simulated: the least that a bench runs, and for how long it may go on.

A bench has directed cases, random ones, and, while its time lasts, further random ones: how many
these are follows from the speed of the unit under the simulator, on the machine at hand.
"""

from dataclasses import dataclass, replace
from fractions import Fraction

from ..hdl.configs import Unit


@dataclass(frozen=True)
class Budget:
    """What a bench runs of a unit under a simulator.

    Attributes
    ----------
    share : Fraction
        How many of the directed vectors, tiles and sums to read out, drawn with the seed. All other
        directed cases are always run.
    random_cases : int
        How many random cases at the least; a sum and an engine have four products for each.
    seconds : float
        How long sums and engines go on with random cases.
    block : int
        Beats that sums and engines are given in one go.
    """

    share: Fraction
    random_cases: int
    seconds: float
    block: int


PRODUCTS = 4
"""Random products of sums and engines for every random case."""

EFFORTS = {
    "quick": {
        "verilator": Budget(Fraction(1, 8), 1 << 14, 1.0, 1 << 14),
        "icarus": Budget(Fraction(1, 128), 1 << 8, 1.0, 1 << 6),
    },
    "full": {
        "verilator": Budget(Fraction(1), 1 << 18, 0.0, 1 << 14),
        "icarus": Budget(Fraction(1, 64), 1 << 9, 0.0, 1 << 8),
    },
    "soak": {
        "verilator": Budget(Fraction(1), 1 << 18, 0.0, 1 << 14),
        "icarus": Budget(Fraction(1), 1 << 14, 0.0, 1 << 8),
    },
}
"""The floors of every effort under every simulator: the main job's, the tests', and by hand."""

SOAKED = {True: 10**9, False: 10**8}
"""Random products that a soak runs under Verilator through a unit of one product a cycle, or more.
"""

WORDS = {"verilator": 2_500_000, "icarus": 25_000}
"""Random words that a soak encodes under every setting of the options."""

LARGE = Budget(Fraction(1, 128), 1 << 10, 0.0, 1 << 12)
"""What is run of the large rows, whatever the effort: a few tiles of every kind."""


def budget(unit: Unit, simulator: str, effort: str) -> Budget:
    """Return the budget of a unit under a simulator.

    Raises
    ------
    ValueError
        If there is no such effort.
    """
    check(effort)
    chosen = LARGE if unit.large else EFFORTS[effort][simulator]
    return replace(chosen, random_cases=_soaked(unit, simulator)) if effort == "soak" else chosen


def _soaked(unit: Unit, simulator: str) -> int:
    """Return how many random cases a soak has."""
    if unit.large:
        return LARGE.random_cases
    if unit.bench == "encoder":
        return WORDS[simulator]
    if simulator == "verilator" and unit.bench in ("sum", "matrix"):
        return -(-SOAKED[unit.products == 1] // PRODUCTS)
    return EFFORTS["soak"][simulator].random_cases


def check(effort: str) -> None:
    """Refuse an effort that there is not.

    Raises
    ------
    ValueError
        If it is none of `EFFORTS`.
    """
    if effort not in EFFORTS:
        raise ValueError(f"effort must be one of {', '.join(EFFORTS)}, not {effort!r}")
