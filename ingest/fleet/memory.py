"""Keep the memory of many cameras' threads together, so that what one gives back the next one takes."""

from __future__ import annotations

import ctypes
import logging

log = logging.getLogger(__name__)

M_ARENA_MAX = -8
"""glibc's mallopt: most arenas of the process."""


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
