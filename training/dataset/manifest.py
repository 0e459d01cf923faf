"""dataset.toml: what a version of a data set is made of, under which licence, and how it was split."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from detector.errors import Failure
from training.dataset.types import Origin, Sample, Split

FILE_NAME = "dataset.toml"

Count = Mapping[str, int]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Strict):
    """Where a part of the pictures comes from.

    Args:
        folder: the part's name in this set: `Sample.source`, and its folder below images/.
        title: as the source calls itself.
        url: where it can be had.
        licence: as its owner declares it, with what is doubtful about it.
        used_for: which classes it brings.
        kind: format it was imported from.
        ref: commit, version or date of what was taken.
        pictures: split to count.
        verdicts: what operators decided how often.
        unredacted: pictures that show people as they were.
    """

    folder: str
    title: str
    licence: str = Field(min_length=1)
    url: str = ""
    used_for: str = ""
    kind: str = ""
    ref: str = ""
    pictures: dict[str, int] = Field(default_factory=dict)
    verdicts: dict[str, int] = Field(default_factory=dict)
    unredacted: int = 0


class Counts(_Strict):
    """What one split holds.

    Args:
        boxes: class to boxes that count as positives.
        origins: who labelled them to how many.
        ignored: class (`*`: every class) to regions in which it may not be judged.
    """

    boxes: dict[str, int] = Field(default_factory=dict)
    origins: dict[Origin, int] = Field(default_factory=dict)
    ignored: dict[str, int] = Field(default_factory=dict)


class SplitRule(_Strict):
    """How the lists were made.

    Args:
        by: `scene` (near-duplicates and scene keys kept together) or `given` (as the sources had them).
        seed: of the draw.
        shares: split to share of the pictures aimed at.
        dhash_bits_max: pictures whose 64-bit dHashes differ in at most this many bits are one scene.
        scene_pattern: regular expression on the file name whose groups name the scene.
        places: pictures of one place, found by local features, were kept together too.
        groups: how many scenes were found.
    """

    by: str
    seed: int | None = None
    shares: dict[str, float] = Field(default_factory=dict)
    dhash_bits_max: int | None = None
    scene_pattern: str = ""
    places: bool = False
    groups: int | None = None


class Added(_Strict):
    """Boxes that this project added by looking at the pictures."""

    file: str
    what: str
    licence: str = Field(min_length=1)
    train_boxes: int = 0
    val_boxes: int = 0


class Pseudo(_Strict):
    """Boxes that a model guessed."""

    what: str
    boxes: dict[str, int] = Field(default_factory=dict)


class Rendered(_Strict):
    """Pictures that this project rendered."""

    what: str
    licence: str = Field(min_length=1)
    pictures: int = 0
    stage_full: int = 0
    stage_last: int = 0


class Manifest(_Strict):
    """One version of a data set.

    Args:
        name: the version's name, such as street-2.
        licence: of the set as a whole: of the labels, and where to look for each source's pictures.
        parent: the version this one grew from.
        classes: file of the class names.
        names: class names in the order of the labels' numbers, where they are not those of `classes`.
        config: training config that builds it from its sources.
        class_map: source to its class names to ours; "" where a class is left out.
        weaknesses: what a model learnt from it cannot know, one sentence each, for its card.
        lacking: class to the pictures it would need, for the card of a model that falls short in it.
    """

    name: str = Field(min_length=1)
    licence: str = Field(min_length=1)
    version: int = Field(default=1, ge=1)
    parent: str = ""
    made: str = ""
    what: str = ""
    classes: str = "datasets/classes.toml"
    names: tuple[str, ...] = ()
    config: str = ""
    train_pictures: int = 0
    train_listed: int = 0
    val_pictures: int = 0
    test_pictures: int = 0
    split: SplitRule | None = None
    added: Added | None = None
    pseudo: Pseudo | None = None
    rendered: Rendered | None = None
    train: Counts = Counts()
    val: Counts = Counts()
    test: Counts = Counts()
    class_map: dict[str, dict[str, str]] = Field(default_factory=dict)
    weaknesses: tuple[str, ...] = ()
    lacking: dict[str, str] = Field(default_factory=dict)
    source: tuple[Source, ...] = ()

    @property
    def unredacted(self) -> int:
        """How many pictures show people as they were: a set that holds any stays where it was made."""
        return sum(source.unredacted for source in self.source)


def read_manifest(path: Path) -> Manifest:
    """Read dataset.toml.

    Raises:
        Failure: it cannot be read, is no TOML, has an unknown key, or says no licence.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Failure(
            f"{path}: cannot be read ({error.strerror}); a data set needs its {FILE_NAME}."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Failure(f"{path}: is no TOML: {error}.") from error
    try:
        return Manifest.model_validate(document)
    except ValidationError as error:
        raise Failure(f"{path}: {_sentence(error)}") from None


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["loc"][-1] == "licence":
        return f"{key} is missing; say under which licence the pictures and labels may be used."
    if first["type"] == "extra_forbidden":
        return f"there is no key {key!r}; remove it or mend its spelling."
    return f"{key}: {first['msg'].lower()}."


def counts_of(samples: Iterable[Sample]) -> Counts:
    """Count boxes by class, by who labelled them, and ignored regions."""
    boxes: Counter[str] = Counter()
    ignored: Counter[str] = Counter()
    origins: Counter[Origin] = Counter()
    for box in (box for sample in samples for box in sample.boxes):
        (ignored if box.ignore else boxes)[box.label] += 1
        if not box.ignore:
            origins[box.origin] += 1
    return Counts(boxes=dict(boxes), origins=dict(origins), ignored=dict(ignored))


def with_counts(manifest: Manifest, samples: Sequence[Sample]) -> Manifest:
    """Give the manifest with the counts of these samples, per split and per source."""
    parts: dict[Split, list[Sample]] = {"train": [], "val": [], "test": []}
    for sample in samples:
        if sample.split:
            parts[sample.split].append(sample)
    sizes = Counter((sample.source, sample.split) for sample in samples if sample.split)
    source = tuple(
        entry.model_copy(
            update={
                "pictures": {
                    split: sizes[entry.folder, split] for split in parts if sizes[entry.folder, split]
                }
            }
        )
        for entry in manifest.source
    )
    return manifest.model_copy(
        update={
            "train_pictures": len(parts["train"]),
            "train_listed": len(parts["train"]),
            "val_pictures": len(parts["val"]),
            "test_pictures": len(parts["test"]),
            **{split: counts_of(part) for split, part in parts.items()},
            "source": source,
        }
    )


def toml_of(manifest: Manifest) -> str:
    """Give the text of dataset.toml; what is unset or empty is left out."""
    document = manifest.model_dump(mode="json", exclude_defaults=True)
    lines: list[str] = []
    _write_table(document, (), lines)
    return "\n".join(lines).strip() + "\n"


def _write_table(table: Mapping[str, Any], at: tuple[str, ...], lines: list[str]) -> None:
    """Write the plain keys of a table, then its tables: TOML allows no other order."""
    tables = {key: value for key, value in table.items() if _is_section(value, at)}
    lines += [f"{_key(key)} = {_value(value)}" for key, value in table.items() if key not in tables]
    for key, value in tables.items():
        path = (*at, key)
        name = ".".join(_key(part) for part in path)
        for entry in value if isinstance(value, list) else [value]:
            lines += ["", f"[[{name}]]" if isinstance(value, list) else f"[{name}]"]
            _write_table(entry, path, lines)


def _is_section(value: Any, at: tuple[str, ...]) -> bool:
    """Say whether a value becomes a section of its own: tables at the top, inline ones below."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(entry, dict) for entry in value)
    return isinstance(value, dict) and not at


def _value(value: Any) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{_key(key)} = {_value(entry)}" for key, entry in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list):
        return f"[{', '.join(_value(entry) for entry in value)}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)


def _key(key: str) -> str:
    """Give a key, quoted where TOML wants it so.

    >>> _key("bin"), _key("Glass bottle")
    ('bin', '"Glass bottle"')
    """
    bare = key and key.isascii() and all(letter.isalnum() or letter in "_-" for letter in key)
    return key if bare else _value(key)
