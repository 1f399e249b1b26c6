# SPDX-License-Identifier: Apache-2.0
"""Units that differ in one number alone: latency, lanes, rows and columns.

Imports `hdl.configs`. Those that are not exported are made for this, and named like the others:
``_s<latency>`` is a stream of that latency.
"""

from collections.abc import Iterable
from typing import NamedTuple

from ..hdl.configs import UNITS, Unit


class Series(NamedTuple):
    """Units that differ in one number.

    Attributes
    ----------
    title : str
        What they are.
    number : str
        What they differ in.
    units : dict of Unit
        By that number.
    """

    title: str
    number: str
    units: dict[int, Unit]


def _variant(like: str, name: str, **changed: object) -> Unit:
    """Return the unit of a name, or one like another but for its name and some parameters."""
    unit = UNITS[like]
    how = ", ".join(f"{key} {value}" for key, value in changed.items())
    return UNITS.get(name) or Unit(
        name=name,
        summary=f"{unit.summary.split(';')[0]}; {how}",
        component=unit.component,
        bench="",
        parameters=unit.parameters | changed,
        options=unit.options,
    )


def _latencies(name: str, least: int) -> dict[int, Unit]:
    """Return a MAC with each number of registers that it may have."""
    most = UNITS[name].latency
    shorter = {n: _variant(name, f"{name}_s{n}", latency=n) for n in range(least, most)}
    return shorter | {most: UNITS[name]}


def _sizes(like: str, name: str, numbers: Iterable[int], *parameters: str) -> dict[int, Unit]:
    """Return a unit in several sizes."""
    names = {n: name.format(n=n) for n in numbers}
    stream = f"_s{UNITS[like].latency}"
    return {
        n: UNITS.get(short) or _variant(like, short + stream, **dict.fromkeys(parameters, n))
        for n, short in names.items()
    }


_LANES = (2, 4, 8, 16, 32)

SERIES = {
    "encoder_fp32": Series(
        "FP32 to HiF8",
        "latency",
        {
            0: UNITS["encoder_fp32"],
            **{
                n: _variant("encoder_fp32_s1", f"encoder_fp32_s{n}", latency=n)
                for n in range(1, UNITS["encoder_fp32"].component.stages + 1)
            },
        },
    ),
    "mac_exact": Series(
        "MAC, exact",
        "latency",
        _latencies("mac_exact", 1) | {UNITS["mac_exact_fast"].latency: UNITS["mac_exact_fast"]},
    ),
    "mac_fp32": Series(
        "MAC, FP32",
        "latency",
        _latencies("mac_fp32", 1) | {UNITS["mac_fp32_i3"].latency: UNITS["mac_fp32_i3"]},
    ),
    "dot_exact": Series(
        "dot product, exact", "lanes", _sizes("dot4_exact", "dot{n}_exact", _LANES, "lanes")
    ),
    "dot_fp32": Series(
        "dot product, FP32", "lanes", _sizes("dot4_fp32", "dot{n}_fp32", _LANES, "lanes")
    ),
    "matrix_exact": Series(
        "matrix engine, exact",
        "rows and columns",
        _sizes("matrix8x8_exact_to_fp32", "matrix{n}x{n}_exact_to_fp32", (2, 4, 8), "rows", "cols"),
    ),
    "matrix_fp32": Series(
        "matrix engine, FP32",
        "rows and columns",
        _sizes("matrix4x4_fp32_to_fp32", "matrix{n}x{n}_fp32_to_fp32", (2, 4), "rows", "cols"),
    ),
}
"""In the order of figures. Larger engines take Yosys longer than all the others together."""

UNEXPORTED = {
    unit.name: unit
    for series in SERIES.values()
    for unit in series.units.values()
    if unit.name not in UNITS
}
"""Those units that are made for this alone, by name."""
