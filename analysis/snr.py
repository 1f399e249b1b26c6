# SPDX-License-Identifier: Apache-2.0
"""Signal to quantisation noise of distributions of values that are rounded to a format.

Imports `analysis.formats`. Nothing is sampled: the squared error is integrated exactly, between the
midpoints of neighbouring values, from the distribution's partial moments.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from .formats import Format

Floats = npt.NDArray[np.float64]

SCALES = np.arange(-40, 40.25, 0.25)
"""log2 of the root mean squares that are tried."""
USABLE = 18.0
"""In dB: a range is that of the scales with as much. A float of two significand bits has 19."""


class Distribution(NamedTuple):
    """A distribution of values.

    Attributes
    ----------
    label : str
        For people.
    moments : callable
        Gives for edges x, infinite ones too, the integrals of p(t), t p(t) and t^2 p(t) over t < x.
    square : float
        The mean square.
    """

    label: str
    moments: Callable[[Floats], tuple[Floats, Floats, Floats]]
    square: float


def _normal(x: Floats) -> tuple[Floats, Floats, Floats]:
    density = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    mass = special.ndtr(x)
    return mass, -density, mass - _times(x, density)


def _laplace(x: Floats) -> tuple[Floats, Floats, Floats]:
    """Of density exp(-|t|) / 2."""
    t = np.abs(x)
    tail = np.exp(-t) / 2
    first, second = tail + _times(t, tail), 2 * tail + _times(2 * t, tail) + _times(t**2, tail)
    below = x < 0
    return np.where(below, tail, 1 - tail), -first, np.where(below, second, 2 - second)


def _student(x: Floats) -> tuple[Floats, Floats, Floats]:
    """Of three degrees of freedom: t = sqrt(3) tan(angle)."""
    angle = np.arctan(x / math.sqrt(3))
    cosine, double = np.cos(angle), np.sin(2 * angle) / 2
    mass = (angle + double) / math.pi + 0.5
    return mass, -math.sqrt(3) / math.pi * cosine**2, 3 * ((angle - double) / math.pi + 0.5)


def _log_normal(x: Floats) -> tuple[Floats, Floats, Floats]:
    """Of either sign, the logarithm of the magnitude normal with deviation one."""
    with np.errstate(divide="ignore"):
        log = np.log(np.abs(x))
    made = []
    for k in range(3):
        whole = math.exp(k * k / 2) / 2
        inner = whole * special.ndtr(log - k)  # from zero to |x|
        odd = -1 if k % 2 else 1
        made.append(np.where(x < 0, odd * (whole - inner), odd * whole + inner))
    return made[0], made[1], made[2]


def _times(x: Floats, density: Floats) -> Floats:
    """Return a product that is nothing where the density is."""
    return np.where(density > 0, np.where(np.isinf(x), 0, x) * density, 0)


DISTRIBUTIONS = {
    "normal": Distribution("normal", _normal, 1.0),
    "laplace": Distribution("Laplace", _laplace, 2.0),
    "student": Distribution("Student's t, 3 degrees of freedom", _student, 3.0),
    "log_normal": Distribution("log-normal, of either sign", _log_normal, math.exp(2)),
}
"""By name, the tails growing heavier."""


def snr(entry: Format, deviation: float, distribution: Distribution | None = None) -> float:
    """Return the signal to noise ratio, in dB, of values that are rounded to a format.

    Parameters
    ----------
    entry : Format
        Rounds to the nearest of its finite values, the largest included.
    deviation : float
        Root of the mean square of the values; their mean is zero.
    distribution : Distribution, optional
        Theirs, by default normal.
    """
    distribution = distribution or DISTRIBUTIONS["normal"]
    v = entry.values * math.sqrt(distribution.square) / deviation
    edges = np.concatenate([[-np.inf], (v[1:] + v[:-1]) / 2, [np.inf]])
    mass, first, second = (np.diff(moment) for moment in distribution.moments(edges))
    noise = np.sum(second - 2 * v * first + v**2 * mass)
    return float(10 * np.log10(distribution.square / noise))
