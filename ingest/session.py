"""One command's worth of watching: cameras, detectors, an uplink, and the API where it is embedded."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from detector.detector import Detector, open_detector
from detector.errors import WrongUse
from detector.precision import Asked
from ingest.config import load_site
from ingest.deploy import ApiChoice, Json, check_data, opened_api, with_paths
from ingest.gate import open_gate
from ingest.pipeline import Pipeline, assemble
from ingest.site import Camera, Site
from ingest.sources import Source, kind_of, open_source
from ingest.sources.choice import settings_of
from ingest.uplink import Uplink

log = logging.getLogger(__name__)

NAMED_MAX = 20
"""Cameras named in a sentence."""
Show = Callable[[Json], None]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Job:
    """What the command line said, for all cameras of the command."""

    data: Path
    api: ApiChoice
    model: str | None = None
    backend: str = "openvino"
    precision: Asked | None = None
    gate: str = "auto"
    device: str | None = None
    stop: threading.Event = field(default_factory=threading.Event)


def camera_for(site_file: Path, source: str | None, camera_id: str | None) -> tuple[Site, Camera]:
    """Find which camera of the site file a source is.

    Args:
        site_file: TOML.
        source: file, folder or address given by the user; None takes the camera's own.
        camera_id: the camera's id, needed where the site has several and none has this source.

    Raises:
        WrongUse: the site file is wrong, or it is not clear which camera is meant.
    """
    site = load_site(site_file)
    camera = _named(site, site_file, camera_id) if camera_id else _only(site, site_file, source)
    chosen = source or camera.source
    if chosen is None:
        raise WrongUse(
            f"{site_file}: camera '{camera.id}' has no `source`; add one or name it on the command line."
        )
    kind_of(chosen)  # says at once what cannot be read
    return site, camera.model_copy(update={"source": chosen})


def _named(site: Site, site_file: Path, camera_id: str) -> Camera:
    try:
        return site.camera(camera_id)
    except KeyError as error:
        raise WrongUse(f"{site_file} has no camera '{camera_id}'; it has {_names(site)}.") from error


def _only(site: Site, site_file: Path, source: str | None) -> Camera:
    if len(site.cameras) == 1:
        return site.cameras[0]
    same = [camera for camera in site.cameras if source and _same_source(camera.source, source)]
    if len(same) == 1:
        return same[0]
    raise WrongUse(
        f"{site_file} has {len(site.cameras)} cameras ({_names(site)}); say which one with --camera."
    )


def _names(site: Site) -> str:
    """Name the cameras of a site, some of them where there are many."""
    names = [camera.id for camera in site.cameras]
    more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
    return ", ".join(names[:NAMED_MAX]) + more


def _same_source(own: str | None, given: str) -> bool:
    if own is None or "://" in own or "://" in given:
        return own == given
    return Path(own).resolve() == Path(given).resolve()


def source_of(
    camera: Camera,
    site: Site,
    max_down_s: float | None = None,
    *,
    gate: str = "auto",
    fps: float | None = None,
) -> Source:
    """Open a camera's source, as a gate of this kind wants it; `fps` None: as its site file says.

    Raises:
        WrongUse, Failure: there is none, or it cannot be read.
    """
    settings = settings_of(camera, site.tz, gate, fps=fps, max_down_s=max_down_s)
    return open_source(str(camera.source), camera.id, settings=settings)


@contextmanager
def _stopping(source: Source, stop: threading.Event) -> Iterator[None]:
    """End `source` when `stop` is set."""
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            if stop.wait(0.2):
                source.stop()
                return

    thread = threading.Thread(target=watch, name="stop-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=1)


def _detector(job: Job, camera: Camera) -> Detector:
    return open_detector(job.model or camera.model, job.backend, precision=job.precision, device=job.device)


def watch(
    job: Job, site: Site, camera: Camera, source: Source, detector: Detector, uplink: Uplink
) -> Pipeline:
    """Take one source through the pipeline to its end.

    Raises:
        Failure: the source cannot be read, or the disk cannot be written.
    """
    for doubt in camera.doubts():
        log.warning("%s: %s", camera.id, doubt)
    parts = assemble(site, camera, detector, open_gate(job.gate), uplink.writer, uplink.outbox)
    pipeline = Pipeline(parts)
    if source.live:
        pipeline.known = uplink.known(camera.id)
        pipeline.unaware = uplink.unaware(camera.id)
    with _stopping(source, job.stop):
        summary = pipeline.run(source)
    log.info("%s: %d frames analysed, %d events", camera.id, summary.frames, summary.confirmed)
    return pipeline


def run_one(job: Job, site: Site, camera: Camera, max_down_s: float | None, show: Show) -> list[Json]:
    """Analyse one source to its end; give its cases.

    Raises:
        WrongUse, Failure: see the sentence; what was reported before is kept.
    """
    data = check_data(job.data)
    own = None if job.api.url else data
    with ExitStack() as stack:
        source = stack.enter_context(source_of(camera, site, max_down_s, gate=job.gate))
        detector = stack.enter_context(_detector(job, camera))
        url = stack.enter_context(opened_api(job.api, data, site.timezone))
        uplink = stack.enter_context(
            Uplink(data, url, job.api.token, lambda case: show(with_paths(case, own)))
        )
        watch(job, site, camera, source, detector, uplink)
        cases = uplink.drain()
        if own and (left := uplink.settle()):
            log.warning("%d confirmed cases are not with the platform yet; the next start sends them", left)
    return [with_paths(case, own) for case in cases]


def demo_one(job: Job, site: Site, camera: Camera, *, once: bool, show: Show, say: Say) -> None:
    """Analyse the demo source, post its cases to the sandbox, and serve the page until stopped.

    Raises:
        WrongUse, Failure: see the sentence.
    """
    data = check_data(job.data)
    with ExitStack() as stack:
        source = stack.enter_context(source_of(camera, site, gate=job.gate))
        detector = stack.enter_context(_detector(job, camera))
        url = stack.enter_context(opened_api(job.api, data, site.timezone))
        say(f"page:     {url}/\nsandbox:  {url}/sandbox/received\ndata:     {data}\n")
        uplink = stack.enter_context(
            Uplink(data, url, job.api.token, lambda case: show(with_paths(case, data)))
        )
        watch(job, site, camera, source, detector, uplink)
        cases = uplink.drain()
        left = uplink.settle()
        posted = sum(1 for case in cases if case.get("dispatch")) - left
        say(f"\n{len(cases)} cases, {posted} posted to the sandbox, the rest wait for a person at the page.")
        if not once and not job.stop.is_set():
            say(f"The page is at {url}/ until you press Ctrl-C.")
            job.stop.wait()
