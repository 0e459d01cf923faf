"""Hardware decoding, where it is asked for and there."""

from __future__ import annotations

import logging
from functools import cache

import av.error
from av.codec import Codec
from av.codec.hwaccel import HWAccel, HWDeviceType, hwdevices_available

from detector.errors import WrongUse

log = logging.getLogger(__name__)

SOFTWARE = frozenset({None, "", "cpu"})


def hwaccel_or_none(decode_device: str | None) -> HWAccel | None:
    """Give what `av.open(..., hwaccel=)` takes, or None where pictures are decoded by the CPU.

    The device is tried here, because `av.open` fails on one that is missing instead of falling back; a codec
    that the device cannot decode falls back by itself. The frames come in the memory of the host.

    Args:
        decode_device: None or "cpu": nothing is tried. "cuda", "cuda:1", "vaapi", "qsv", "videotoolbox": that
            device; where it cannot be had, the log says so once and the CPU decodes.

    Raises:
        WrongUse: FFmpeg knows no such kind of device.
    """
    if decode_device in SOFTWARE:
        return None
    kind, _, number = str(decode_device).partition(":")
    if kind not in HWDeviceType.__members__ or kind == "none":
        raise WrongUse(
            f"decode_device: wanted cpu, cuda, cuda:N, vaapi, qsv or videotoolbox, got {decode_device!r}."
        )
    if why := _missing(kind, number or None):
        _warn_once(str(decode_device), why)
        return None
    return HWAccel(kind, device=number or None, allow_software_fallback=True)


@cache
def _missing(kind: str, number: str | None) -> str:
    """Say why a device cannot be had; "" where it can."""
    if kind not in hwdevices_available():
        return "this build of FFmpeg does not have it"
    try:
        HWAccel(kind, device=number).create(Codec("h264", "r"))
    except (OSError, ValueError, NotImplementedError, av.error.FFmpegError) as error:
        return str(error) or type(error).__name__
    return ""


@cache
def _warn_once(device: str, why: str) -> None:
    log.warning("decode_device %s cannot be had (%s); the CPU decodes instead", device, why)
