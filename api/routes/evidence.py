"""PUT and GET /v1/evidence/{sha256}."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Final

import anyio
from anyio import from_thread, to_thread
from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect

from api.errors import SlowUpload
from api.evidence import EvidenceFile
from api.http import plain_problem, problems
from api.routes.needs import Needed
from api.services import Services
from ingest.report import Wire

router = APIRouter(prefix="/v1/evidence", tags=["evidence"])

Sha256 = Annotated[
    str,
    Path(
        pattern=r"^[0-9a-f]{64}$",
        description="sha256 of the file, 64 hexadecimal digits in lower case.",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    ),
]
RANGE: Final = re.compile(r"bytes=(?=-?\d)(\d*)-(\d*)")
BINARY: Final = {"schema": {"type": "string", "format": "binary"}}
UNSAID: Final = frozenset({"", "application/octet-stream", "application/x-www-form-urlencoded"})
MAGIC: Final = ((b"\xff\xd8\xff", 0, "image/jpeg"), (b"ftyp", 4, "video/mp4"))


class Stored(Wire):
    """What was stored."""

    sha256: str
    media_type: str
    size_bytes: int
    sealed: bool


@router.put(
    "/{sha256}",
    operation_id="putEvidence",
    summary="Upload a picture or clip",
    responses={
        200: {"model": Stored, "description": "It was there already."},
        **problems(401, 408, 413, 415, 422, 507),
    },
    status_code=201,
    openapi_extra={"requestBody": {"required": True, "content": {"image/jpeg": BINARY, "video/mp4": BINARY}}},
)
async def put_evidence(
    sha256: Sha256,
    request: Request,
    response: Response,
    services: Needed,
    content_type: Annotated[str, Header(include_in_schema=False)] = "",
    *,
    sealed: Annotated[
        bool, Query(description="An original that never leaves through the public routes.")
    ] = False,
) -> Stored:
    """Store a JPEG or MP4 under its sha256, checked while it arrives; twice is once."""
    media_type = content_type.partition(";")[0].strip().lower()
    file = await to_thread.run_sync(
        _store, services, request, sha256, media_type, sealed, limiter=request.app.state.uploads
    )
    response.status_code = 201 if file.created else 200
    return Stored(
        sha256=file.sha256, media_type=file.media_type, size_bytes=file.size_bytes, sealed=file.sealed
    )


@router.get(
    "/{sha256}",
    operation_id="getEvidence",
    summary="Fetch a public picture or clip",
    response_class=Response,
    responses={
        200: {"content": {"image/jpeg": BINARY, "video/mp4": BINARY}, "description": "The whole file."},
        206: {"content": {"video/mp4": BINARY}, "description": "The range that was asked for."},
        304: {"description": "The copy you have is the file: it never changes."},
        **problems(401, 404, 416, 422),
    },
)
def get_evidence(
    sha256: Sha256,
    services: Needed,
    range_: Annotated[str, Header(alias="range", description="One range of bytes, for seeking.")] = "",
    if_none_match: Annotated[str, Header(include_in_schema=False)] = "",
) -> Response:
    """Give a public file. Sealed originals are not found here, whoever asks."""
    file = services.find_evidence(sha256)
    headers = {
        "etag": f'"{sha256}"',
        "cache-control": "private, max-age=31536000, immutable",
        "accept-ranges": "bytes",
        "x-content-type-options": "nosniff",
    }
    if sha256 in if_none_match:
        return Response(status_code=304, headers=headers)
    span = _span(range_, file.size_bytes)
    if span is None:
        size = file.size_bytes
        return plain_problem(
            416, f"the file has {size} bytes, no such range.", {"content-range": f"bytes */{size}"}
        )
    return _streamed(services, file, span, headers, partial=bool(RANGE.fullmatch(range_.strip())))


def _store(services: Services, request: Request, sha256: str, media_type: str, sealed: bool) -> EvidenceFile:  # noqa: FBT001
    """Store an upload, in a thread of its own: the slowest sender holds up other senders at most."""
    chunks = _chunks(request, services.limits.idle_s)
    if media_type in UNSAID:
        media_type, chunks = _sniffed(chunks)
    return services.put_evidence(sha256, media_type, chunks, sealed=sealed)


def _streamed(
    services: Services, file: EvidenceFile, span: tuple[int, int], headers: dict[str, str], *, partial: bool
) -> Response:
    start, stop = span
    if partial:
        headers["content-range"] = f"bytes {start}-{stop - 1}/{file.size_bytes}"
    headers["content-length"] = str(stop - start)
    return StreamingResponse(
        services.read_evidence(file, start, stop),
        status_code=206 if partial else 200,
        media_type=file.media_type,
        headers=headers,
    )


def _span(header: str, size: int) -> tuple[int, int] | None:
    """Give first and last-plus-one byte of a Range header, None where it cannot be satisfied.

    What is no single range of bytes is ignored, as RFC 9110 (14.2) allows.

    >>> _span("bytes=2-4", 10), _span("bytes=-3", 10), _span("bytes=7-", 10), _span("", 10)
    ((2, 5), (7, 10), (7, 10), (0, 10))
    >>> _span("bytes=10-", 10) is None
    True
    """
    match = RANGE.fullmatch(header.strip())
    if match is None:
        return 0, size
    first, last = match[1], match[2]
    if not first:
        return (size - min(int(last), size), size) if int(last) else None
    start, stop = int(first), min(int(last or size) + 1, size)
    return (start, stop) if start < stop else None


def _chunks(request: Request, idle_s: float) -> Iterator[bytes]:
    """Give the body piece by piece to the worker thread that stores it.

    Raises:
        SlowUpload: nothing came for so long, or the sender went away.
    """
    stream = aiter(request.stream())
    while True:
        try:
            chunk = from_thread.run(_next_chunk, stream, idle_s)
        except ClientDisconnect as error:
            raise SlowUpload("the sender went away in the middle of the upload: send again.") from error
        if chunk is None:
            return
        if chunk:
            yield chunk


async def _next_chunk(stream: AsyncIterator[bytes], idle_s: float) -> bytes | None:
    try:
        with anyio.fail_after(idle_s):
            return await anext(stream, None)
    except TimeoutError as error:
        raise SlowUpload(f"no byte of the upload came for {idle_s:g} s: send again.") from error


def _sniffed(chunks: Iterator[bytes]) -> tuple[str, Iterator[bytes]]:
    """Tell the media type from the first bytes where no header says it."""
    first = next(chunks, b"")
    for magic, at, media_type in MAGIC:
        if first[at : at + len(magic)] == magic:
            return media_type, _again(first, chunks)
    return "unknown", _again(first, chunks)


def _again(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest
