"""File permissions that hold for root too, for tests of files that cannot be read or written."""

import contextlib
import ctypes
import os

import pytest

CAPABILITY_VERSION_3 = 0x20080522  # linux/capability.h
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2


@contextlib.contextmanager
def permissions_enforced():
    """Enforce file permissions on this thread; root loses the capabilities that bypass them.

    The user stays the same, so that the modules of a checkout below a private folder (mode 700) can still be imported.
    The test is skipped where root's capabilities cannot be changed.
    """
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    # Two sets of 32 capabilities, each (effective, permitted, inheritable).
    before = (ctypes.c_uint32 * 6)()
    if not hasattr(libc, "capset") or libc.capget(header, before) != 0:
        pytest.skip("root's capabilities cannot be read here")
    lowered = (ctypes.c_uint32 * 6)(*before)
    lowered[0] &= ~(1 << CAP_DAC_OVERRIDE | 1 << CAP_DAC_READ_SEARCH) & 0xFFFFFFFF
    if libc.capset(header, lowered) != 0:
        pytest.skip("root's capabilities cannot be changed here")
    try:
        yield
    finally:
        if libc.capset(header, before) != 0:
            raise OSError(ctypes.get_errno(), "root's capabilities cannot be restored")
