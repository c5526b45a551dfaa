"""SHA-256 of weight files."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable

from vrestore.errors import WeightsError


def sha256_of(path: str | os.PathLike, advance: Callable[[int], object] | None = None) -> str:
    """Compute the SHA-256 of a file.

    Args:
        path: the file.
        advance: called with the number of bytes of each block read.

    Returns:
        64 hexadecimal digits in lower case.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            if advance is not None:
                advance(len(block))
    return digest.hexdigest()


def check_sha256(path: str | os.PathLike, expected: str | None) -> None:
    """Compare the SHA-256 of a file with the expected one.

    Args:
        path: the file.
        expected: all 64 hexadecimal digits, or their first ones (8 at least), as releases write them into file names;
            None checks nothing.

    Raises:
        WeightsError: the sums differ; the message has both.
    """
    if expected is None:
        return
    expected = str(expected).lower()
    if not re.fullmatch(r"[0-9a-f]{8,64}", expected):
        raise WeightsError(f"'{expected}' is no SHA-256: 8 to 64 hexadecimal digits are")
    found = sha256_of(path)
    if not found.startswith(expected):
        raise WeightsError(
            f"{path} is damaged or another file: its SHA-256 is {found[: len(expected)]}, it should be {expected}; "
            f"delete it and get it again"
        )
