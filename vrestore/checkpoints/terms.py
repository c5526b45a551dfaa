"""The terms of weights: what restricts their use, told where they are loaded."""

from __future__ import annotations

import logging
import os
import re
from functools import cache

from vrestore.checkpoints.index import released_weights

logger = logging.getLogger("vrestore")

# What a licence must hold to restrict its user beyond naming the author, and what that means.
RESTRICTIONS = (
    (r"\bNC\b|non-?commercial", "they may not be used commercially"),
    (r"none stated|no licence", "nobody has allowed anything: ask their authors before using them"),
    (r"\bA?GPL", "what is made of them and passed on may have to come under the same licence"),
)


def restriction(licence: str | None) -> str | None:
    """What a licence forbids or asks beyond naming the author, as half a sentence; None where it is nothing."""
    found = (words for pattern, words in RESTRICTIONS if licence and re.search(pattern, licence, re.IGNORECASE))
    return next(found, None)


@cache
def tell_terms(subject: str, licence: str, source: str | None = None) -> None:
    """Say once a process under which terms weights may be used; as a warning where they restrict it.

    Args:
        subject: whose weights: a name of the zoo, or a file.
        licence: of the weights.
        source: who made them.
    """
    text = f"weights of {subject}{f', by {source}' if source else ''}: licence {licence}"
    limits = restriction(licence)
    if limits:
        logger.warning(f"{text}; {limits}")
    else:
        logger.info(text)


def tell_terms_of_file(file: str | os.PathLike) -> bool:
    """Tell the terms of a file that is known by its name, as releases call it; whether it is known."""
    name = os.path.basename(os.fspath(file))
    known = released_weights(name)
    if known is None or known.licence is None:
        return False
    tell_terms(name, known.licence, known.source)
    return True
