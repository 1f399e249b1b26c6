# SPDX-License-Identifier: Apache-2.0
"""The tables of the README that are made of kept results, each between two marks with its name.

Imports the figures' modules that make them.
"""

from pathlib import Path

from . import cost_blocks, learning_figure

TABLES = {
    "cost": cost_blocks,
    "learning": learning_figure,
}
"""The figures that make them, by functions ``compute() -> rows`` and ``markdown(rows)``."""


def filled(text: str) -> str:
    """Return the README's text with all tables as they are now.

    Raises
    ------
    ValueError
        If the marks of a table are missing.
    """
    for name, module in TABLES.items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        before, first, rest = text.partition(begin)
        _, last, after = rest.partition(end)
        if not (first and last):
            raise ValueError(f"the README must have the lines {begin} and {end}")
        text = f"{before}{begin}\n{module.markdown(module.compute())}{end}{after}"
    return text


def renew(readme: Path) -> None:
    """Put all tables into the README."""
    readme.write_text(filled(readme.read_text()))
