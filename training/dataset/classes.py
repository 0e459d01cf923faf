"""Foreign class names -> ours. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from detector.errors import WrongUse
from training.dataset.formats import IGNORE_NAMES, Labelled
from training.dataset.types import EVERY_CLASS, LabelledBox, Sample
from training.labels import Taxonomy


def class_map(
    foreign: Sequence[str], taxonomy: Taxonomy, overrides: Mapping[str, str], where: str
) -> dict[str, str | None]:
    """Give the class of every foreign name: ours, None where it is not used, EVERY_CLASS for ignored regions.

    Args:
        foreign: names as the source spells them.
        taxonomy: our names and what others call them.
        overrides: foreign name to one of ours, or to "" to leave the class out.
        where: the source, for the message.

    Raises:
        WrongUse: a name is not known, or an override names no class of ours or none of the source's.
    """
    _check_overrides(foreign, taxonomy, overrides, where)
    unknown = [name for name in foreign if not _is_known(name, taxonomy, overrides)]
    if unknown:
        listed = ", ".join(repr(name) for name in unknown)
        raise WrongUse(
            f"{where}: unknown class {listed}; say --map '{unknown[0]}=OURS' "
            "(nothing after the = leaves it out), or add an alias or an entry under `ignored` "
            "to datasets/classes.toml."
        )
    return {name: _meaning(name, taxonomy, overrides) for name in foreign}


def _check_overrides(
    foreign: Sequence[str], taxonomy: Taxonomy, overrides: Mapping[str, str], where: str
) -> None:
    for name, ours in overrides.items():
        if ours and ours not in taxonomy.names:
            raise WrongUse(
                f"--map {name}={ours}: {ours!r} is no class of ours; "
                f"wanted one of {', '.join(taxonomy.names)}."
            )
        if name not in foreign:
            raise WrongUse(
                f"--map {name}={ours}: {where} has no class {name!r}; it has {', '.join(foreign)}."
            )


def _is_known(name: str, taxonomy: Taxonomy, overrides: Mapping[str, str]) -> bool:
    return name in overrides or name in IGNORE_NAMES or taxonomy.knows(name)


def _meaning(name: str, taxonomy: Taxonomy, overrides: Mapping[str, str]) -> str | None:
    if name in overrides:
        return overrides[name] or None
    return EVERY_CLASS if name in IGNORE_NAMES else taxonomy.class_of(name)


def translated(
    found: Labelled, meanings: Mapping[str, str | None], names: Iterable[str]
) -> tuple[Sample, ...]:
    """Replace foreign names by ours, drop boxes of unused classes, and note which of `names` nobody labelled.

    Args:
        found: what an importer gave.
        meanings: from `class_map`.
        names: our class names.
    """
    silent = frozenset(names) - {meaning for meaning in meanings.values() if meaning}
    return tuple(
        replace(sample, boxes=_translated(sample.boxes, meanings), unlabelled=sample.unlabelled | silent)
        for sample in found.samples
    )


def _translated(boxes: Iterable[LabelledBox], meanings: Mapping[str, str | None]) -> tuple[LabelledBox, ...]:
    kept = ((box, EVERY_CLASS if box.label == EVERY_CLASS else meanings[box.label]) for box in boxes)
    return tuple(
        replace(box, label=meaning, ignore=box.ignore or meaning == EVERY_CLASS)
        for box, meaning in kept
        if meaning is not None
    )
