"""The C library's heap, made dense before forks.

Untrusted side: the zygote does this once, when it has imported everything.

What imports have freed lies scattered over the whole heap. A fork that allocates there copies a page for nearly each
object. Filled holes let new objects lie side by side behind the heap, on pages that belong to the fork alone.
"""

from __future__ import annotations

import ctypes

_SIZES = (8 << 10, 4 << 10, 2 << 10, *range(1032, 8, -16))
"""What is allocated, from the largest on: a chunk of glibc's has 16 bytes more each time, up to 1032."""


class _Heap(ctypes.Structure):
    """What ``struct mallinfo2`` says of a heap: https://man7.org/linux/man-pages/man3/mallinfo.3.html ."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks"),
            "keepcost",
        )
    )


def fill_holes() -> int:
    """Fill the free places below the end of the heap, for good; returns how many there were.

    Without glibc 2.33 or later nothing is done.
    """
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallinfo2"):
        return 0
    library.mallinfo2.restype = _Heap
    library.malloc.restype = library.sbrk.restype = ctypes.c_void_p
    library.malloc.argtypes, library.free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
    filled = 0
    for size in _SIZES:
        end = library.sbrk(0) - library.mallinfo2().keepcost
        while (place := library.malloc(size)) and place < end:
            filled += 1
        library.free(place)
    return filled
