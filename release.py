# SPDX-License-Identifier: Apache-2.0
"""The release: one archive with what a hardware project needs, and nothing that needs Python.

Imports `golden`, `hdl`, `analysis` and `hif8.files`. Equal results give equal bytes: of the files,
and of the archive around them.
"""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from . import __version__, files
from .analysis import datasheet, results
from .golden import product_vectors, vectors
from .hdl import export
from .hdl.configs import select

NAME = f"hif8-{__version__}"
SUMS = "SHA256SUMS"
"""The digests of all other files, as ``sha256sum --check`` reads them."""

_HERE = Path(__file__).parent
_SHIPPED = _HERE / "shipped"
_EPOCH = 315532800
"""When every file of the archive was changed: the first time that ZIP, too, can hold."""


class Release(NamedTuple):
    """What was packed.

    Attributes
    ----------
    path : Path
        The archive.
    files, modules : int
        What is in it.
    checked, measured : int
        How many modules have results of checks, and their cost, in their datasheets.
    """

    path: Path
    files: int
    modules: int
    checked: int
    measured: int


def run(build: Path, *, step: Callable[[str], None]) -> Release:
    """Pack the release, whole or not at all.

    Parameters
    ----------
    build : Path
        Folder of everything made, with the results that the datasheets show.
    step : callable
        Told what is done next.

    Raises
    ------
    ToolError
        If Verilog cannot be made.
    ValueError
        If a result is damaged.
    OSError
        If the archive cannot be written.
    """
    found = results.read(build)
    out = build / "release"
    out.mkdir(parents=True, exist_ok=True)  # or say at once that it cannot be
    step("Verilog of every unit")
    verilog = export.texts(select())
    manifest_text = verilog.pop(export.MANIFEST)
    manifest = json.loads(manifest_text)
    step("datasheets")
    pages = datasheet.pages(manifest, found)
    step("vectors")
    rows = vectors.texts() | product_vectors.texts()
    rows.pop(vectors.DIGESTS)  # SHA256SUMS has them
    words = _words(manifest, list(rows))
    texts = {
        export.MANIFEST: manifest_text,
        "LICENSE": (_HERE / "LICENSE").read_text(),
        **{name: _filled(name, words) for name in ("README.txt", "hif8.core")},
        **_within("verilog", verilog),
        f"verilog/{export.WAIVERS.name}": export.WAIVERS.read_text(),
        **_within("datasheets", pages),
        **_within("vectors", rows),
        "tb/hif8_tb.v": (_SHIPPED / "hif8_tb.v").read_text(),
    }
    contents = {name: text.encode() for name, text in sorted(texts.items())}
    contents[SUMS] = digests(contents)
    path = files.write(out / f"{NAME}.tar.gz", archive(contents))
    modules = manifest["modules"]
    return Release(
        path,
        files=len(contents),
        modules=len(modules),
        checked=sum(bool(datasheet.checks(module, found)) for module in modules),
        measured=sum(bool(datasheet.cost(module, found)) for module in modules),
    )


def _words(manifest: dict[str, Any], vector_files: list[str]) -> dict[str, str]:
    """Return what the shipped texts have between at signs."""
    modules = manifest["modules"]
    longest = max(len(module["module"]) for module in modules)
    return {
        "version": __version__,
        "waivers": export.WAIVERS.name,
        "rtl": "\n".join(f"      - verilog/{module['file']}" for module in modules),
        "vectors": "\n".join(
            f"      - vectors/{name}: {{file_type: user, copyto: vectors/{name}}}"
            for name in vector_files
        ),
        "lints": "\n".join(_lint(module["module"]) for module in modules),
        "modules": "\n".join(
            f"  {m['module']:<{longest}}  {m['latency']}  {m['summary']}" for m in modules
        ),
    }


def _lint(module: str) -> str:
    """Return FuseSoC's target that lints a module."""
    return f"""\
  lint_{module}:
    filesets: [waivers, rtl]
    toplevel: {module}
    flow: lint
    flow_options: {{tool: verilator, verilator_options: [-Wall]}}"""


def _filled(name: str, words: dict[str, str]) -> str:
    """Return a shipped text with its words filled in."""
    text = (_SHIPPED / name).read_text()
    for word, meaning in words.items():
        text = text.replace(f"@{word}@", meaning)
    return text


def _within(folder: str, texts: dict[str, str]) -> dict[str, str]:
    """Return texts by the names that they have in a folder."""
    return {f"{folder}/{name}": text for name, text in texts.items()}


def digests(contents: dict[str, bytes]) -> bytes:
    """Return the digests of files, a line each."""
    lines = (f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in contents.items())
    return "".join(lines).encode()


def archive(contents: dict[str, bytes]) -> bytes:
    """Return files in one folder as a compressed archive, the same bytes for the same files."""
    stream = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=stream, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name, data in sorted(contents.items()):
            member = tarfile.TarInfo(f"{NAME}/{name}")
            member.size, member.mtime, member.mode = len(data), _EPOCH, 0o644
            tar.addfile(member, io.BytesIO(data))
    return stream.getvalue()
