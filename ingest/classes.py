"""What a city calls an event: datasets/classes.toml, kind and variant -> codes of the standards."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from detector.errors import Failure
from ingest.report import EventCode
from ingest.types import EventKind

CLASSES_FILE = Path(__file__).resolve().parent.parent / "datasets" / "classes.toml"


@cache
def _document(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Failure(f"{path}: the class names cannot be read ({error}); restore the file.") from error


def class_names(path: Path = CLASSES_FILE) -> tuple[str, ...]:
    """Give the class names in the order of the model's output.

    Raises:
        Failure: the file is missing or no TOML.
    """
    return tuple(_document(path)["class"])


def event_codes(kind: EventKind | str, variant: str = "", path: Path = CLASSES_FILE) -> tuple[EventCode, ...]:
    """Give the codes of an event, the newest national standard first.

    Args:
        kind: event kind.
        variant: picks among the rows; a variant without rows of its own has those of the kind as such.
        path: classes.toml.

    Raises:
        Failure: the file is missing, no TOML, or has no code for this kind and variant.
    """
    rows = _document(path).get("event", {}).get(str(kind), {}).get("code", [])
    chosen = [row for row in rows if row.get("variant", "") == variant]
    chosen = chosen or [row for row in rows if not row.get("variant")]
    if not chosen:
        raise Failure(f"{path}: event {kind!s} has no code for variant {variant!r}; add one to the file.")
    return tuple(EventCode(scheme=row["scheme"], version=row["version"], code=row["code"]) for row in chosen)


def event_code(kind: EventKind | str, variant: str = "", path: Path = CLASSES_FILE) -> EventCode:
    """Give the code that stands in the report: the first row of the kind and variant.

    Raises:
        Failure: the file is missing, no TOML, or has no code for this kind and variant.
    """
    return event_codes(kind, variant, path)[0]
