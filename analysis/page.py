# SPDX-License-Identifier: Apache-2.0
"""What pages have in common: the template engine, and how numbers, ports and pictures are written.

Imports nothing of the project.
"""

from base64 import b64encode
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def data_uri(svg: bytes) -> str:
    """Return a picture as an address that holds it whole; as an image its ids stay its own."""
    return f"data:image/svg+xml;base64,{b64encode(svg).decode()}"


def port_range(port: dict[str, Any]) -> str:
    """Return a port's name with its bit range, as Verilog writes it."""
    return f"{port['name']}[{port['width'] - 1}:0]" if port["width"] > 1 else port["name"]


def count(number: float) -> str:
    """Return a number of things with its thousands apart."""
    return f"{number:,.0f}"


def percent(share: float) -> str:
    """Return a share from 0 to 1 in per cent."""
    return f"{100 * share:.2f}\N{NO-BREAK SPACE}%"


def environment() -> Environment:
    """Return the template engine: everything escaped, nothing undefined."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {"count": count, "percent": percent, "port_range": port_range}
    return made
