"""Verdict JSON, as `GET /v1/verdicts` gives it: from the API itself or from a file that was saved from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import urlsplit

import httpx2
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from detector.errors import Failure, WrongUse

PAGE = 200
TIMEOUT_S = 30.0
PICTURE_BYTES_MAX = 64 << 20


class _Row(BaseModel):
    """Keys that are not known are passed over: a newer API may say more."""

    model_config = ConfigDict(frozen=True)


class Fractions(_Row):
    """A box in fractions of the picture's width and height, with an area."""

    x0: float = Field(ge=0, le=1)
    y0: float = Field(ge=0, le=1)
    x1: float = Field(ge=0, le=1)
    y1: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _has_area(self) -> Self:
        if self.x1 <= self.x0 or self.y1 <= self.y0:
            raise ValueError("x1 must be greater than x0 and y1 greater than y0")
        return self

    def px(self, size_px: tuple[int, int]) -> tuple[float, float, float, float]:
        """Give left, top, right, bottom in pixels of a picture of that width and height."""
        width, height = size_px
        return self.x0 * width, self.y0 * height, self.x1 * width, self.y1 * height


class Correction(_Row):
    """What the operator says it should have been."""

    box: Fractions | None = None
    label: str | None = None
    kind: str | None = None


class Still(_Row):
    """A picture of the case, by content."""

    role: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    sealed: bool = False


class Verdict(_Row):
    """One decision and the claim it judges; see `api.verdicts` for each field."""

    entry: int = 0
    case_id: str = Field(pattern=r"^[0-9a-fA-F-]{8,40}$")
    verdict: Literal["confirm", "reject"]
    by: Literal["person", "auto"] = "person"
    reason_code: str | None = None
    correction: Correction | None = None
    reviewed_at: AwareDatetime
    kind: str
    label: str = Field(min_length=1, max_length=40)
    box: Fractions
    confidence: float = Field(ge=0, le=1)
    model: str
    source_id: str = Field(min_length=1, max_length=100)
    zone_id: str = ""
    observed_at: AwareDatetime
    stills: tuple[Still, ...] = ()


def is_address(source: str) -> bool:
    """Say whether a source is an API rather than a file.

    >>> is_address("http://127.0.0.1:8080"), is_address("verdicts.jsonl")
    (True, False)
    """
    return source.startswith(("http://", "https://"))


def read_verdicts(source: str, token: str = "", since: datetime | None = None) -> tuple[Verdict, ...]:
    """Read all decisions of an API (`http://…`) or of a file, oldest first.

    Args:
        source: address of an API without `/v1`, or a file of one verdict or one answer of the API per line.
        token: bearer token of the API.
        since: decisions made at or after; None for all.

    Raises:
        WrongUse: there is no such file.
        Failure: the API cannot be reached or refuses, or a line is no verdict; nothing is taken then.
    """
    if is_address(source):
        with Api(source, token) as api:
            return tuple(api.verdicts(since))
    found = tuple(_of_file(Path(source)))
    return tuple(row for row in found if since is None or row.reviewed_at >= since)


def _of_file(path: Path) -> Iterator[Verdict]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise WrongUse(
            f"{path}: cannot be read ({error.strerror}); give the address of an API, or a file that "
            "was saved from its /v1/verdicts."
        ) from error
    except UnicodeDecodeError as error:
        raise Failure(f"{path}: is no text ({error.reason}); save /v1/verdicts again.") from error
    try:
        whole = json.loads(text)
    except ValueError:  # one document per line
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                yield from _of_document(_json(line, f"{path}:{number}"), f"{path}:{number}")
    else:
        yield from _of_document(whole, str(path))


def _json(text: str | bytes, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise Failure(f"{where}: is no JSON ({error}); wanted one verdict per line.") from None


def _of_document(document: Any, where: str) -> Iterator[Verdict]:
    """Read one verdict, or an answer of the API with several."""
    if isinstance(document, dict) and isinstance(document.get("verdicts"), list):
        for index, entry in enumerate(document["verdicts"]):
            yield _verdict(entry, f"{where}: verdicts.{index}")
    else:
        yield _verdict(document, where)


def _verdict(document: Any, where: str) -> Verdict:
    try:
        return Verdict.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ").lower()
        raise Failure(f"{where}: {f'{key}: ' if key else ''}{said}; wanted a verdict of the API.") from None


class Api:
    """An API, to be closed. `token`: its bearer token, empty for none."""

    def __init__(self, url: str, token: str = "", transport: httpx2.BaseTransport | None = None) -> None:
        """Prepare; nothing is sent yet.

        Raises:
            WrongUse: `url` is no address.
        """
        if not urlsplit(url).hostname:
            raise WrongUse(f"{url!r} is not the address of an API; give one such as http://127.0.0.1:8080.")
        self.url = url.rstrip("/").removesuffix("/v1/verdicts")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx2.Client(
            base_url=self.url, headers=headers, timeout=TIMEOUT_S, transport=transport, trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def verdicts(self, since: datetime | None = None) -> Iterator[Verdict]:
        """Give all decisions, page by page, oldest first.

        Raises:
            Failure: it cannot be reached, refuses, or answers what is no verdict.
        """
        after: int | None = 0
        while after is not None:
            asked: dict[str, str | int] = {"after": after, "limit": PAGE}
            if since is not None:
                asked["since"] = since.isoformat()
            page = self._answer("/v1/verdicts", asked)
            document = _json(page, self.url)
            if not isinstance(document, dict) or not isinstance(document.get("verdicts"), list):
                raise Failure(f"{self.url}: answers no verdicts; is it the Kerbwatch API, 1.1 or newer?")
            yield from _of_document(document, self.url)
            following = document.get("next_after")
            if following is not None and not (isinstance(following, int) and following > after):
                raise Failure(f"{self.url}: its pages do not go on ({following!r} after {after}).")
            after = following

    def picture(self, sha256: str) -> bytes | None:
        """Give a public picture, None where there is none of that hash. Raises: Failure."""
        return self._answer(f"/v1/evidence/{sha256}", {}, may_miss=True) or None

    def _answer(self, path: str, params: dict[str, str | int], *, may_miss: bool = False) -> bytes:
        try:
            answer = self._http.get(path, params=params)
        except (httpx2.HTTPError, OSError) as error:
            raise Failure(f"{self.url} cannot be reached: {str(error) or type(error).__name__}.") from error
        if may_miss and answer.status_code == httpx2.codes.NOT_FOUND:
            return b""
        if answer.status_code != httpx2.codes.OK:
            raise Failure(f"{self.url}{path} answered {answer.status_code}{_detail(answer.content)}.")
        if len(answer.content) > PICTURE_BYTES_MAX:
            raise Failure(f"{self.url}{path} is larger than {PICTURE_BYTES_MAX >> 20} MiB.")
        return answer.content


def _detail(answer: bytes) -> str:
    try:
        document = json.loads(answer)
    except ValueError:
        return ""
    detail = document.get("detail") if isinstance(document, dict) else None
    return f": {str(detail).rstrip('.')}" if detail else ""
