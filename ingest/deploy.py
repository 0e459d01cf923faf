"""What `run`, `serve` and `demo` share: an API to send to, a data folder, cases shown to people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detector.errors import Failure
from ingest.embedded import EmbeddedApi

SUFFIX = {"image/jpeg": ".jpg", "video/mp4": ".mp4"}

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ApiChoice:
    """Where reports go: an API elsewhere (`url`), or one beside this process (`port`, `options`)."""

    url: str | None = None
    token: str = ""
    port: int = 0
    options: tuple[str, ...] = ()


@contextmanager
def opened_api(choice: ApiChoice, data: Path, timezone: str | None = None) -> Iterator[str]:
    """Give the address of the API; an embedded one lives as long as the `with` block.

    Raises:
        Failure, WrongUse: the embedded API did not start.
    """
    if choice.url:
        yield choice.url.rstrip("/")
        return
    with ExitStack() as stack:
        yield stack.enter_context(EmbeddedApi(data, choice.port, choice.options, timezone)).url


def with_paths(case: Json, data: Path | None) -> Json:
    """Give the case with `path` of its evidence as a file on this disk, where the API is the embedded one.

    Args:
        case: Case JSON as the API answered it.
        data: folder of the embedded API; None leaves the API's own paths.
    """
    if data is None:
        return case
    return {**case, "evidence": [{**piece, "path": _path_of(piece, data)} for piece in case["evidence"]]}


def _path_of(piece: Json, data: Path) -> str:
    sha256 = str(piece["sha256"])
    path = data / "evidence" / "public" / sha256[:2] / (sha256 + SUFFIX.get(str(piece["media_type"]), ""))
    return str(path.resolve()) if path.is_file() else str(piece["path"])


def table_of(cases: Sequence[Json]) -> str:
    """Give the cases as a table for people.

    >>> print(table_of([]))
    no cases
    """
    if not cases:
        return "no cases"
    return "\n".join(_line(case) for case in cases)


def _line(case: Json) -> str:
    place = case["location"]
    spot = f"{place['lat']:.6f},{place['lon']:.6f} ±{place['error_m']:.0f} m"
    what = f"{case['observed_at']}  {case['kind']:<16} {case['code']['code']}  {case['confidence']:.2f}"
    return f"{what}  {case['source_id']}/{case['zone_id']}  {spot}  {case['status']}  {case['case_id']}"


def check_data(data: Path) -> Path:
    """Make the data folder; give its absolute path.

    Raises:
        Failure: it cannot be made or written.
    """
    try:
        data.mkdir(parents=True, exist_ok=True)
        probe = data / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise Failure(
            f"the data folder {data} cannot be written ({error.strerror}): choose another --data."
        ) from error
    return data.resolve()  # the embedded API has another working folder
