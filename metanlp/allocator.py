"""Where the process gets its memory from: large tensors that come and go at every step should not go back to the system."""

from __future__ import annotations

import ctypes
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
LARGEST = (2**30, 2**25)  # bytes; glibc before 2.35 takes no more than the second


def keep_pages() -> None:
    """From now on memory that the main thread frees stays with this process, ready to be taken again; with glibc's malloc only.

    Else the gradients of a large model go back to the system after every pass, and the next pass waits while the system
    clears as many pages again, which takes long where a pass is short.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    # without a threshold of our own for mmap, the one for trimming would stop glibc from raising its own
    if mallopt and any(mallopt(MMAP_THRESHOLD, most) for most in LARGEST):
        mallopt(TRIM_THRESHOLD, 2**31 - 1)
