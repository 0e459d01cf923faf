"""Which pictures belong together: near-duplicates by dHash, one camera, one upload series. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from detector.errors import WrongUse

NEAR_BITS_MAX = 4
"""Pictures whose dHashes differ in at most this many of 64 bits are taken for one scene."""

_BITS = 64


def near_pairs(hashes: Sequence[int], bits_max: int = NEAR_BITS_MAX) -> list[tuple[int, int]]:
    """Give the pairs of indices, the lower first, whose hashes differ in at most `bits_max` bits.

    The hash is cut into `bits_max` + 1 bands: a pair that close agrees in at least one of them entirely, so
    only pictures that share a band are compared.

    >>> near_pairs([0b0000, 0b1111, 0b11111111111])
    [(0, 1)]
    """
    values = np.array(hashes, dtype=np.uint64)
    found: set[tuple[int, int]] = set()
    for band in _bands(values, bits_max + 1):
        for members in _buckets(band):
            found.update(_close(values, members, bits_max))
    return sorted(found)


def _bands(values: npt.NDArray[np.uint64], count: int) -> Iterator[npt.NDArray[np.uint64]]:
    edges = np.linspace(0, _BITS, count + 1).astype(int)
    for low, high in pairwise(edges):
        yield (values >> np.uint64(low)) & np.uint64((1 << int(high - low)) - 1)


def _buckets(band: npt.NDArray[np.uint64]) -> Iterator[npt.NDArray[np.intp]]:
    order = np.argsort(band, kind="stable")
    edges = np.flatnonzero(np.diff(band[order])) + 1
    yield from (members for members in np.split(order, edges) if len(members) > 1)


def _close(
    values: npt.NDArray[np.uint64], members: npt.NDArray[np.intp], bits_max: int
) -> Iterator[tuple[int, int]]:
    for at, one in enumerate(members[:-1]):
        others = members[at + 1 :]
        near = others[np.bitwise_count(values[others] ^ values[one]) <= bits_max]
        yield from ((min(int(one), int(other)), max(int(one), int(other))) for other in near)


def groups_of(count: int, pairs: Iterable[tuple[int, int]], keys: Sequence[str]) -> list[int]:
    """Give each of `count` pictures the number of its group; numbers rise with a group's first picture.

    Args:
        count: how many pictures.
        pairs: pictures that belong together.
        keys: each picture's scene, or "" where it is not known; equal keys belong together.

    >>> groups_of(5, [(1, 3)], ["", "", "cam 2", "", "cam 2"])
    [0, 1, 2, 1, 2]
    """
    parent = list(range(count))

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    first: dict[str, int] = {}
    by_key = ((first.setdefault(key, at), at) for at, key in enumerate(keys) if key)
    for one, other in (*pairs, *by_key):
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(at), len(numbers)) for at in range(count)]


def scene_keys(names: Iterable[str], pattern: str, given: Mapping[str, str] | None = None) -> list[str]:
    """Give each picture's scene: the one given, else the groups of a regular expression in its file name.

    Raises:
        WrongUse: the expression is none, or has no group.

    >>> scene_keys(["cam3_0001.jpg", "x.jpg"], r"^(cam[0-9]+)_")
    ['cam3', '']
    """
    given = given or {}
    if not pattern:
        return [given.get(name, "") for name in names]
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise WrongUse(f"--scene-pattern {pattern!r}: is no regular expression ({error}).") from error
    if not compiled.groups:
        raise WrongUse(
            f"--scene-pattern {pattern!r}: wanted a group that names the scene, as in '^(cam[0-9]+)_'."
        )
    found = []
    for name in names:
        match = compiled.search(name)
        found.append(
            given.get(name, "") or ("/".join(part or "" for part in match.groups()) if match else "")
        )
    return found
