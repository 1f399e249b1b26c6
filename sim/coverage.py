# SPDX-License-Identifier: Apache-2.0
"""Coverage of the encoder benches: what their cases were, in named bins, and which must occur.

Imports `golden.format`. Knows an encoder by the words that go in, the options and the codes that
come out, never by what it is made of. A bin is a place, where the source's value lies; an outcome,
what became of it; its sign; and a setting of the run-time options. Every case is in exactly one.
"""

from itertools import product

import numpy as np

from ..golden import format as f

OUTCOMES = ("exact", "down", "up", "carry")
"""What became of a magnitude; a carry is a step up into the next binade or to infinity."""
EXACT, DOWN, UP, CARRY = range(len(OUTCOMES))

_LOWEST = f.MIN_EXPONENT - 1
"""The binade below the smallest denormal, which still rounds up to it."""
_BINADES = range(_LOWEST, f.MAX_EXPONENT + 1)
_OVERFLOW = 1.25 * 2.0**f.MAX_EXPONENT
"""From here on every rounding gives infinity."""
_SPECIAL = ("zero", "subnormal", "E < -23", "from 1.25 \u00b7 2^15", "E > 15", "infinity", "NaN")
PLACES = (*(f"E = {e}" for e in _BINADES), *_SPECIAL)
"""Where a value lies: a binade, that of E = 15 up to 1.25 times 2^15 alone; or what is outside.

A subnormal is one whose value underflows: those of FP16 that do not are in their binades.
"""
_ZERO, _SUBNORMAL, _UNDERFLOW, _TOP, _BEYOND, _INFINITE, _NAN = range(len(_BINADES), len(PLACES))

_WIDTHS = {_LOWEST: -1} | {
    e: next((d.mantissa_width for d in f.DOT_FIELDS if abs(e) in d.magnitudes), 0)
    for e in _BINADES[1:]
}
"""n, the fraction bits that a code has in each binade; -1 where it does not have the binade."""
_INFINITY = f.MAX_EXPONENT + 1
"""Stands for the exponent of infinity."""

COLUMNS = ("exact", "down", "up", "up, next binade", "up, other width or infinity")
"""The outcomes as tables show them: carries are told apart by whether n changes."""


def _row(place: int) -> str:
    """Return the line of a table that a place belongs to."""
    if place >= len(_BINADES) or _BINADES[place] in (_LOWEST, f.MAX_EXPONENT):
        return PLACES[place]
    e = _BINADES[place]
    return next((d.name for d in f.DOT_FIELDS if abs(e) in d.magnitudes), f.DOT_FIELDS[-1].name)


def _column(place: int, outcome: int) -> int:
    """Return the column of a table that an outcome belongs to."""
    if outcome < CARRY:
        return outcome
    e = _BINADES[place] if place < len(_BINADES) else f.MAX_EXPONENT
    return CARRY + (_WIDTHS.get(e + 1) != _WIDTHS[e])


def _magnitudes() -> tuple[np.ndarray, np.ndarray]:
    """Return exponent and value of the 128 codes without sign, from the dot-field table."""
    exponents, values = np.zeros(f.SIGN_BIT, np.int8), np.zeros(f.SIGN_BIT)
    for field in f.DOT_FIELDS:
        free = f.WIDTH - 1 - field.prefix_width
        n = field.mantissa_width
        hidden = 1 << field.exponent_width >> 1
        for low in range(1 << free):
            stored, mantissa = low >> n, low & (1 << n) - 1
            magnitude = stored & max(hidden - 1, 0) | hidden
            e = -magnitude if stored & hidden else magnitude
            fraction = mantissa / (1 << n)
            if field.denormal:
                e, fraction = mantissa - f.DENORMAL_BIAS, 0
            exponents[field.prefix << free | low] = e
            values[field.prefix << free | low] = 2.0**e * (1 + fraction)
    values[[f.ZERO, f.INF]] = 0, np.inf
    exponents[[f.ZERO, f.INF]] = _LOWEST - 1, _INFINITY
    return exponents, values


_EXPONENTS, _VALUES = _magnitudes()
_BINADE_OF = np.array(
    [*_BINADES, *[_LOWEST - 1] * 3, f.MAX_EXPONENT, f.MAX_EXPONENT, _INFINITY, _INFINITY], np.int8
)
"""For each place the exponent that a result must exceed to be a carry."""


def _places(source: f.FloatFormat, shift: int) -> np.ndarray:
    """Return the place of every magnitude of the source, zero and NaN apart, by leading bits."""
    words = np.arange(1 << source.width - 1 - shift, dtype=source.word) << shift
    finite = np.minimum(words, source.inf_bits - 1)
    x = finite.view(source.dtype).astype(np.float64)
    e = np.frexp(x)[1] - 1
    outside = np.where(words >> source.fraction_width == 0, _SUBNORMAL, _UNDERFLOW)
    conditions = [
        words >= source.inf_bits,
        e > f.MAX_EXPONENT,
        x >= _OVERFLOW,
        (e < _LOWEST) | (x == 0),
    ]
    choices = [_INFINITE, _BEYOND, _TOP, outside]
    return np.select(conditions, choices, e - _LOWEST).astype(np.uint8)


def reachable(
    source: f.FloatFormat, options: dict[str, int], *, keep_exact: bool = False
) -> np.ndarray:
    """Tell which outcomes are possible at which places.

    Parameters
    ----------
    source : FloatFormat
        What is encoded.
    options : dict of int
        A setting of the run-time options.
    keep_exact : bool
        Whether HR leaves exact values.

    Returns
    -------
    numpy.ndarray of bool
        Over `PLACES` and `OUTCOMES`.

    Notes
    -----
    Nothing rounds up inside a binade that has one value, as those of the denormals and of 2^15
    have. FP32's exact values move under HR unless kept. Below the smallest denormal the hidden bit
    leads the discarded ones, so that only HR can round down, and only if T has a bit that F does
    not have: FP16 has too few left there. In the binade of 2^15 only HR overflows below 1.25 times
    2^15. What is infinite, saturation turns into 2^15.
    """
    hybrid, saturate = options.get("hybrid", 0), options["saturate"]
    table = np.zeros((len(PLACES), len(OUTCOMES)), bool)
    for e, n in _WIDTHS.items():
        moves = hybrid and abs(e) >= f.HYBRID_FROM and source.hybrid_width > 2 and not keep_exact
        table[e - _LOWEST] = (not moves, True, n > 0, True)
    fraction_bits = min(source.fraction_width, _LOWEST + source.bias - 1 + source.fraction_width)
    table[0, [EXACT, DOWN]] = False, hybrid and fraction_bits >= source.hybrid_width
    last = f.MAX_EXPONENT - _LOWEST
    table[last, UP] = False
    table[last, CARRY] = hybrid and not saturate
    table[last, EXACT] |= bool(saturate)
    table[[_ZERO, _NAN], EXACT] = True
    table[[_SUBNORMAL, _UNDERFLOW], DOWN] = True
    table[[_TOP, _BEYOND], DOWN if saturate else CARRY] = True
    table[_INFINITE, DOWN if saturate else EXACT] = True
    exist = np.append(np.unique(_places(source, max(source.width - 16, 0))), [_ZERO, _NAN])
    table[np.setdiff1d(np.arange(len(PLACES)), exist)] = False
    return table


class Coverage:
    """Counts the cases of an encoder in every bin.

    Parameters
    ----------
    source : FloatFormat
        What is encoded.
    settings : list of dict
        The settings of the run-time options that are run.
    keep_exact : bool
        Whether HR leaves exact values.
    """

    def __init__(
        self, source: f.FloatFormat, settings: list[dict[str, int]], *, keep_exact: bool = False
    ) -> None:
        self.source = source
        self.settings = settings
        self.counts = np.zeros((len(settings), len(PLACES), len(OUTCOMES), 2), np.int64)
        """Over settings, places, outcomes and signs."""
        self.reachable = np.array(
            [reachable(source, options, keep_exact=keep_exact) for options in settings]
        )
        self._shift = max(source.width - 16, 0)
        self._places = _places(source, self._shift)
        self._words = _VALUES.astype(source.dtype).view(source.word)

    def count(
        self,
        inputs: dict[str, np.ndarray],
        options: dict[str, int],
        outputs: dict[str, np.ndarray],
    ) -> None:
        """Count cases.

        Parameters
        ----------
        inputs : dict of numpy.ndarray
            What went in: ``x``, words of the source's unsigned type.
        options : dict of int
            Under which setting.
        outputs : dict of numpy.ndarray
            What came out: ``code``, of uint8.
        """
        words, codes = inputs["x"], outputs["code"]
        source = self.source
        sign = source.word.type(1 << source.width - 1)
        magnitudes = words & ~sign
        places = self._places[magnitudes >> source.word.type(self._shift)]
        places[magnitudes == 0] = _ZERO
        body = codes & ~np.uint8(f.SIGN_BIT)
        results = self._words[body]
        outcomes = (results < magnitudes).view(np.uint8)
        outcomes += (results > magnitudes).view(np.uint8) * np.uint8(UP)
        outcomes += _EXPONENTS[body] > _BINADE_OF[places]
        nan = magnitudes > source.inf_bits
        places[nan] = _NAN
        outcomes[nan] = EXACT
        bins = places.astype(np.intp)
        bins *= len(OUTCOMES)
        bins += outcomes
        bins *= 2
        bins += words >= sign
        shape = self.counts.shape[1:]
        found = np.bincount(bins, minlength=np.prod(shape)).reshape(shape)
        self.counts[self.settings.index(options)] += found

    def name(self, setting: int, place: int, outcome: int, negative: int) -> str:
        """Return what a bin is called."""
        active = [option for option, value in self.settings[setting].items() if value]
        what = PLACES[place] if place >= len(_BINADES) else f"{PLACES[place]} {OUTCOMES[outcome]}"
        return ", ".join([what, "negative" if negative else "positive", *active])

    def result(self) -> dict[str, object]:
        """Return what was found, for JSON.

        Returns
        -------
        dict
            ``bins``, how many must be hit, and ``hit``, how many were; the names of those that
            were not, ``unhit``, and of others that should not have been, ``unexpected``; ``least``,
            name and count of the one that was hit least; ``columns``, and for ``TA`` and ``HR`` in
            ``tables`` the sums in these columns for each line, None where no case can be.
        """
        must = np.broadcast_to(self.reachable[..., np.newaxis], self.counts.shape)
        hits = np.where(must, self.counts, self.counts.max() + 1)
        least = np.unravel_index(hits.argmin(), hits.shape)
        return {
            "bins": int(must.sum()),
            "hit": int((self.counts[must] > 0).sum()),
            "unhit": [self.name(*place) for place in np.argwhere(must & (self.counts == 0))],
            "unexpected": [self.name(*place) for place in np.argwhere(~must & (self.counts > 0))],
            "least": [self.name(*least), int(self.counts[least])],
            "columns": list(COLUMNS),
            "tables": self._tables(),
        }

    def _tables(self) -> dict[str, dict[str, list[int | None]]]:
        """Return the counts of each rounding mode, summed into lines and columns."""
        tables: dict[str, dict[str, list[int | None]]] = {}
        for setting, options in enumerate(self.settings):
            table = tables.setdefault("HR" if options.get("hybrid") else "TA", {})
            for place, outcome in product(range(len(PLACES)), range(len(OUTCOMES))):
                row = table.setdefault(_row(place), [None] * len(COLUMNS))
                if self.reachable[setting, place, outcome]:
                    column = _column(place, outcome)
                    row[column] = (row[column] or 0) + int(
                        self.counts[setting, place, outcome].sum()
                    )
        return tables


def fault(coverage: dict[str, object]) -> str:
    """Say in a line what is wrong with a coverage, or nothing.

    Parameters
    ----------
    coverage : dict
        From `Coverage.result`.
    """
    for key, what in (("unhit", "not hit"), ("unexpected", "hit that must not be")):
        names = coverage[key]
        if names:
            plural = "s" if len(names) > 1 else ""
            more = f"; and {len(names) - 3} more" if len(names) > 3 else ""
            return f"{len(names)} bin{plural} of coverage {what}: {'; '.join(names[:3])}{more}"
    return ""
