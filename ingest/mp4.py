"""Coded H.264 pictures to an mp4, as they came: no decoding, no encoding. Pure: bytes in, bytes out.

One track, index in front, one chunk. PyAV's muxer takes parameter sets from an encoder or an open input only,
and a tape has neither; the few boxes of ISO/IEC 14496-12 and -15 that one track needs are written here. The
same pictures give the same bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

START_CODE = b"\0\0\1"
SPS, PPS = 7, 8
PLAIN_PROFILES = frozenset({66, 77, 88, 100})
"""Baseline, main, extended, high: 8 bits, 4:2:0; what browsers play."""
MOVIE_SCALE = 1000
MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)


@dataclass(frozen=True, slots=True)
class Sample:
    """A coded picture: its bytes, when it is shown in units of the time base, and whether it stands alone."""

    data: bytes
    pts: int
    key: bool


def units(data: bytes) -> Iterator[bytes]:
    """Give the NAL units of an Annex B stream, without start codes.

    >>> [unit.hex() for unit in units(bytes.fromhex("00000001 67aa 000001 68bb 0000"))]
    ['67aa', '68bb']
    """
    begin = data.find(START_CODE)
    while begin >= 0:
        end = data.find(START_CODE, begin + 3)
        unit = data[begin + 3 : end if end >= 0 else len(data)].rstrip(b"\0")
        if unit:
            yield unit
        begin = end


def configuration(extradata: bytes | None) -> bytes | None:
    """Give a decoder's configuration (avcC) of parameter sets in either form; None: it cannot be made."""
    if not extradata or len(extradata) < 7:
        return None
    if extradata[0] == 1:
        return extradata if extradata[1] in PLAIN_PROFILES else None
    found = list(units(extradata))
    sps = [unit for unit in found if unit[0] & 31 == SPS and len(unit) > 3]
    pps = [unit for unit in found if unit[0] & 31 == PPS]
    if not sps or not pps or sps[0][1] not in PLAIN_PROFILES:
        return None
    head = bytes([1, *sps[0][1:4], 0xFF, 0xE0 | len(sps)])
    sets = b"".join(struct.pack(">H", len(unit)) + unit for unit in sps)
    sets += bytes([len(pps)]) + b"".join(struct.pack(">H", len(unit)) + unit for unit in pps)
    return head + sets + (b"\xfd\xf8\xf8\0" if sps[0][1] == 100 else b"")


def remuxed(
    samples: Sequence[Sample],
    extradata: bytes | None,
    time_base: Fraction,
    wh: tuple[int, int],
    until: int | None = None,
) -> bytes | None:
    """Give an mp4 of coded pictures; None: the codec's settings, or times that repeat, do not allow it.

    Args:
        samples: in decoding order, the first one a key frame; of one stream.
        extradata: its parameter sets, avcC or Annex B; the samples are of the same form.
        time_base: seconds per unit of their times.
        wh: width and height in pixels.
        until: the last picture shown; what comes later is there because others were coded from it.
    """
    avcc = configuration(extradata)
    times = sorted(sample.pts for sample in samples)
    if avcc is None or extradata is None or not samples or len(set(times)) < len(times):
        return None
    if extradata[0] != 1:
        samples = [Sample(_prefixed(sample.data), sample.pts, sample.key) for sample in samples]
    steps = [(later - earlier) * time_base.numerator for earlier, later in pairwise(times)]
    steps.append(steps[-1] if steps else round(time_base.denominator / 25))
    late = max(time - sample.pts for time, sample in zip(times, samples, strict=True))
    offsets = [
        (sample.pts - time + late) * time_base.numerator for time, sample in zip(times, samples, strict=True)
    ]
    shown = times[-1] if until is None else max(time for time in times if time <= max(until, times[0]))
    length = (shown - times[0]) * time_base.numerator + steps[times.index(shown)]
    cut = late > 0 or shown < times[-1]

    def index(start: int) -> bytes:
        return _moov(
            avcc,
            wh,
            _table(samples, steps, offsets, start),
            scale=time_base.denominator,
            media=sum(steps),
            shown=length,
            begins=late * time_base.numerator if cut else None,
        )

    head = _box(b"ftyp", b"isom\0\0\2\0isomiso2avc1mp41")
    begin = len(head) + len(index(0)) + 8
    size = struct.pack(">I4s", sum(len(sample.data) for sample in samples) + 8, b"mdat")
    return b"".join([head, index(begin), size, *(sample.data for sample in samples)])


def _prefixed(data: bytes) -> bytes:
    """Put lengths where an Annex B picture has start codes."""
    return b"".join(struct.pack(">I", len(unit)) + unit for unit in units(data))


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", len(body) + 8, kind) + body


def _full(kind: bytes, *parts: bytes, version: int = 0, flags: int = 0) -> bytes:
    return _box(kind, struct.pack(">I", version << 24 | flags), *parts)


def _runs(values: Sequence[int]) -> bytes:
    """Give a table of (how many, value), its length in front."""
    runs: list[list[int]] = []
    for value in values:
        if runs and runs[-1][1] == value:
            runs[-1][0] += 1
        else:
            runs.append([1, value])
    return struct.pack(">I", len(runs)) + b"".join(struct.pack(">II", *run) for run in runs)


def _table(samples: Sequence[Sample], steps: Sequence[int], offsets: Sequence[int], start: int) -> bytes:
    """Give the boxes that say when and where each picture is."""
    count = len(samples)
    keys = [number for number, sample in enumerate(samples, 1) if sample.key]
    sizes = [len(sample.data) for sample in samples]
    return b"".join(
        [
            _full(b"stts", _runs(steps)),
            _full(b"ctts", _runs(offsets)) if any(offsets) else b"",
            _full(b"stss", struct.pack(f">I{len(keys)}I", len(keys), *keys)),
            _full(b"stsc", struct.pack(">4I", 1, 1, count, 1)),
            _full(b"stsz", struct.pack(f">2I{count}I", 0, count, *sizes)),
            _full(b"stco", struct.pack(">2I", 1, start)),
        ]
    )


def _moov(
    avcc: bytes,
    wh: tuple[int, int],
    table: bytes,
    *,
    scale: int,
    media: int,
    shown: int,
    begins: int | None,
) -> bytes:
    """Give the index. `media`, `shown`, `begins`: units of `scale`; `begins` None: all of it is shown."""
    width, height = wh
    movie = -(-shown * MOVIE_SCALE // scale)
    mvhd = struct.pack(">4IIH10x", 0, 0, MOVIE_SCALE, movie, 0x10000, 0x100) + MATRIX
    tkhd = struct.pack(">5I16x", 0, 0, 1, 0, movie) + MATRIX + struct.pack(">2I", width << 16, height << 16)
    edits = (
        b"" if begins is None else _box(b"edts", _full(b"elst", struct.pack(">4I", 1, movie, begins, 65536)))
    )
    entry = struct.pack(">6xH16x2H2I4xH32xHh", 1, width, height, 0x480000, 0x480000, 1, 24, -1)
    stsd = _full(b"stsd", struct.pack(">I", 1), _box(b"avc1", entry, _box(b"avcC", avcc)))
    here = _full(b"url ", flags=1)
    minf = _box(
        b"minf",
        _full(b"vmhd", bytes(8), flags=1),
        _box(b"dinf", _full(b"dref", struct.pack(">I", 1), here)),
        _box(b"stbl", stsd, table),
    )
    mdia = _box(
        b"mdia",
        _full(b"mdhd", struct.pack(">4I2H", 0, 0, scale, media, 0x55C4, 0)),
        _full(b"hdlr", b"\0\0\0\0vide", bytes(12), b"\0"),
        minf,
    )
    return _box(
        b"moov",
        _full(b"mvhd", mvhd, bytes(24), struct.pack(">I", 2)),
        _box(b"trak", _full(b"tkhd", tkhd, flags=3), edits, mdia),
    )
