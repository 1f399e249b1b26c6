# SPDX-License-Identifier: Apache-2.0
"""Proofs by SAT that the exported Verilog of units has the format's properties.

Imports `hif8.files`, `golden.format`, `hdl` and `sim.verify`. A property is a claim in Verilog
around a unit: its output `ok` must be 1 for all inputs and all settings of the options. What it
knows of the format it has from tables of exact fractions, made here from the dot-field table and
from nothing of golden's encode and decode. Every property has a wrong variant, which must be
refuted: a check that cannot fail proves nothing.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from ... import files
from ...hdl.configs import UNITS, Unit
from .. import verify
from . import arithmetic, conversions, readouts
from .prover import Answer, Proof, Property, claim, prove, prove_all, tool

PROPERTIES = conversions.PROPERTIES + arithmetic.PROPERTIES + readouts.PROPERTIES
_BY_NAME = {wanted.name: wanted for wanted in PROPERTIES}

__all__ = [
    "PROPERTIES",
    "Answer",
    "Proof",
    "Property",
    "claim",
    "explain",
    "properties",
    "prove",
    "prove_all",
    "save",
    "select",
    "summary",
    "tool",
]


def properties(unit: Unit) -> list[Property]:
    """Return what is claimed of a unit."""
    return [p for p in PROPERTIES if p.bench == unit.bench and p.holds_for(unit)]


def select(names: Iterable[str] = ()) -> list[Unit]:
    """Return the units of the given names, all of which something is claimed if none is given.

    Raises
    ------
    ValueError
        If nothing is claimed of a unit of such a name.
    """
    known = {unit.name: unit for unit in UNITS.values() if properties(unit)}
    names = list(dict.fromkeys(names)) or list(known)
    for name in names:
        if name not in known:
            raise ValueError(f"unit must be one of {', '.join(known)}, not {name!r}")
    return [known[name] for name in names]


def save(proofs: list[Proof], folder: Path) -> list[Path]:
    """Write the proofs of every unit where the report finds them, and return the files."""
    by_unit: dict[str, list[dict[str, object]]] = {}
    for proof in proofs:
        by_unit.setdefault(proof.unit, []).append(asdict(proof))
    return [
        files.write(folder / f"{name}.json", (json.dumps(rows, indent=2) + "\n").encode())
        for name, rows in by_unit.items()
    ]


def explain(proof: Proof, found: dict[str, dict[str, int]]) -> list[tuple[str, str, str]]:
    """Put a counterexample into words, as `verify.explain` does a mismatch.

    Where the claim expects nothing in particular of an output, the second is empty.
    """
    unit, wanted = UNITS[proof.unit], _BY_NAME[proof.property]
    ports = wanted.inputs(unit) | {name: unit.ports[name] for name in found["options"]}
    given = found["inputs"] | found["options"]
    rows = [(name, verify.meaning(ports[name], value), "") for name, value in given.items()]
    for name, port in wanted.outputs(unit).items():
        expected, got = (found[kind].get(name) for kind in ("expected", "got"))
        stated = "" if expected is None else verify.meaning(port, expected)
        rows.append((name, stated, verify.meaning(port, got)))
    return rows


def summary(proof: Proof) -> str:
    """Return the wrong variant's counterexample in a line: inputs, options set, what differs."""

    def brief(meaning: str) -> str:
        parts = [part for part in meaning.split(" = ") if "'b" not in part]
        return " = ".join(dict.fromkeys([parts[0], parts[-1]]))

    if proof.variant.counterexample is None:
        return "PROVED"
    found = proof.variant.counterexample
    relation = _BY_NAME[proof.property].relation
    rows = explain(proof, found)
    given = [f"{port} {brief(put)}" for port, put, _ in rows if port in found["inputs"]]
    given += [option for option, setting in found["options"].items() if setting]
    differ = [
        f"{port} must be {relation}{brief(expected)}, is {brief(got)}"
        if expected
        else f"{port} is {brief(got)}"
        for port, expected, got in rows
        if got not in ("", expected)
    ]
    return f"refuted: {', '.join(given)}: {', '.join(differ)}"
