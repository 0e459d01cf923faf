"""Draw train, val and test by scene: no scene straddles, classes keep their shares. Pure."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from detector.errors import WrongUse
from training.dataset.types import Sample, Split

_PICTURES = ""
"""Counted beside the classes: how many pictures, whatever they show."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A split.

    Args:
        samples: in the order given, each with its split.
        groups: how many scenes there were.
        largest: pictures in the largest of them.
    """

    samples: tuple[Sample, ...]
    groups: int
    largest: int


def split_by_group(
    samples: Sequence[Sample],
    groups: Sequence[int],
    shares: Mapping[Split, float],
    seed: int,
    *,
    keep: bool = False,
) -> Drawn:
    """Draw a split in which no group straddles, each class's boxes shared out like the pictures.

    Groups are dealt greedily, those with the rarest classes first (iterative stratification), each to the
    split that is furthest from its share of what the group holds. The same seed gives the same split, in
    whatever order the pictures come.

    Args:
        samples: pictures with boxes.
        groups: of the same length: the number of each picture's group.
        shares: split to its share; positive, any sum.
        seed: of the draw; it orders groups that are alike.
        keep: pictures that are on a list stay on it, and what belongs to their scene goes with them (to val
            or test before train, so that a scored picture has no twin in training).

    Raises:
        WrongUse: there are fewer scenes than splits, or a share is not positive.

    Source: K. Sechidis et al., "On the Stratification of Multi-Label Data", ECML PKDD 2011, with groups.
    """
    _check(samples, groups, shares)
    members: defaultdict[int, list[int]] = defaultdict(list)
    for at, group in enumerate(groups):
        members[group].append(at)
    held = {group: _holdings([samples[at] for at in inside]) for group, inside in members.items()}
    names = {group: min(str(samples[at].path) for at in inside) for group, inside in members.items()}
    fixed = (
        {group: _fixed([samples[at] for at in inside]) for group, inside in members.items()} if keep else {}
    )
    chosen = _deal(held, names, {group: split for group, split in fixed.items() if split}, shares, seed)
    drawn = tuple(
        sample if keep and sample.split else replace(sample, split=chosen[group])
        for sample, group in zip(samples, groups, strict=True)
    )
    return Drawn(drawn, len(members), max(len(inside) for inside in members.values()))


def _check(samples: Sequence[Sample], groups: Sequence[int], shares: Mapping[Split, float]) -> None:
    if not samples:
        raise WrongUse("the set has no picture; there is nothing to split.")
    for split, share in shares.items():
        if not 0 < share < 1:
            raise WrongUse(f"the share of {split} is {share:g}; wanted more than 0 and less than 1.")
    found = len(set(groups))
    if found < len(shares):
        raise WrongUse(
            f"all {len(samples)} pictures belong to {found} scene{'s' * (found != 1)}, "
            f"too few for {', '.join(shares)}; add pictures of other places, or `import --parent DIR` a set "
            "that has them."
        )


def _holdings(samples: Sequence[Sample]) -> Counter[str]:
    held = Counter(box.label for sample in samples for box in sample.boxes if not box.ignore)
    held[_PICTURES] = len(samples)
    return held


def _fixed(samples: Sequence[Sample]) -> Split | None:
    listed = {sample.split for sample in samples}
    order: tuple[Split, ...] = ("test", "val", "train")
    return next((split for split in order if split in listed), None)


def _deal(
    held: Mapping[int, Counter[str]],
    names: Mapping[int, str],
    fixed: Mapping[int, Split],
    shares: Mapping[Split, float],
    seed: int,
) -> dict[int, Split]:
    total = sum(held.values(), Counter[str]())
    whole = sum(shares.values())
    wanted = {split: {key: total[key] * share / whole for key in total} for split, share in shares.items()}
    chosen: dict[int, Split] = dict(fixed)
    for group, split in fixed.items():
        _take(wanted, split, held[group])
    empty = [split for split in shares if split not in fixed.values()]
    for group in _in_order(held, names, total, seed):
        if group in chosen:
            continue
        candidates = empty if len(empty) >= len(held) - len(chosen) else list(shares)
        chosen[group] = max(
            candidates, key=lambda split: _need(wanted[split], held[group], total, shares[split])
        )
        _take(wanted, chosen[group], held[group])
        empty = [split for split in empty if split != chosen[group]]
    return chosen


def _in_order(
    held: Mapping[int, Counter[str]], names: Mapping[int, str], total: Counter[str], seed: int
) -> list[int]:
    """Order groups: those that hold most of a rare class first; alike ones by a draw."""
    order = sorted(held, key=lambda group: names[group])
    random.Random(seed).shuffle(order)  # noqa: S311 - a split, no secret
    weight = {group: sum(count / total[key] for key, count in held[group].items()) for group in order}
    return sorted(order, key=lambda group: -weight[group])


def _need(wanted: Mapping[str, float], held: Counter[str], total: Counter[str], share: float) -> float:
    """Say how much a split lacks of what a group holds, classes by rarity, relative to the split's share."""
    return sum(wanted[key] * count / total[key] ** 2 for key, count in held.items()) / share


def _take(wanted: dict[Split, dict[str, float]], split: Split, held: Counter[str]) -> None:
    if split in wanted:
        for key, count in held.items():
            wanted[split][key] -= count
