"""In which of the pictures between two key frames a thing came to rest, or left, by as few looks as will do.

Pure but for the looks that it asks for, and the pictures, which are decoded as they are asked for. What has
left is sought from the front, and what comes after it is never decoded; what has come, from the back. What
pixels tell is not asked of the detector: a place that looks as it does in the end has what stands there in
the end. For the rest the pictures are searched as a sorted list: a thing that stands at the end stands from
some picture on, one that has left is gone from some picture on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ingest.gate import Thumbnail
from ingest.sources.signs import (
    CAME_SHARE,
    Looked,
    Thing,
    changed_share,
    differing,
    same_place,
)
from ingest.tracker import REST_SIZES

ARRIVED = REST_SIZES / 2
"""So near to where it stands in the end a thing has come to rest, for the tracker too."""

BESIDE = 1.0
"""So far from its place, in own sizes, a thing is at most in the first picture in which it has left it."""

T = TypeVar("T")


class Drawn(Generic[T]):
    """What an iterator gives, drawn no further than it is asked for.

    >>> drawn = Drawn(iter("abc"))
    >>> drawn.has(1), drawn.got, drawn.has(3), len(drawn)
    (True, ['a', 'b'], False, 3)
    """

    def __init__(self, source: Iterator[T]) -> None:
        """Draw nothing yet."""
        self._source = source
        self.got: list[T] = []

    def has(self, index: int) -> bool:
        """Say whether there are so many, and one more."""
        while len(self.got) <= index:
            try:
                self.got.append(next(self._source))
            except StopIteration:
                return False
        return True

    def __getitem__(self, index: int) -> T:
        """Give one of those drawn already."""
        return self.got[index]

    def __len__(self) -> int:
        """Draw all, and say how many they are."""
        self.got.extend(self._source)
        return len(self.got)


@dataclass(slots=True)
class Seeking:
    """Seek in pictures that lie between two key frames.

    Args:
        before, now: the key frames.
        thumbnails: of the pictures, in order of time.
        ask: looks at the picture of an index that has been drawn; each is asked of once.
    """

    before: Looked
    now: Looked
    thumbnails: Drawn[Thumbnail]
    ask: Callable[[int], Looked]
    looks: dict[int, Looked] = field(default_factory=dict)

    def came(self, thing: Thing) -> int:
        """Give the first picture in which a thing of `now` stands; their number if it is in none."""
        count = len(self.thumbnails)
        settled = count
        while settled and self._alike(settled - 1, self.now, thing):
            settled -= 1
        first = first_where(
            lambda one: one >= settled or same_place(thing, self.look(one).things, self.now.wh, ARRIVED),
            count,
            settled - 1,
        )
        if first < count:
            self.look(first)
        return first

    def left(self, thing: Thing) -> int:
        """Give the first picture in which a thing of `before` is gone; their number if it is in none.

        The picture before it is looked at as well. Gone is what is in two pictures no more: one who walks
        past hides a thing in one.
        """
        has, begun = self.thumbnails.has, 0
        while has(begun) and self._alike(begun, self.before, thing):
            begun += 1

        def stands(one: int) -> bool:
            return one < begun or same_place(thing, self.look(one).things, self.before.wh)

        def left(one: int) -> bool:
            return not has(one) or not (stands(one) or (has(one + 1) and stands(one + 1)))

        low, high, step = begun - 1, begun, 1
        while not left(high):
            low, high, step = high, high + step, 2 * step if high > begun else 1
        gone = low + 1 + first_where(lambda one: left(low + 1 + one), high - low - 1, high - low - 2)
        if gone:
            self.look(gone - 1)
        return gone

    def shows(self, thing: Thing) -> bool:
        """Say whether a thing of `now` stands in one of the pictures looked at."""
        return any(same_place(thing, seen.things, self.now.wh) for seen in self.looks.values())

    def moves_off(self, thing: Thing, gone: int) -> bool:
        """Say whether it is beside its place when it is gone: what is merely not found is not."""
        if gone not in self.looks:
            return False
        others = [one for one in self.before.standing if one != thing] + list(self.now.standing)
        beside = [one for one in self.looks[gone].things if not same_place(one, others, self.now.wh)]
        return same_place(thing, beside, self.now.wh, BESIDE)

    def all(self) -> None:
        """Look at every picture."""
        for one in range(len(self.thumbnails)):
            self.look(one)

    def look(self, index: int) -> Looked:
        """Look at a picture, once."""
        if index not in self.looks:
            self.looks[index] = self.ask(index)
        return self.looks[index]

    def _alike(self, index: int, key: Looked, thing: Thing) -> bool:
        changed = differing(self.thumbnails[index], key.thumbnail)
        return changed_share(changed, thing.xyxy, key.wh) < CAME_SHARE


def first_where(holds: Callable[[int], bool], count: int, guess: int) -> int:
    """Give the first of `count` indices for which something holds that holds from there on; `count` if none.

    Asks near `guess` first, then twice as far each time, then halves what is left.

    >>> asked = []
    >>> first_where(lambda one: asked.append(one) or one >= 6, 10, 7), asked
    (6, [7, 6, 4, 5])
    """
    low, high = -1, count  # it does not hold at low, it holds at high
    at, step = min(max(guess, 0), count - 1), 1
    while high - low > 1:
        if holds(at):
            high = at
        else:
            low = at
        if low >= 0 and high < count:
            at = (low + high) // 2
        else:
            at = min(max(at - step if high == at else at + step, low + 1), high - 1)
            step *= 2
    return high
