"""Foreign set -> a version of our own, or nothing: read, mapped, looked at, split, checked, moved."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from detector.errors import Failure, WrongUse
from training.dataset.archive import is_archive, unpack
from training.dataset.check import Fault, check
from training.dataset.classes import class_map, translated
from training.dataset.formats import Importer, Labelled, importer
from training.dataset.look import Look, look_at_all
from training.dataset.manifest import Manifest, Source, SplitRule, with_counts
from training.dataset.places import same_place_pairs
from training.dataset.scenes import NEAR_BITS_MAX, groups_of, near_pairs, scene_keys
from training.dataset.split import split_by_group
from training.dataset.store import StoredSet, read_set, scratch_beside, write_lists, write_set
from training.dataset.types import Sample, Split
from training.labels import load_taxonomy

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SplitWish:
    """How lists are to be drawn.

    Args:
        shares: split to share of the pictures.
        seed: of the draw.
        scene_pattern: regular expression on file names whose groups name the scene.
        dhash_bits_max: how near two pictures may be before they count as one scene.
        keep: what is on a list stays on it.
        places: pictures of one place are one scene too (`training.dataset.places`, takes minutes).
    """

    shares: Mapping[Split, float] = field(default_factory=lambda: {"train": 0.85, "val": 0.15})
    seed: int = 1
    scene_pattern: str = ""
    dhash_bits_max: int = NEAR_BITS_MAX
    keep: bool = False
    places: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """What to import.

    Args:
        kind: format.
        source: folder, file, archive or address.
        out: folder of the new set, which must not exist.
        name: of the new version.
        licence: of what is imported; without it the source has to state one.
        overrides: foreign class to one of ours, or to "" to leave it out.
        split: how to draw lists anew; None keeps the source's own.
        unlisted: how to draw lists for pictures that have none.
        parent: folder of the set this one grows from.
        title: of the source, for dataset.toml.
        url: of the source, for dataset.toml.
        importer: one with settings of its own; None takes that of `kind` as it is.
    """

    kind: str
    source: str
    out: Path
    name: str
    licence: str = ""
    overrides: Mapping[str, str] = field(default_factory=dict)
    split: SplitWish | None = None
    unlisted: SplitWish = field(default_factory=SplitWish)
    parent: Path | None = None
    title: str = ""
    url: str = ""
    importer: Importer | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """What was imported: the new set's samples and manifest, and what its check warns of."""

    samples: tuple[Sample, ...]
    manifest: Manifest
    warnings: tuple[Fault, ...]


def import_set(request: Request) -> Imported:
    """Import a set; on any fault nothing is left behind.

    Raises:
        WrongUse: no such format or class, no licence, no lists, `out` exists.
        Failure: a picture, label or archive is at fault, or the set would not pass its check.
    """
    taxonomy = load_taxonomy()
    parent = read_set(request.parent) if request.parent else None
    with scratch_beside(request.out) as scratch:
        found = _load(request, scratch)
        licence = _licence(request, found)
        meanings = class_map(found.names, taxonomy, request.overrides, request.source)
        fresh = tuple(
            replace(sample, source=sample.source or request.name)
            for sample in translated(found, meanings, taxonomy.names)
        )
        samples = merged(parent.samples, fresh) if parent else fresh
        looks = look_at_all(sample.path for sample in samples)
        _check_pictures(samples, looks)
        samples, rule = _with_lists(samples, looks, request, had_parent=parent is not None)
        manifest = _manifest(request, found, fresh, meanings, licence, parent, rule)
        (scratch / "set").mkdir()
        placed = write_set(samples, taxonomy.names, scratch / "set", manifest)
        known = {new.path.resolve(): looks[old.path] for new, old in zip(placed, samples, strict=True)}
        faults = check(scratch / "set", known)
        _refuse_errors(faults, request)
        if manifest.unredacted:
            (scratch / "set").chmod(0o700)
        (scratch / "set").rename(request.out)
    moved = tuple(
        replace(sample, path=request.out / sample.path.relative_to(scratch / "set")) for sample in placed
    )
    return Imported(moved, with_counts(manifest, moved), tuple(faults))


def _load(request: Request, scratch: Path) -> Labelled:
    source = request.source
    if is_archive(Path(source)):
        # Importers take a folder's name for the title of the set.
        unpacked = scratch / "unpacked" / (Path(source).name.partition(".")[0] or "archive")
        unpacked.parent.mkdir()
        unpack(Path(source), unpacked)
        source = str(unpacked)
    (scratch / "made").mkdir()
    found = (request.importer or importer(request.kind)).load(source, scratch / "made")
    if not found.samples:
        raise WrongUse(f"{request.source}: has no picture; there is nothing to import.")
    return found


def _licence(request: Request, found: Labelled) -> str:
    licence = request.licence.strip() or found.licence.strip()
    if not licence:
        raise WrongUse(
            f"{request.source}: states no licence; say under which one its pictures and labels may be used, "
            "with --licence."
        )
    return licence


def _check_pictures(samples: Sequence[Sample], looks: Mapping[Path, Look]) -> None:
    """Refuse pictures that cannot be decoded, and labels that were made on another size."""
    broken = [look.fault for look in looks.values() if look.fault]
    if broken:
        more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
        raise Failure(f"{broken[0]}{more} Nothing was imported.")
    for sample in samples:
        found = looks[sample.path].size_px
        if found != sample.size_px:
            raise Failure(
                f"{sample.path}: is {found[0]}x{found[1]} px, but its labels were made on "
                f"{sample.size_px[0]}x{sample.size_px[1]}; export the labels again or bring the picture they "
                "fit. Nothing was imported."
            )


def merged(old: Sequence[Sample], new: Sequence[Sample]) -> tuple[Sample, ...]:
    """Put new samples to old ones; a picture in both keeps its list and scene and takes the new labels."""
    fresh = {_digest(sample.path): sample for sample in new}
    kept = []
    for sample in old:
        again = fresh.pop(_digest(sample.path), None)
        if again is None:
            kept.append(sample)
        else:
            kept.append(
                replace(again, split=sample.split, scene=sample.scene or again.scene, source=sample.source)
            )
    return (*kept, *fresh.values())


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise Failure(f"{path}: cannot be read ({error.strerror}).") from error


def _with_lists(
    samples: tuple[Sample, ...], looks: Mapping[Path, Look], request: Request, *, had_parent: bool
) -> tuple[tuple[Sample, ...], SplitRule]:
    """Draw lists where that is asked for or needed, and refuse a val that would be empty."""
    listed = [sample for sample in samples if sample.split]
    wish = request.split
    if wish is None and len(listed) < len(samples):
        LOG.info("%s: %d pictures are on no list; drawn by scene", request.source, len(samples) - len(listed))
        wish = replace(request.unlisted, keep=bool(listed))
    if wish is not None:
        wish = replace(wish, keep=wish.keep or had_parent)
        return drawn(samples, looks, wish)
    if not any(sample.split == "val" for sample in samples):
        raise WrongUse(
            f"{request.source}: its val is empty, so nothing could be measured; "
            "say --split-by-scene to draw one."
        )
    return samples, SplitRule(by="given", dhash_bits_max=NEAR_BITS_MAX)


def drawn(
    samples: tuple[Sample, ...], looks: Mapping[Path, Look], wish: SplitWish
) -> tuple[tuple[Sample, ...], SplitRule]:
    """Draw lists by scene; samples of a scene with several pictures get its name.

    Raises:
        WrongUse: there are too few scenes, or the pattern makes no sense.
    """
    names = [sample.path.name for sample in samples]
    by_name = scene_keys(names, wish.scene_pattern)
    keys = [sample.scene or key for sample, key in zip(samples, by_name, strict=True)]
    pairs = near_pairs([looks[sample.path].dhash for sample in samples], wish.dhash_bits_max)
    if wish.places:
        pairs += [(one, other) for one, other, _ in same_place_pairs([sample.path for sample in samples])]
    groups = groups_of(len(samples), pairs, keys)
    result = split_by_group(samples, groups, wish.shares, wish.seed, keep=wish.keep)
    LOG.info("%d scenes, %d pictures in the largest", result.groups, result.largest)
    rule = SplitRule(
        by="scene",
        seed=wish.seed,
        shares={str(split): share for split, share in wish.shares.items()},
        dhash_bits_max=wish.dhash_bits_max,
        scene_pattern=wish.scene_pattern,
        places=wish.places,
        groups=result.groups,
    )
    return _named(result.samples, groups, keys), rule


def _named(samples: Sequence[Sample], groups: Sequence[int], keys: Sequence[str]) -> tuple[Sample, ...]:
    """Name the scene of every picture that shares one: by its key, else by the first picture's name."""
    sizes = Counter(groups)
    names: dict[int, str] = {}
    for group, key in zip(groups, keys, strict=True):
        if key:
            names.setdefault(group, key)
    for sample, group in zip(samples, groups, strict=True):
        names.setdefault(group, sample.path.stem)
    return tuple(
        replace(sample, scene=key or (names[group] if sizes[group] > 1 else ""))
        for sample, group, key in zip(samples, groups, keys, strict=True)
    )


def _manifest(
    request: Request,
    found: Labelled,
    fresh: Sequence[Sample],
    meanings: Mapping[str, str | None],
    licence: str,
    parent: StoredSet | None,
    rule: SplitRule,
) -> Manifest:
    """Give the new version's dataset.toml; counts are added when it is written."""
    base = parent.manifest if parent else None
    used_for = ", ".join(sorted({box.label for sample in fresh for box in sample.boxes if not box.ignore}))
    sources = tuple(
        Source(
            folder=folder,
            title=request.title or found.title or request.name,
            url=request.url,
            licence=licence,
            kind=request.kind,
            used_for=used_for,
            verdicts=dict(found.verdicts),
            unredacted=found.unredacted,
        )
        for folder in dict.fromkeys(sample.source for sample in fresh)
    )
    known = {source.folder for source in sources}
    old = tuple(source for source in base.source if source.folder not in known) if base else ()
    ours = {name: meaning or "" for name, meaning in meanings.items() if name != meaning}
    maps = (base.class_map if base else {}) | ({request.name: ours} if ours else {})
    return Manifest(
        name=request.name,
        version=base.version + 1 if base else 1,
        parent=base.name if base else "",
        licence=licence if not base or base.licence == licence else f"{base.licence}; {licence}",
        made=datetime.now(UTC).date().isoformat(),
        split=rule,
        class_map=maps,
        source=(*old, *sources),
    )


def _refuse_errors(faults: Sequence[Fault], request: Request) -> None:
    errors = [fault for fault in faults if fault.level == "error"]
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        straddles = errors[0].kind in {"near-duplicate", "scene-straddles"}
        way_out = "say --split-by-scene" if straddles else "mend the source"
        raise Failure(
            f"{request.source}: {errors[0].where}: {errors[0].what}{more} Nothing was imported; {way_out}."
        )


def split_set(folder: Path, wish: SplitWish) -> tuple[Sample, ...]:
    """Draw the lists of a set on disk anew; pictures and labels stay where they are.

    Raises:
        WrongUse: there are too few scenes, or the pictures lie outside the folder.
        Failure: a picture or label is at fault.
    """
    stored = read_set(folder)
    outside = next((s.path for s in stored.samples if not s.path.is_relative_to(stored.folder)), None)
    if outside:
        raise WrongUse(f"{folder}: lists {outside}, which is outside it; import the set first.")
    looks = look_at_all(sample.path for sample in stored.samples)
    _check_pictures(stored.samples, looks)
    samples, rule = drawn(stored.samples, looks, wish)
    manifest = stored.manifest.model_copy(update={"split": rule}) if stored.manifest else None
    write_lists(stored.folder, samples, stored.names, manifest)
    return samples
