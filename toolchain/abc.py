# SPDX-License-Identifier: Apache-2.0
"""ABC, which compares and explores graphs of ANDs and inverters: the one that comes with Yosys."""

from pathlib import Path

from .program import Program

ABC = Program("yosys-abc", "apt-get install yosys", ("-q", "version"))


def run(folder: Path, command: str, *, timeout: float | None = None) -> str:
    """Return what ABC says to a command in a folder.

    Raises
    ------
    OutOfTimeError
        If it takes longer than so many seconds.
    ToolError
        If it is missing or fails.
    """
    return ABC.run(folder, "-q", command, timeout=timeout)
