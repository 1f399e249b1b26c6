# SPDX-License-Identifier: Apache-2.0
"""Operands of matrix products as HiF8 codes in a file: what a training captures, for the hardware.

Imports `hif8.files` and `golden.decode`. The file is a NumPy ``.npz``:

| array | type, shape | |
|---|---|---|
| ``hif8_gemms`` | int64, () | the version of this layout, 1 |
| ``names`` | str, (n,) | the layer of each product, or which product of the layer it is |
| ``directions`` | str, (n,) | ``forward`` or ``backward`` |
| ``scales`` | int64, (n, 2) | exponents: a value is that of its code times 2^scale, of a and of b |
| ``a0``, ``a1``, ... | uint8, (M, K) | the codes of each left operand |
| ``b0``, ``b1``, ... | uint8, (K, N) | those of each right one |
"""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .. import files
from .decode import as_codes

VERSION = 1
DIRECTIONS = ("forward", "backward")
_COLUMNS = ("names", "directions", "scales")


class Gemm(NamedTuple):
    """A matrix product.

    Attributes
    ----------
    name : str
        The layer, or which product of the layer it is.
    direction : str
        ``forward`` or ``backward``.
    a, b : numpy.ndarray of uint8
        Codes, of shapes (M, K) and (K, N).
    scales : tuple of (int, int)
        Exponents: a value is that of its code times 2^scale.
    """

    name: str
    direction: str
    a: npt.NDArray[np.uint8]
    b: npt.NDArray[np.uint8]
    scales: tuple[int, int] = (0, 0)

    @property
    def products(self) -> int:
        """How many products of two codes it is."""
        return self.a.size * self.b.shape[1]


def save(path: Path, gemms: Sequence[Gemm]) -> Path:
    """Write products to a file, whole or not at all.

    Raises
    ------
    OSError
        If it cannot be written.
    ValueError
        If there is nothing to write.
    """
    if not gemms:
        raise ValueError(f"{path} would hold no GEMM: none was captured")
    arrays = {
        "hif8_gemms": np.array(VERSION),
        "names": np.array([gemm.name for gemm in gemms]),
        "directions": np.array([gemm.direction for gemm in gemms]),
        "scales": np.array([gemm.scales for gemm in gemms], np.int64),
    }
    for k, gemm in enumerate(gemms):
        arrays |= {f"a{k}": gemm.a, f"b{k}": gemm.b}
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return files.write(path, stream.getbuffer())


def load(path: Path) -> list[Gemm]:
    """Read products from a file.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is no such file, or one of its products is none.
    """
    content = io.BytesIO(path.read_bytes())
    try:
        file = np.load(content, allow_pickle=False)
        arrays = dict(file) if isinstance(file, np.lib.npyio.NpzFile) else {}
    except (ValueError, EOFError, zipfile.BadZipFile):
        arrays = {}
    if "hif8_gemms" not in arrays:
        raise ValueError(f"{path} is damaged or no file of GEMMs: it must be one of capture_gemms")
    if arrays["hif8_gemms"].shape or int(arrays["hif8_gemms"]) != VERSION:
        raise ValueError(f"{path} must be of version {VERSION}, not {arrays['hif8_gemms']}")
    count = len(arrays.get("names", ()))
    operands = [f"{side}{k}" for k in range(count) for side in "ab"]
    missing = [name for name in (*_COLUMNS, *operands) if name not in arrays]
    if missing or not count:
        raise ValueError(f"{path} lacks {', '.join(missing) or 'any GEMM'}")
    if not len(arrays["directions"]) == count == len(arrays["scales"]):
        raise ValueError(f"{path} must have a direction and scales for each of its {count} names")
    columns = zip(arrays["names"], arrays["directions"], arrays["scales"], strict=True)
    return [
        _checked(path, k, str(name), str(direction), arrays[f"a{k}"], arrays[f"b{k}"], scales)
        for k, (name, direction, scales) in enumerate(columns)
    ]


def _checked(
    path: Path,
    k: int,
    name: str,
    direction: str,
    a: np.ndarray,
    b: np.ndarray,
    scales: np.ndarray,
) -> Gemm:
    """Return one product, refusing what is none."""
    for side, matrix in (("a", a), ("b", b)):
        try:
            as_codes(matrix, f"{side}{k}")
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from None
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != len(b) or not (a.size and b.size):
        raise ValueError(f"{path}: a{k} and b{k} of {a.shape} and {b.shape} are no matrix product")
    if direction not in DIRECTIONS:
        raise ValueError(f"{path}: direction {k} must be forward or backward, not {direction!r}")
    return Gemm(name, direction, as_codes(a), as_codes(b), (int(scales[0]), int(scales[1])))
