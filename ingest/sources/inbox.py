"""Packets on their way from a camera's reader to its analysis: bounded, with few wake-ups."""

from __future__ import annotations

import threading
import time
from collections import deque

from ingest.sources.packets import Codec, Coded

BYTES_MAX = 12 << 20
COUNT_MAX = 2000
POLL_S = 0.5


class Inbox:
    """A queue with one writer and one reader. A `Codec` in it says that another stream begins."""

    def __init__(self) -> None:
        self._items: deque[Coded | Codec] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._worth = False
        self._ended = False

    def put(self, item: Coded | Codec, *, wake: bool) -> int:
        """Add an item; `wake`: the reader shall look now. Give how many had to go to make room.

        What goes is all before the newest key frame, or everything if there is none.
        """
        with self._changed:
            self._items.append(item)
            self._bytes += item.size if isinstance(item, Coded) else 0
            gone = 0
            if self._bytes > BYTES_MAX or len(self._items) > COUNT_MAX:
                gone = len(self._to_newest_key(or_all=True))
            if wake:
                self._worth = True
                self._changed.notify()
            return gone

    def end(self) -> None:
        """Nothing more will come."""
        with self._changed:
            self._ended = self._worth = True
            self._changed.notify_all()

    def wait(self) -> bool:
        """Wait until there is something worth looking at; False: it has ended and is empty."""
        with self._changed:
            until = time.monotonic() + POLL_S
            self._changed.wait_for(lambda: self._worth, timeout=max(0.0, until - time.monotonic()))
            self._worth = self._ended
            return bool(self._items) or not self._ended

    def pop(self) -> Coded | Codec | None:
        """Take the oldest item; None: there is none now."""
        with self._changed:
            if not self._items:
                return None
            item = self._items.popleft()
            self._bytes -= item.size if isinstance(item, Coded) else 0
            return item

    def to_newest_key(self) -> list[Coded]:
        """Throw away what comes before the newest key frame, if there is one; give it."""
        with self._changed:
            return self._to_newest_key(or_all=False)

    def _to_newest_key(self, *, or_all: bool) -> list[Coded]:
        items = list(self._items)
        keys = [place for place, item in enumerate(items) if isinstance(item, Coded) and item.key]
        if not keys and not or_all:
            return []
        place = keys[-1] if keys else len(items)
        codecs = [item for item in items[:place] if isinstance(item, Codec)][-1:]
        gone = [item for item in items[:place] if isinstance(item, Coded)]
        self._items = deque([*codecs, *items[place:]])
        self._bytes -= sum(item.size for item in gone)
        return gone
