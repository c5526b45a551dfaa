"""The protocol of a score: how it was made, as data, as a line of text and as an identity."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np


def stamp(protocol: Mapping[str, Any]) -> str:
    """One line for people: ``PSNR v1; colour Y of BT.601; crop_border 0; rounding uint8; …``."""
    rest = [
        f"{key} {value}" for key, value in protocol.items() if key not in ("metric", "version") and value is not None
    ]
    return "; ".join([f"{protocol.get('metric', '?')} v{protocol.get('version', '?')}", *rest])


def protocol_id(protocol: Mapping[str, Any]) -> str:
    """Eight hex digits; equal if and only if every field is."""
    return plain_hash(protocol)[:8]


def column_labels(scores: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[tuple[str, str], str]:
    """One column for every (name, protocol identity), in the order of first appearance.

    Scores that share a name but not a protocol get columns of their own, told apart by what differs.

    Args:
        scores: (name, protocol) of every score that a table is to hold.

    Returns:
        (name, protocol identity) -> label of the column.
    """
    protocols: dict[tuple[str, str], Mapping[str, Any]] = {}
    for name, protocol in scores:
        protocols.setdefault((name, protocol_id(protocol)), protocol)
    labels = {}
    for (name, identity), protocol in protocols.items():
        others = [p for (n, i), p in protocols.items() if n == name and i != identity]
        differing = [key for key in protocol if any(other.get(key) != protocol[key] for other in others)]
        detail = ", ".join(f"{key} {protocol[key]}" for key in differing) or (identity if others else "")
        labels[name, identity] = f"{name} ({detail})" if detail else name
    return labels


def plain_hash(data: Any) -> str:
    """SHA-256 (hex) of plain data; the order of dictionary keys does not matter."""
    text = json.dumps(to_plain(data), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def content_hash(*arrays: np.ndarray) -> str:
    """The first 12 hex digits of the SHA-256 of arrays, their types and shapes."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:12]


def to_plain(data: Any) -> Any:
    """Configs, tuples, paths, fractions and numpy scalars as what JSON knows; anything else by its text."""
    if isinstance(data, Mapping):
        return {str(key): to_plain(value) for key, value in data.items()}
    if isinstance(data, np.generic):
        return to_plain(data.item())
    if data is None or isinstance(data, (bool, int, float, str)):
        return data
    if isinstance(data, (Sequence, set, frozenset)):
        items = [to_plain(item) for item in data]
        return sorted(items, key=str) if isinstance(data, (set, frozenset)) else items
    if isinstance(data, type) or callable(data):
        return f"{getattr(data, '__module__', '?')}.{getattr(data, '__qualname__', type(data).__qualname__)}"
    return str(data)
