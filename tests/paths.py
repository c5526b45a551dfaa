"""Where optional reference material lies: beside the checkout, in ``../shared`` or in $VRESTORE_SHARED."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("VRESTORE_SHARED", ROOT.parent / "shared"))
SHARED_DATA = SHARED / "data"
SHARED_PARITY = SHARED / "parity"
PARITY_DATA = ROOT / "tests" / "parity" / "data"

needs_shared_data = pytest.mark.skipif(
    not SHARED_DATA.is_dir(), reason="needs the clips of ../shared/data (or $VRESTORE_SHARED), which are absent"
)
needs_shared_parity = pytest.mark.skipif(
    not SHARED_PARITY.is_dir(), reason="needs the reference outputs of ../shared/parity, which are absent"
)
