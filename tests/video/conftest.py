"""Clips that several test files share, made once a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.video import clips


class Library:
    """Clips by kind, made when they are first asked for."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._made: dict[str, Path] = {}

    def __getitem__(self, kind: str) -> Path:
        if kind not in self._made:
            self._made[kind] = clips.make(kind, self._folder)
        return self._made[kind]


@pytest.fixture(scope="session")
def library(tmp_path_factory) -> Library:
    return Library(tmp_path_factory.mktemp("clips"))
