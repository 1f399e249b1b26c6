# SPDX-License-Identifier: Apache-2.0
"""Bench of the matrix engines: tiles of a matrix product, every bit of every row of the result.

Imports `golden`, `sim.bench`, `sim.lanes`, `sim.programs` and `sim.streams`. Scale and options are
each tile's own, and random at the beats that do not read them. An engine has products enough to be
simulated in one lane. A user's matrices come as blocks, from `sim.engine`.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import cocotb
import numpy as np

from ..golden import format as f
from ..golden.accumulate import SCALES
from ..golden.matmul import matmul
from ..hdl.configs import UNITS, Unit
from . import programs
from .bench import FURTHER, Arrays, Job, Tally, beside, clocks, while_time
from .effort import PRODUCTS
from .lanes import lane_dtype
from .streams import STEADY, TRAFFIC, Streams, Traffic, cut_short

LENGTHS = (1, 3, 4, 5, 8, 9, 33, 64)
"""Beats of random tiles, fewer than a tile has rows, as many, and more; as many beats go to each.

The longest come last, so that a reset finds a sum begun while rows are read out.
"""
SHORT = 6
"""Random tiles of each length in the traffics after the first."""
CANCELLED = 64
"""Vectors of `a`, and of `b`, that cancel."""


@dataclass(frozen=True)
class Tiles:
    """Tiles of one length.

    Attributes
    ----------
    a, b : numpy.ndarray of uint8
        Codes, of shape (tiles, beats, rows) and (tiles, beats, columns).
    options : dict of numpy.ndarray
        What is read with the last beat, of shape (tiles,).
    random_products : int
        How many of the products were drawn from the whole space.
    """

    a: np.ndarray
    b: np.ndarray
    options: Arrays
    random_products: int = 0

    @property
    def beats(self) -> int:
        """How many beats a tile has."""
        return self.a.shape[1]

    def some(self, job: Job, rng: np.random.Generator) -> "Tiles":
        """Return the share of them that the job runs."""
        chosen = job.some(len(self.a), rng)
        options = {name: values[chosen] for name, values in self.options.items()}
        return Tiles(self.a[chosen], self.b[chosen], options)


def tile_size(unit: Unit) -> tuple[int, int]:
    """Return how many rows and columns a tile has."""
    return unit.parameters["rows"], unit.parameters["cols"]


def option_names(unit: Unit) -> list[str]:
    """Return the inputs that are read with the last beat."""
    return [name for name in unit.data_inputs if name not in ("a", "b", "last")]


def _count(job: Job, beats: int) -> int:
    """Return how many random tiles of a length the first traffic has."""
    each = job.random_cases * PRODUCTS / len(LENGTHS) / UNITS[job.unit].products
    return max(job.part(SHORT), math.ceil(each / beats))


def _drawn(unit: Unit, tiles: int, rng: np.random.Generator) -> Arrays:
    """Draw options; half of the scales are 1."""
    drawn = {name: rng.integers(0, 2, tiles) for name in option_names(unit)}
    return drawn | {"scale": rng.integers(SCALES[0], SCALES[-1] + 1, tiles) * drawn["scale"]}


def _random(unit: Unit, tiles: int, beats: int, rng: np.random.Generator) -> Tiles:
    """Draw tiles of so many beats."""
    a, b = (programs.random_codes(rng, (tiles, beats, size)) for size in tile_size(unit))
    return Tiles(a, b, _drawn(unit, tiles, rng), tiles * beats * unit.products)


def _crossed(unit: Unit, a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> Tiles:
    """Return tiles in which every vector of `a`, in a row, meets every one of `b`, in a column."""
    left, right = (
        vectors[np.arange(-(-len(vectors) // size) * size) % len(vectors)]
        .reshape(-1, size, vectors.shape[1])
        .transpose(0, 2, 1)
        for vectors, size in zip((a, b), tile_size(unit), strict=True)
    )
    i, j = (index.ravel() for index in np.indices((len(left), len(right))))
    return Tiles(left[i], right[j], _drawn(unit, len(i), rng))


def _exponents(unit: Unit, rng: np.random.Generator) -> Iterator[Tiles]:
    """Yield sums of two products of all exponents, -44 to 30, of equal and of opposite signs.

    One factor of each is a code of any exponent, the other one of either end.
    """
    codes = np.array([rng.choice(group) for group in programs.BINADES], np.uint8)
    ends = codes[[0, -1]]
    for first, second, sign in product(ends, ends, (0, f.SIGN_BIT)):
        yield _crossed(
            unit,
            np.stack([codes, np.full_like(codes, second)], axis=1),
            np.stack([np.full_like(codes, first), codes | np.uint8(sign)], axis=1),
            rng,
        )


def _specials(unit: Unit, rng: np.random.Generator) -> Tiles:
    """Return sums of any two products of special codes and a one."""
    pairs = np.array([(*pair, 0x08) for pair in product(programs.SPECIALS, repeat=2)], np.uint8)
    return _crossed(unit, pairs, pairs, rng)


def _every_setting(unit: Unit, rng: np.random.Generator) -> Tiles:
    """Return a tile of as many beats as rows for every scale and every setting of the options."""
    names = option_names(unit)
    grid = np.array(list(product(*(SCALES if name == "scale" else (0, 1) for name in names))))
    tiles = _random(unit, len(grid), unit.parameters["rows"], rng)
    return Tiles(tiles.a, tiles.b, dict(zip(names, grid.T, strict=True)))


def _directed(unit: Unit, rng: np.random.Generator) -> Iterator[Tiles]:
    """Yield the tiles that are run whatever the effort."""
    yield _every_setting(unit, rng)
    yield from _exponents(unit, rng)
    yield _specials(unit, rng)
    for a, b in programs.cancellations(rng):  # in which any two vectors cancel
        size = slice(CANCELLED)
        yield _crossed(unit, a[size], b[size], rng)
    for a, b in programs.alternations():
        yield _crossed(unit, a, b, rng)


def _program(job: Job, name: str, rng: np.random.Generator) -> Iterator[list[Tiles]]:
    """Yield the tiles of one kind of traffic, in blocks that are simulated in one go."""
    unit = UNITS[job.unit]
    if name == FURTHER:
        yield from while_time(job, lambda beats: block(job, beats, rng), LENGTHS)
        return
    if name != "steady":
        yield [_random(unit, job.part(SHORT), beats, rng) for beats in LENGTHS]
        return
    yield [tiles.some(job, rng) for tiles in _directed(unit, rng)]
    for beats in LENGTHS:
        left = _count(job, beats)
        while left:
            tiles = min(left, _most(job, beats))
            yield [_random(unit, tiles, beats, rng)]
            left -= tiles


def block(job: Job, beats: int, rng: np.random.Generator) -> list[Tiles]:
    """Draw a block of tiles of so many beats."""
    return [_random(UNITS[job.unit], _most(job, beats), beats, rng)]


def _most(job: Job, beats: int) -> int:
    """Return how many tiles of a length make a block."""
    return max(1, job.block // max(beats, UNITS[job.unit].parameters["rows"]))


def count(job: Job) -> int:
    """Return how many rows the bench must compare.

    Directed: 64 scales, each with all settings of the other options; 38 by 38 vectors for the
    exponents eight times; 81 by 81 of specials; 64 by 64 that cancel twice; 6 alternations; as many
    in a tile as have a place. Then the random ones, as `_program` draws them. Of each kind the
    job's share.
    """
    unit = UNITS[job.unit]
    tiles = job.part(64 * 2 ** (len(option_names(unit)) - 1))
    for kinds, vectors in ((8, 38), (1, 81), (2, CANCELLED), (6, 1)):
        crossed = math.prod(math.ceil(vectors / size) for size in tile_size(unit))
        tiles += kinds * job.part(crossed)
    tiles += sum(_count(job, beats) for beats in LENGTHS)
    tiles += (len(TRAFFIC) - 1) * job.part(SHORT) * len(LENGTHS)
    return unit.parameters["rows"] * tiles


def expect(unit: Unit, tiles: Tiles) -> Arrays:
    """Return golden's rows, tile after tile."""
    rows, cols = tile_size(unit)
    hif8 = unit.parameters["output"] == "hif8"
    out = np.empty((len(tiles.a), rows, cols), "u1" if hif8 else "<f4")
    names = [name for name in option_names(unit) if name != "scale"]
    settings = np.array([tiles.options[name] for name in names], bool).T.reshape(len(out), -1)
    for setting in product((False, True), repeat=len(names)):
        mask = (settings == setting).all(axis=1)
        how = dict(zip(names, setting, strict=True))
        if hif8:
            how["rounding"] = "hr" if how.pop("hybrid") else "ta"
        out[mask] = matmul(
            tiles.a[mask].transpose(0, 2, 1),
            tiles.b[mask],
            accumulator=unit.parameters["accumulator"],
            scale=tiles.options["scale"][mask, None, None],
            **how,
        )
    last_row = np.tile(np.arange(rows) == rows - 1, len(out))
    return {
        "c": out.reshape(-1, cols).view(lane_dtype(unit.ports["c"]))[:, 0],
        "last_row": last_row.astype(np.uint8),
    }


def stimulus(unit: Unit, batches: list[Tiles], rng: np.random.Generator) -> Arrays:
    """Return what the ports are at every beat, tile after tile."""
    parts: dict[str, list[np.ndarray]] = {name: [] for name in unit.data_inputs}
    for tiles in batches:
        shape = tiles.a.shape[:2]
        steps = math.prod(shape)
        for name in ("a", "b"):
            parts[name].append(getattr(tiles, name).reshape(steps, -1))
        last = np.zeros(shape, np.uint8)
        last[:, -1] = 1
        parts["last"].append(last.reshape(steps, 1))
        for name, values in tiles.options.items():
            dtype = lane_dtype(unit.ports[name])
            mask = (1 << unit.ports[name].width) - 1
            bits = rng.integers(0, mask + 1, shape).astype(dtype)
            bits[:, -1] = values & mask
            parts[name].append(bits.reshape(steps, 1))
    return {name: np.concatenate(rows) for name, rows in parts.items()}


def _shown(unit: Unit, tiles: Tiles) -> Arrays:
    """Return for every row what is shown of a wrong one: its tile's last beat and options."""
    beat = {
        name: np.ascontiguousarray(codes[:, -1]).view(lane_dtype(unit.ports[name]))[:, 0]
        for name, codes in (("a", tiles.a), ("b", tiles.b))
    }
    rows, _ = tile_size(unit)
    return {name: np.repeat(values, rows) for name, values in (beat | tiles.options).items()}


def _broken(
    unit: Unit, name: str, batches: list[Tiles], traffic: Traffic, last: np.ndarray
) -> list[str]:
    """Return in what the traffic was not as that of an engine must be."""
    broken = [f"{name}: {text}" for text in traffic.broken]
    rows, _ = tile_size(unit)
    lengths = np.concatenate([np.full(len(tiles.a), tiles.beats) for tiles in batches])
    if len(traffic.accepted) != len(last) or len(traffic.emitted) != rows * len(lengths):
        return [*broken, f"{name}: {len(traffic.accepted)} in, {len(traffic.emitted)} out"]
    ends = traffic.accepted[np.flatnonzero(last)]
    emitted = traffic.emitted.reshape(-1, rows)
    firsts = emitted[:, 0]
    gap, stall = TRAFFIC.get(name, STEADY)
    if (firsts < ends + unit.latency).any():
        broken.append(f"{name}: a row came out after {(firsts - ends).min()} cycles")
    if stall == 0:
        due = np.append(
            ends[0] + unit.latency, np.maximum(ends[1:] + unit.latency, emitted[:-1, -1] + 1)
        )
        late = np.flatnonzero(firsts != due)
        if late.size:
            tile = late[0]
            broken.append(f"{name}: tile {tile} came in cycle {firsts[tile]}, not {due[tile]}")
        if (np.diff(emitted, axis=1) != 1).any():
            broken.append(f"{name}: the rows of a tile came with gaps")
    if gap == stall == 0 and (np.diff(firsts) != np.maximum(lengths[1:], rows)).any():
        broken.append(f"{name}: a tile took other than as many cycles as it has beats, or rows")
    return broken


def _measured(
    unit: Unit, batches: list[Tiles], traffic: Traffic, last: np.ndarray
) -> tuple[int, int]:
    """Return the latency, and the interval: cycles a beat, for tiles with as many as rows."""
    rows, _ = tile_size(unit)
    lengths = np.concatenate([np.full(len(tiles.a), tiles.beats) for tiles in batches])
    ends = traffic.accepted[np.flatnonzero(last)]
    firsts = traffic.emitted[::rows]
    free = lengths[1:] >= rows
    beats = np.ceil(np.diff(firsts)[free] / lengths[1:][free])
    return int((firsts - ends).min()), int(beats.max(initial=1))


def expected(unit: Unit, batches: list[Tiles]) -> Arrays:
    """Return golden's rows of batches, one after the other."""
    return _joined([expect(unit, tiles) for tiles in batches])


def compare(
    tally: Tally, unit: Unit, batches: list[Tiles], traffic: Traffic, golden: Arrays
) -> Arrays:
    """Compare the rows that came out with golden's, and return them."""
    shown = _joined([_shown(unit, tiles) for tiles in batches])
    done = min(len(golden["c"]), len(traffic.outputs["c"]))
    parts = [
        {name: column[:done] for name, column in columns.items()}
        for columns in (shown, golden, traffic.outputs)
    ]
    tally.compare(parts[0], {}, *parts[1:])
    return parts[2]


def _joined(parts: list[Arrays]) -> Arrays:
    """Return columns one after the other."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@cocotb.test()
async def tiles_as_golden(dut: object) -> None:
    """Send tiles under every kind of traffic and compare each row that comes out, in order."""
    job = Job.load()
    assert job.lanes == 1, "an engine is simulated in one lane"
    streams = Streams(dut, UNITS[job.unit], job.lanes, Path(job.folder))
    run = _blocks if job.tensors else _cases
    tally = Tally(random_products=0)
    await run(streams, job, tally)
    tally.save(job)


async def _cases(streams: Streams, job: Job, tally: Tally) -> None:
    """Run the bench's own tiles."""
    unit = UNITS[job.unit]
    rng = np.random.default_rng(job.seed)
    depth = unit.latency + unit.parameters["rows"]
    begin = time.perf_counter()
    for name, (gap, stall) in (
        *TRAFFIC.items(),
        *[(FURTHER, TRAFFIC["steady"])] * (job.seconds > 0),
    ):
        start, pauses = clocks(), np.random.default_rng(job.seed)
        how = {"gap": gap, "stall": stall, "rng": pauses, "reset": True}
        blocks = ((part, stimulus(unit, part, rng)) for part in _program(job, name, rng))
        for (batches, items), golden in beside(blocks, lambda block: expected(unit, block[0])):
            rows = int(items["last"].sum()) * unit.parameters["rows"]
            before = None
            if "reset" in name:  # what is inside then must not come out, nor stay in a sum
                ones = stimulus(unit, [_random(unit, depth + 2, 1, pauses)], pauses)
                tally.broken += await streams.reset_when_full(ones, depth=depth, rng=pauses)
                before = await streams.transact(items, rows - 9, **how)
            traffic = await streams.transact(items, rows, linger=2 * depth, **how)
            if before:
                tally.broken += cut_short(before, traffic)
            tally.broken += _broken(unit, name, batches, traffic, items["last"])
            compare(tally, unit, batches, traffic, golden.result())
            if not tally.broken:
                tally.random_products += sum(tiles.random_products for tiles in batches)
                if name == "steady":
                    tally.measured(*_measured(unit, batches, traffic, items["last"]))
            if name == FURTHER:
                tally.further(rows, start)
            tally.report(job, begin)


async def _blocks(streams: Streams, job: Job, tally: Tally) -> None:
    """Multiply every block of rows by every block of columns; keep the rows, and the cycles."""
    unit = UNITS[job.unit]
    rng = np.random.default_rng(job.seed)
    with np.load(job.file("tensors.npz")) as tensors:
        a, b = tensors["a"], tensors["b"]
    i, j = (index.ravel() for index in np.indices((len(a), len(b))))
    step = max(1, job.block // a.shape[1])
    kept, cycles = [], 0
    begin = time.perf_counter()
    for start in range(0, len(i), step):
        part = slice(start, start + step)
        options = {name: np.full(len(i[part]), job.options[name]) for name in option_names(unit)}
        batches = [Tiles(a[i[part]], b[j[part]], options)]
        items = stimulus(unit, batches, rng)
        rows = int(items["last"].sum()) * unit.parameters["rows"]
        traffic = await streams.transact(items, rows, rng=rng, reset=start == 0)
        tally.broken += _broken(unit, "steady", batches, traffic, items["last"])
        kept.append(compare(tally, unit, batches, traffic, expected(unit, batches))["c"])
        tally.report(job, begin)
        if tally.broken:
            break
        cycles += int(traffic.emitted[-1] - traffic.accepted[0]) + 1
    np.savez(job.file("outputs.npz"), c=np.concatenate(kept), cycles=cycles)
