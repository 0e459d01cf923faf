"""Read a site file: TOML -> Site, and every mistake in it as one sentence: where it is and what to do."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import BaseModel, ValidationError

from detector.errors import WrongUse
from ingest.classes import class_names
from ingest.schedule import DAYS
from ingest.site import Camera, GroundPoint, Site, Table, ZoneTable
from ingest.types import EventKind, ZoneKind

Loc: TypeAlias = tuple[str | int, ...]

MAX_SENTENCES = 5

ADVICE = {
    "id": "give a name of 1 to 100 characters without slashes",
    "lat": "give degrees north, -90 to 90 (WGS 84)",
    "lon": "give degrees east, -180 to 180 (WGS 84)",
    "heading_deg": "give degrees clockwise from true north, 0 to 360",
    "height_m": "give the height of the lens above the ground in metres",
    "pitch_deg": "give how many degrees the camera looks down, -30 to 90",
    "fov_deg": "give the horizontal angle of view in degrees, 2 to 170",
    "fps": "give the frames per second to analyse, 0.1 to 60",
    "fps_min": "give the lower rate that is enough under overload, 0.1 to 60 and not above fps",
    "dwell_s": "give the seconds a thing must stand there, 0 or more",
    "polygon": "give corners [x, y] in fractions of frame width and height, 0 to 1",
    "xy": "give [x, y] in fractions of frame width and height, 0 to 1",
    "ground_points": "give entries like { xy = [0.12, 0.81], lat = 31.77912, lon = 119.95111 }",
    "kind": f"use one of {', '.join(ZoneKind)}",
    "events": f"use some of {', '.join(EventKind)}",
    "schedule": f"write for example 'Mon-Fri 07:00-22:00; Sat 22:00-02:00' ({', '.join(DAYS).title()})",
    "permits": "write for example { from = 2026-05-01, to = 2026-05-05, note = 'market' }",
    "holidays": "write for example { from = 2026-10-01, to = 2026-10-07 }",
    "starts_at": "write a time with its offset, like 2026-11-20T08:00:00+08:00",
    "timezone": 'write for example timezone = "Asia/Shanghai"',
    "score_min": "give a score between 0 and 1 per class",
    "source": "give a file, a folder or an rtsp:// address",
    "evidence_source": "give the rtsp:// address of the camera's main stream",
    "decode_device": "give cpu, cuda, cuda:N, vaapi, qsv or videotoolbox",
    "name": "give the site a name",
    "city": 'write the code of the city in quotes, like "320400"',
    "camera": "add a [[camera]] table with id, lat and lon",
    "zone": "write every zone as a [[camera.zone]] table",
    "site": "write [site] with name and timezone",
}


class SiteTable(Table):
    """`[site]` as written."""

    name: Any
    timezone: Any
    city: Any = ""


class SiteFile(Table):
    """The two top-level tables, so that unknown keys show; values are checked by `Site`."""

    site: SiteTable
    camera: tuple[dict[str, Any], ...]


def load_site(path: Path | str) -> Site:
    """Read and check a site file.

    Args:
        path: TOML file; relative `source` entries are taken from its folder.

    Raises:
        WrongUse: the file is missing or not TOML, or something in it is wrong: one sentence per mistake, the
            first five, each with file, camera, zone, key, value and what to do.
    """
    path = Path(path)
    document = _read(path)
    try:
        tables = SiteFile.model_validate(document)
        cameras = [_placed(camera, path.parent) for camera in tables.camera]
        site = Site.model_validate({**tables.site.model_dump(), "cameras": cameras})
    except ValidationError as error:
        raise WrongUse(_sentences(path, document, error)) from error
    _check_labels(path, site)
    return site


def read_camera(table: dict[str, Any], site: Site, name: str = "the camera that was sent") -> Camera:
    """Read one camera written as a `[[camera]]` table, for a site that runs already.

    Args:
        table: keys and values as in a site file, from JSON.
        site: the site that it joins; relative sources are taken as they are.
        name: what the sentences begin with.

    Raises:
        WrongUse: something in it is wrong, as `load_site` says it.
    """
    document: dict[str, Any] = {"site": {"name": site.name, "timezone": site.timezone}, "camera": [table]}
    try:
        alone = Site.model_validate({**document["site"], "cameras": [table]})
    except ValidationError as error:
        raise WrongUse(_sentences(Path(name), document, error)) from error
    _check_labels(Path(name), alone)
    return alone.cameras[0]


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise WrongUse(f"{path}: there is no such site file; check the path.") from error
    except tomllib.TOMLDecodeError as error:
        raise WrongUse(f"{path}: not valid TOML: {_lower(str(error))}; correct that line.") from error
    except UnicodeDecodeError as error:
        raise WrongUse(f"{path}: not a text file in UTF-8; is it a site file?") from error
    except OSError as error:
        raise WrongUse(f"{path}: the site file cannot be read ({error.strerror}).") from error


def _placed(camera: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Give the camera with a relative `source` resolved against the site file's folder."""
    source = camera.get("source")
    if not isinstance(source, str) or not source or "://" in source or Path(source).is_absolute():
        return camera
    return {**camera, "source": str(folder / source)}


def _check_labels(path: Path, site: Site) -> None:
    for camera in site.cameras:
        if unknown := [label for label in camera.score_min if label not in class_names()]:
            raise WrongUse(
                f"{path}: camera '{camera.id}': `score_min.{unknown[0]}` is not a class; "
                f"{_near(unknown[0], class_names())}"
            )


def _sentences(path: Path, document: dict[str, Any], error: ValidationError) -> str:
    faults = error.errors(include_url=False)
    lines = [f"{path}: {_sentence(document, fault['loc'], fault)}" for fault in faults[:MAX_SENTENCES]]
    if more := len(faults) - len(lines):
        lines.append(f"{path}: and {more} more.")
    return "\n".join(lines)


def _sentence(document: dict[str, Any], loc: Loc, fault: Any) -> str:
    loc = ("camera", *loc[1:]) if loc[:1] == ("cameras",) else loc
    if loc[:1] in (("name",), ("timezone",), ("city",)):
        loc = ("site", *loc)
    where = _where(document, loc)
    sentence = f"{where}{': ' if where else ''}{_fault(loc, fault)}"
    return sentence if sentence.endswith("?") else f"{sentence}."


def _where(document: dict[str, Any], loc: Loc) -> str:
    """Name the table: "camera 'cam-1', zone 'kerb-east'", by position where it has no id."""
    if loc[:1] == ("site",) and len(loc) > 1:
        return "[site]"
    parts, table = [], document
    for key, noun in (("camera", "camera"), ("zone", "zone")):
        if len(loc) < 2 or loc[0] != key or not isinstance(loc[1], int):
            break
        entries = table.get(key)
        table = entries[loc[1]] if isinstance(entries, list) else {}
        table = table if isinstance(table, dict) else {}
        name = table.get("id")
        parts.append(f"{noun} '{name}'" if isinstance(name, str) and name else f"{noun} number {loc[1] + 1}")
        loc = loc[2:]
    return ", ".join(parts)


def _tail(loc: Loc) -> Loc:
    """Give what follows the table: the key and the path inside its value."""
    while len(loc) > 1 and loc[0] in ("camera", "zone") and isinstance(loc[1], int):
        loc = loc[2:]
    return loc[1:] if loc[:1] == ("site",) and len(loc) > 1 else loc


def _fault(loc: Loc, fault: Any) -> str:
    tail = _tail(loc)
    if not tail:
        return _message(fault)
    key = next((str(part) for part in reversed(tail) if part in ADVICE), str(tail[0]))
    advice = f"; {ADVICE[key]}" if key in ADVICE else ""
    if fault["type"] == "missing":
        return f"{_spelt(tail)} is missing{advice}"
    if fault["type"] == "extra_forbidden":
        return f"unknown key `{tail[-1]}`; {_near(str(tail[-1]), _known_keys(loc))}"
    if fault["type"] == "value_error":
        whole = isinstance(fault["input"], list | tuple | dict)
        about = _spelt(tail) if whole else f"{_spelt(tail)} = {_shown(fault['input'])}"
        return _message(fault) if tail in (("camera",), ("zone",)) else f"{about}: {_message(fault)}"
    return f"{_spelt(tail)} = {_shown(fault['input'])} {_problem(fault)}{advice}"


def _message(fault: Any) -> str:
    return str(fault.get("ctx", {}).get("error", fault["msg"]))


PROBLEMS: dict[str, Callable[[dict[str, Any]], str]] = {
    "greater_than_equal": lambda ctx: f"is below {ctx['ge']:g}",
    "greater_than": lambda ctx: f"is not above {ctx['gt']:g}",
    "less_than_equal": lambda ctx: f"is above {ctx['le']:g}",
    "finite_number": lambda _: "is not a finite number",
    "float_type": lambda _: "is not a number",
    "string_type": lambda _: "is not a text",
    "string_too_short": lambda _: "is empty",
    "string_too_long": lambda ctx: f"is longer than {ctx['max_length']} characters",
    "string_pattern_mismatch": lambda ctx: (
        "holds a slash or a control character" if ctx["pattern"].startswith("^[^") else "is not of that form"
    ),
    "enum": lambda _: "is unknown",
    "timezone_aware": lambda _: "has no offset from UTC",
    "too_short": lambda _: "is too short",
    "too_long": lambda _: "is too long",
    "tuple_type": lambda _: "is not a list",
    "dict_type": lambda _: "is not a table",
    "model_type": lambda _: "is not a table",
}


def _problem(fault: Any) -> str:
    problem = PROBLEMS.get(fault["type"])
    return problem(fault.get("ctx", {})) if problem else f"is wrong ({_lower(fault['msg'])})"


def _spelt(tail: Loc) -> str:
    """Spell a key inside a table: ("ground_points", 2, "lat") -> "`lat` of `ground_points` entry 3"."""
    key, *inner = tail
    if not inner:
        return f"`{key}`"
    if key == "score_min":
        return f"`score_min.{inner[0]}`"
    if not isinstance(inner[0], int):
        return f"`{key}.{inner[0]}`"
    name = f"corner {inner[0] + 1} of `polygon`" if key == "polygon" else f"`{key}` entry {inner[0] + 1}"
    named = [part for part in inner[1:] if isinstance(part, str)]
    return f"`{named[0]}` of {name}" if named else name


def _shown(value: Any) -> str:
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _known_keys(loc: Loc) -> list[str]:
    """Give the keys that the table holding `loc` knows."""
    tables: dict[str, type[BaseModel]] = {"ground_points": GroundPoint, "zone": ZoneTable, "camera": Camera}
    if loc[0] == "site":
        return list(SiteTable.model_fields)
    table = next((tables[str(part)] for part in reversed(loc[:-1]) if part in tables), SiteFile)
    return list(table.model_fields)


def _near(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"did you mean `{close[0]}`?" if close else f"known are {', '.join(known)}"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:].rstrip(".")
