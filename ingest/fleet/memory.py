"""Keep the memory of many cameras' threads together, so that what one gives back the next one takes."""

from __future__ import annotations

import ctypes
import logging
import math

log = logging.getLogger(__name__)

M_ARENA_MAX = -8
"""glibc's mallopt: most arenas of the process."""
TIDY_S = 10.0
"""Pause between two looks at what is free and still held."""
FREE_MAX_BYTES = 24 << 20
"""So much may be: giving it back takes about 10 ms, and taking it again as much."""


class _Mallinfo2(ctypes.Structure):
    """glibc's struct mallinfo2 (from 2.33 on), bytes."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


def share_arenas(most: int) -> bool:
    """Let all threads of this process share so many of the C library's arenas.

    glibc gives threads arenas of their own, up to eight for each core, and each of them holds on to the most
    that was ever in use there at once: with 20 cameras that make a clip now and then, 20 times the pictures
    of a clip. Threads that have an arena keep it, so this is to be called before there are many.

    Args:
        most: arenas; no more threads than there are cores ask for memory at once anyway.

    Returns:
        whether the C library could be told (musl and macOS share by themselves).
    """
    try:
        told = ctypes.CDLL(None).mallopt(M_ARENA_MAX, most)
    except (AttributeError, OSError) as error:
        log.debug("arenas are as the C library wants them: %s", error)
        return False
    return bool(told)


def free_bytes() -> int | None:
    """Give what the C library holds and nobody uses; None where it does not tell."""
    try:
        ask = ctypes.CDLL(None).mallinfo2
    except (AttributeError, OSError):
        return None
    ask.restype = _Mallinfo2
    return int(ask().fordblks)


class Tidy:
    """Gives memory back to the system that clips have left behind: between small things that stay, a lot.

    Args:
        free_max_bytes: so much may be left.
    """

    def __init__(self, free_max_bytes: int = FREE_MAX_BYTES) -> None:
        self._free_max_bytes = free_max_bytes
        self._next = -math.inf

    def tidy(self, now: float) -> bool:
        """Give back what is free if it is much; say whether. Looks once in TIDY_S.

        Args:
            now: seconds of any steady clock.
        """
        if now < self._next:
            return False
        self._next = now + TIDY_S
        free = free_bytes()
        if free is None or free <= self._free_max_bytes:
            return False
        ctypes.CDLL(None).malloc_trim(0)
        return True
