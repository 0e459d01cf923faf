"""benchmarks/PROFILE.md, made of the results: what was wanted and what was measured, where the time goes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.cameras_per_core import bounds
from benchmarks.floor import WANTED as FLOOR_WANTED
from detector.errors import Failure

PAGE = Path(__file__).resolve().with_name("PROFILE.md")
Line: TypeAlias = tuple[str, str, str, bool]
"""What, what is wanted, what was measured, whether it is met."""
UNMEASURED = {
    "rtsp_faults": "change of healthy cameras beside three sick ones | below 1 %",
    "scaling": "RSS per further camera, from files, MB | at most 25",
    "rtsp_camera_cost": "RSS per further camera, paced by RTSP, MB | at most 25",
    "gpu": "one GPU, nano and small, frames/s | 3000, 1800",
}
"""What a result would tell that is not there, and what is wanted of it."""
SMALL = 0.005
"""Steps below this share stand together in one row."""
HEAD = """# Where the time goes

Written by `make profile` from the files in `benchmarks/results/`; do not edit. Each table names the command
that measured it, the day and the machine. Every benchmark prints what is wanted beside what it measured, with
"met" or "NOT MET".
"""


def page(results: Path) -> str:
    """Give the page.

    Args:
        results: folder of the result files.

    Raises:
        Failure: one of those that the page is made of is missing or is none.
    """
    parts = [HEAD]
    for name, section in SECTIONS.items():
        parts.append("\n".join([*section(_read(results / f"{name}.json")), ""]))
    parts.insert(2, "\n".join([*_lines(results), ""]))
    return "\n".join(parts).rstrip() + "\n"


def _lines(results: Path) -> Iterator[str]:
    """Tell of what was measured once and of what was not."""
    yield "## Cameras by RTSP, memory, GPU"
    yield ""
    yield "| what | wanted | measured | | result |"
    yield "|---|---|---|---|---|"
    rated = sorted(results.glob("rtsp_rated_load*.json"))
    for path in rated:
        for what, wanted, measured, met in _rated(_read(path)):
            yield f"| {what} | {wanted} | {measured} | {_met(met)} | `{path.name}` |"
    if not rated:
        yield "| cameras by RTSP | 40, 100 substreams | not measured | NOT MET | `rtsp_rated_load.py` |"
    for name, tell in (
        ("rtsp_faults", _faults),
        ("scaling", _memory),
        ("rtsp_camera_cost", _memory),
        ("gpu", _gpu),
    ):
        path = results / f"{name}.json"
        if not path.exists():
            yield f"| {UNMEASURED[name]} | not measured | NOT MET | `{name}.py` |"
            continue
        for what, wanted, measured, met in tell(_read(path)):
            yield f"| {what} | {wanted} | {measured} | {_met(met)} | `{path.name}` |"


def _rated(said: Mapping[str, Any]) -> Iterator[Line]:
    row, wanted = said["rows"].get("rated"), said["wanted"]
    if row is None:
        return
    kind = "substream" if row["substream"] else "main"
    ran, most = row.get("let_in", row["states"].get("running", 0)), wanted["cameras"][kind]
    name = "640x360 substreams" if row["substream"] else "1080p cameras"
    of = f"{ran} of {row['cameras']} {name}"
    if said.get("gate", "lookback") != "lookback":
        of += f" with `--gate {said['gate']}`"
    kept = row["keeps_up"] and ran == row["cameras"]
    yield (
        f"{name} on {row['cores']} cores",
        f"{most}",
        f"{of} let in, {'kept up' if kept else 'did not keep up'}",
        kept and ran >= most,
    )
    age, late = _p95(row["age_s"]), _p95(row["event_to_case_s"])
    most_age, most_late = wanted["age_p95_s"], wanted["event_to_case_p95_s"]
    yield f"{of}: p95 age of an analysed frame, s", f"at most {most_age:g}", f"{age:.1f}", age <= most_age
    missing = row["events_missing_n"]
    yield (
        f"{of}: p95 event to case, s",
        f"at most {most_late:g}, none missing",
        f"{late:.1f}, {missing} of {row['events_due']} missing",
        late <= most_late and not missing,
    )


def _p95(percentiles: Sequence[float | None] | None) -> float:
    """Give the second of three; without any it is infinite."""
    p95 = percentiles[1] if percentiles else None
    return math.inf if p95 is None else p95


def _faults(said: Mapping[str, Any]) -> Iterator[Line]:
    row, wanted = said["rows"]["faults"], said["wanted"]
    yield (
        f"change of {row['healthy']} healthy cameras beside three sick ones",
        f"below {wanted['change']:.0%}",
        f"{row['change']:+.2%}",
        abs(row["change"]) <= wanted["change"],
    )
    for name, fault in row["faults"].items():
        at = fault["named_s"]
        yield (
            f"{name} camera named",
            f"within {wanted['named_s']:g} s",
            "not named" if at is None else f"after {at:.1f} s",
            at is not None and at <= wanted["named_s"] and fault["state"] != "refused",
        )


def _memory(said: Mapping[str, Any]) -> Iterator[Line]:
    most, found = said["wanted"]["rss_mb_per_camera"], said["per_further_camera"]["rss_mb"]
    measured = "one row only" if found is None else f"{found:g}"
    name = "paced by RTSP" if said["benchmark"] == "rtsp_camera_cost" else "from files, as fast as can be"
    yield (
        f"RSS per further camera, {name}, MB",
        f"at most {most:g}",
        measured,
        found is not None and found <= most,
    )


def _gpu(said: Mapping[str, Any]) -> Iterator[Line]:
    if why := said.get("skipped"):
        yield UNMEASURED["gpu"].split(" | ")[0], UNMEASURED["gpu"].split(" | ")[1], f"skipped: {why}", False
    for row in said["rows"]:
        name, most = row["network"], row["wanted_p95_ms"]
        fast = row["frames_s"] >= row["wanted_frames_s"]
        low, high = row["frames_s_range"]
        yield (
            f"{name} on {said['machine']['gpu']['name']}, {said['processes']} processes, frames/s",
            f"{row['wanted_frames_s']:g}",
            (
                f"{row['frames_s']:.0f} ({low:.0f} to {high:.0f}, n = {said['n']}): "
                f"{row['share_of_roofline']:.0%} of the roofline, "
                f"{row['share_of_network_alone']:.0%} of the network alone"
            ),
            fast,
        )
        p95, streams = row["latency_p95_ms"], f"{said['streams']} streams at {said['fps']:g} fps"
        yield (
            f"{name} there, {streams}: p95 ms",
            f"at most {most:g}",
            f"{p95:g} (p50 {row['latency_p50_ms']:g}), {row['paced_skipped']} pictures skipped",
            p95 <= most and not row["paced_skipped"],
        )


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        name = path.stem
        raise Failure(
            f"{path.name} is missing or broken ({error}): python benchmarks/{name}.py writes it."
        ) from error
    return found


def _ratios(said: Mapping[str, Any]) -> Iterator[str]:
    yield "## CPU seconds against `yolo track`"
    yield ""
    yield from _measured(said)
    yield "| street | against | wanted | whole | without evidence | |"
    yield "|---|---|---|---|---|---|"
    for row in said["ratios"]:
        yield (
            f"| {row['clip']} | {row['against']} | {row['wanted']:g}x | {row['measured']:.1f}x "
            f"| {row['without_evidence']:.1f}x | {_met(row['met'])} |"
        )
    yield ""
    yield "| street | pipeline | CPU s per s of video | wanted at most | |"
    yield "|---|---|---|---|---|"
    for row in bounds(said["rows"]):
        yield (
            f"| {row['clip']} | {row['pipeline']} | {row['measured']:.3f} | {row['most']:g} ({row['why']}) "
            f"| {_met(row['met'])} |"
        )


def _floor(said: Mapping[str, Any]) -> Iterator[str]:
    yield "## Against the floor"
    yield ""
    yield (
        "Decoding alone of the pictures that had to be decoded, and the network alone on those that had to "
        "be looked at, against the whole pipeline; CPU seconds for a minute of video."
    )
    yield ""
    yield from _measured(said)
    yield "| street | decoding alone | network alone | whole pipeline | share | wanted | | without evidence |"
    yield "|---|---|---|---|---|---|---|---|"
    for row in said["rows"]:
        yield (
            f"| {row['clip']} | {row['decode_s']:.2f} ({row['to_decode']} pictures; the pipeline decoded "
            f"{row['pipeline_decoded']}) | {row['infer_s']:.2f} ({row['analysed']} pictures) "
            f"| {row['pipeline_s']:.2f} | {row['share']:.0%} | {FLOOR_WANTED:.0%} "
            f"| {_met(row['share'] >= FLOOR_WANTED)} | {row['share_without_evidence']:.0%} |"
        )


def _profile(said: Mapping[str, Any]) -> Iterator[str]:
    yield "## By thread and step"
    yield ""
    yield (
        "Sums are the kernel's clocks of the threads, their parts samples of 4 ms "
        "(`benchmarks/sampling.py`). `camera` is the thread that looks, `reader` receives from a camera, "
        "`evidence` makes stills and clips."
    )
    yield ""
    yield from _measured(said)
    for name, one in said["rows"].items():
        yield f"### {name[0].upper()}{name[1:]}"
        yield ""
        cameras = f"{one['cameras']} cameras, " if "cameras" in one else ""
        yield (
            f"{one['cost_ms']:.1f} ms of CPU per {one['per']}; {cameras}{one['analysed']} pictures analysed, "
            f"{one['events']} events."
        )
        yield ""
        yield "| thread | step | ms | share |"
        yield "|---|---|---|---|"
        for row in merged(one["rows"]):
            yield f"| {row['thread']} | {row['step']} | {row['ms']:.2f} | {row['share']:.1%} |"
        yield ""


def merged(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Put the small rows of a profile together in one, at the end.

    >>> small = {"thread": "camera", "step": "a", "ms": 0.1, "share": 0.001}
    >>> merged([small, {**small, "share": 0.9}, small])[1]
    {'thread': 'all', 'step': '2 smaller ones', 'ms': 0.2, 'share': 0.002}
    """
    large = [row for row in rows if row["share"] >= SMALL]
    small = [row for row in rows if row["share"] < SMALL]
    if not small:
        return large
    together = {key: round(sum(row[key] for row in small), 4) for key in ("ms", "share")}
    return [*large, {"thread": "all", "step": f"{len(small)} smaller ones", **together}]


def _steps(said: Mapping[str, Any]) -> Iterator[str]:
    yield "## Each step by itself"
    yield ""
    yield from _measured(said)
    yield "| step | CPU ms, median | 5 % | 95 % |"
    yield "|---|---|---|---|"
    for name, row in said["rows"]["steps"].items():
        yield f"| {name} | {row['ms']:.3f} | {row['low']:.3f} | {row['high']:.3f} |"


def _measured(said: Mapping[str, Any]) -> Iterator[str]:
    machine = said["machine"]
    yield (
        f"`{said['command']}`, {said['at'][:10]}, {machine['processor']}, {machine['cores']} cores, "
        f"{said['model']}, n = {said['n']} ({said['interval']})."
    )
    if warning := machine.get("warning"):
        yield f"{warning[0].upper()}{warning[1:]}."
    yield ""


def _met(met: object) -> str:
    return "met" if met else "NOT MET"


SECTIONS = {
    "cameras_per_core": _ratios,
    "floor": _floor,
    "cpu_profile": _profile,
    "stage_costs": _steps,
}
"""What the page is made of, in its order: the result file and what is told of it."""
