"""YOLO layout: data.yaml, lists or folders, labels/. Our own sets are YOLO sets with more beside."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import yaml

from detector.errors import WrongUse
from training.dataset.formats import Labelled
from training.dataset.store import SPLITS, read_set, write_set
from training.dataset.types import Sample
from training.yolo_data import list_pictures


class YoloImporter:
    """Read a folder with a data.yaml (or the data.yaml itself), with ignore/ and samples.jsonl if present."""

    def load(self, source: str, scratch: Path) -> Labelled:  # noqa: ARG002 - the Protocol's
        """Read the set.

        Raises:
            Failure: a label line or a picture is at fault.
            WrongUse: no data.yaml, or it lists pictures outside its folder.
        """
        folder = _folder_of(Path(source).resolve())
        _check_inside(folder)
        found = read_set(folder)
        manifest = found.manifest
        licence = manifest.licence if manifest else _roboflow_licence(folder / "data.yaml")
        return Labelled(found.samples, found.names, licence, manifest.name if manifest else folder.name)


class YoloExporter:
    """Write a plain YOLO set, with ignore/ beside it for those who read it."""

    def write(self, samples: Sequence[Sample], names: Sequence[str], folder: Path) -> None:
        """Write the set into an empty folder."""
        write_set(samples, names, folder)


def _folder_of(source: Path) -> Path:
    """Find the folder that holds data.yaml: the source or a folder in it, as archives tend to have."""
    if source.name == "data.yaml" and source.is_file():
        return source.parent
    for folder in (source, *sorted(source.glob("*/"))):
        if (folder / "data.yaml").is_file():
            return folder
    raise WrongUse(f"{source}: there is no data.yaml in it; a YOLO set has one, with names, train and val.")


def _check_inside(folder: Path) -> None:
    """Refuse lists that name pictures elsewhere; links inside the folder may lead where they like."""
    for split in SPLITS:
        for picture in list_pictures(folder / "data.yaml", split):
            if not Path(os.path.normpath(picture)).is_relative_to(folder):
                raise WrongUse(
                    f"{folder / 'data.yaml'}: lists {picture}, which is outside {folder}; "
                    "name the folder that holds data.yaml and all its pictures."
                )


def _roboflow_licence(yaml_path: Path) -> str:
    """Give the licence that Roboflow writes into data.yaml; empty where there is none."""
    document = yaml.safe_load(yaml_path.read_text(encoding="utf-8"))
    block = document.get("roboflow")
    return str(block.get("license") or "") if isinstance(block, dict) else ""
