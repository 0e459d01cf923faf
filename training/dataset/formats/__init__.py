"""Formats that labelled pictures come in and go out: one Protocol each, one line per kind.

An importer gives names as the source spells them; `training.dataset.classes` turns them into ours, so that no
importer knows the taxonomy. It reads only: the set is written by `training.dataset.store`, in one move.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from detector.errors import WrongUse
from training.dataset.types import Sample

IGNORE_NAMES = frozenset({"*", "ignore"})
"""Foreign class names of a region in which nothing at all may be judged."""

IGNORE_NAME = "ignore"
"""How such a region is called where it goes out: `*` is no class name in most tools."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """What an importer found.

    Args:
        samples: pictures with boxes; labels are the source's own class names.
        names: every class the source labels, whether or not a picture shows one. A class of ours that none of
            them means counts as unlabelled in all these pictures.
        licence: as the source itself states it, empty where it does not.
        title: the source's own name for itself, empty where it has none.
        verdicts: what operators decided how often, where they are the source.
        unredacted: pictures that show people as they were: such a set stays where it was made.
    """

    samples: tuple[Sample, ...]
    names: tuple[str, ...]
    licence: str = ""
    title: str = ""
    verdicts: Mapping[str, int] = field(default_factory=dict)
    unredacted: int = 0


class Importer(Protocol):
    """Read a foreign labelled set."""

    def load(self, source: str, scratch: Path) -> Labelled:
        """Read `source`, without changing it.

        Args:
            source: what the user named: a folder or file (archives are unpacked before), or an address.
            scratch: an empty folder for pictures that have to be fetched or made; it is removed once the set
                is written.

        Raises:
            Failure: a label or picture is at fault; the message names the file and line.
            WrongUse: the source is not in this format.
        """
        ...


class Exporter(Protocol):
    """Write a labelled set in a foreign format."""

    def write(self, samples: Sequence[Sample], names: Sequence[str], folder: Path) -> None:
        """Write pictures and labels into `folder`, which exists and is empty.

        Args:
            samples: pictures with boxes; labels are class names in `names`, or EVERY_CLASS.
            names: class names, index to name.
            folder: where to; moved into place by the caller once all is written.
        """
        ...


IMPORTERS: dict[str, str] = {
    "yolo": "training.dataset.formats.yolo:YoloImporter",
    "coco": "training.dataset.formats.coco:CocoImporter",
    "voc": "training.dataset.formats.voc:VocImporter",
    "cvat": "training.dataset.formats.cvat:CvatImporter",
    "label_studio": "training.dataset.formats.label_studio:LabelStudioImporter",
    "verdicts": "training.dataset.formats.verdicts:VerdictImporter",
}

EXPORTERS: dict[str, str] = {
    "yolo": "training.dataset.formats.yolo:YoloExporter",
    "coco": "training.dataset.formats.coco:CocoExporter",
    "voc": "training.dataset.formats.voc:VocExporter",
    "cvat": "training.dataset.formats.cvat:CvatExporter",
    "label_studio": "training.dataset.formats.label_studio:LabelStudioExporter",
}


def importer(kind: str) -> Importer:
    """Give the importer of a format.

    Raises:
        WrongUse: no such format.
    """
    made: Importer = _load(kind, IMPORTERS)
    return made


def exporter(kind: str) -> Exporter:
    """Give the exporter of a format.

    Raises:
        WrongUse: no such format.
    """
    made: Exporter = _load(kind, EXPORTERS)
    return made


def _load(kind: str, table: dict[str, str]) -> Any:
    if kind not in table:
        raise WrongUse(f"there is no format {kind!r}; wanted one of {', '.join(table)}.")
    module, _, name = table[kind].partition(":")
    return getattr(importlib.import_module(module), name)()
