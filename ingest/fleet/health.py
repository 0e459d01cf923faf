"""What is wrong with a camera, told from what it sends: a state and one sentence. Pure."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace

from ingest.fleet.status import CameraState, CameraStatus, WorkerStatus

SILENT_S = 5.0
"""A connected camera that sent no picture for so long is called silent."""
NAMED_S = 8.0
"""Whoever asks is told of a camera without a picture after so long, however late its worker tells."""
START_S = 8.0
"""A camera may take so long to its first picture before that is called a fault."""
GARBAGE_PER_S = 0.5
"""So many packets a second that cannot be decoded are a fault worth a sentence."""
FLOOD_FPS = 40.0
"""More frames a second than any street needs; receiving and decoding them is what costs."""


@dataclass(frozen=True, slots=True)
class Look:
    """What is seen of a camera whose pipeline runs.

    Args:
        live: it sends whether we are ready or not.
        connected: there is a connection now. ever: it has sent a picture since its source was opened.
        quiet_s: seconds without a picture, or since the source was opened.
        rates: frames "in", and by reason dropped "undecodable" and "overload", per second of the last 5 s.
    """

    live: bool
    connected: bool
    ever: bool
    quiet_s: float
    rates: Mapping[str, float]


def judge(look: Look, fps_site: float, fps_promised: float) -> tuple[CameraState, str]:
    """Give state and fault.

    Args:
        look: what is seen.
        fps_site: analysed rate that the site file wants.
        fps_promised: the one it gets.

    >>> judge(Look(True, True, True, 7.0, {}), 5.0, 5.0)
    (<CameraState.SILENT: 'silent'>, 'connected, but no picture for 7 s.')
    """
    if look.live and (found := _missing(look)):
        return found
    sentences = list(_oddities(look))
    if look.rates.get("overload", 0.0) > 0:
        sentences.append("decoding it takes more than a camera may; only its key frames are analysed.")
    if fps_promised < 0.999 * fps_site:
        sentences.append(
            f"the machine is full: {fps_promised:.2g} instead of {fps_site:.2g} frames a second are analysed."
        )
    degraded = len(sentences) > len(list(_oddities(look)))
    return CameraState.DEGRADED if degraded else CameraState.RUNNING, " ".join(sentences)


def _missing(look: Look) -> tuple[CameraState, str] | None:
    """Say why no pictures come, if none do."""
    garbage = look.rates.get("undecodable", 0.0)
    if look.connected and garbage >= GARBAGE_PER_S and look.quiet_s > SILENT_S / 2:
        return CameraState.SILENT, f"sends data that cannot be decoded ({garbage:.0f} packets a second)."
    if not look.connected:
        if not look.ever and look.quiet_s < START_S:
            return CameraState.STARTING, ""
        return CameraState.RECONNECTING, f"no connection for {look.quiet_s:.0f} s; it is called again."
    if look.quiet_s > SILENT_S:
        return CameraState.SILENT, f"connected, but no picture for {look.quiet_s:.0f} s."
    return None


def _oddities(look: Look) -> list[str]:
    garbage, came = look.rates.get("undecodable", 0.0), look.rates.get("in", 0.0)
    found = []
    if garbage >= GARBAGE_PER_S:
        found.append(f"{garbage:.0f} packets a second cannot be decoded.")
    if look.live and came > FLOOD_FPS:
        found.append(f"sends {came:.0f} frames a second; lower its rate.")
    return found


def as_of_now(worker: WorkerStatus, told_s: float, live: Container[str]) -> WorkerStatus:
    """Give a worker's status with the ages of now: on a full machine it may have told some seconds ago.

    Args:
        worker: as it told.
        told_s: seconds since then.
        live: ids of its cameras that send whether we are ready or not; files are not judged.
    """
    return replace(
        worker, cameras=tuple(_aged(camera, told_s, camera.camera_id in live) for camera in worker.cameras)
    )


def _aged(camera: CameraStatus, told_s: float, live: bool) -> CameraStatus:  # noqa: FBT001 - private
    if camera.last_frame_age_s is None:
        return camera
    age_s = camera.last_frame_age_s + told_s
    if not live or age_s <= NAMED_S or camera.state not in {CameraState.RUNNING, CameraState.DEGRADED}:
        return replace(camera, last_frame_age_s=age_s)
    fault = f"no picture for {age_s:.0f} s, as far as its worker told {told_s:.0f} s ago."
    return replace(camera, last_frame_age_s=age_s, state=CameraState.SILENT, fault=fault)
