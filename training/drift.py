"""Does the model still do in the field what its validation promised? Pure.

Three questions, each with its own rule, and no answer where there is too little to go by:

1. **Precision.** Of the things that operators decided on, how many were there? The share (Wilson interval)
   is held against what the calibration of the val lists promises for boxes of these scores. `drifted`: the
   whole interval lies below the lower end of the promise; `watch`: below its middle.
2. **Scores.** Are events scored as they were? The population stability index (PSI), less what chance alone
   gives, against the time before: over 0.1 `watch`, over 0.25 `drifted`. True things are held against true
   boxes of the val lists too, for `watch` at most: an event's score is the mean over its sightings.
3. **Cameras.** One whose share is below that of the others (binomial test, Bonferroni over the cameras),
   that fell silent, or that reports three times as much as before is `watch`: likely the camera, not the
   model.

Decisions that say nothing about what is in the picture (duplicates, unclear pictures, `auto`) count in no
share. Source: Siddiqi, Credit Risk Scorecards, 2006 (PSI and its limits); Wilson 1927.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import numpy as np
from scipy.stats import binomtest

from training.evaluation.intervals import wilson
from training.verdicts.judgement import judge
from training.verdicts.promise import SCORES_MIN, Promise, Share, promise_of, psi_beyond_chance
from training.verdicts.rows import Verdict

Status = Literal["too_few", "ok", "watch", "drifted"]
ORDER: Final[tuple[Status, ...]] = ("too_few", "ok", "watch", "drifted")

DECIDED_MIN: Final = 50
"""Decisions about a class from which its precision is judged: the interval is then some 25 points wide."""
CAMERA_MIN: Final = 20
PSI_WATCH: Final = 0.1
PSI_DRIFTED: Final = 0.25
CAMERA_P: Final = 0.05
FLOOD: Final = 3.0
SILENT_FROM: Final = 10.0
"""Events to be expected of a camera from which none at all is no chance (e^-10)."""
BINS: Final = 10


@dataclass(frozen=True, slots=True)
class ClassDrift:
    """One class. `right` of `decided` things were there; None where there is nothing to compare with."""

    label: str
    decided: int
    right: int
    share: Share
    promised: Share | None
    basis: str
    psi_before: float | None
    psi_val: float | None
    status: Status
    why: str


@dataclass(frozen=True, slots=True)
class CameraDrift:
    """One camera; events per day in the time looked at and before it (None: there is no time before)."""

    source_id: str
    decided: int
    right: int
    share: Share
    others: float | None
    per_day: float
    per_day_before: float | None
    status: Status
    why: str


@dataclass(frozen=True, slots=True)
class Drift:
    """The whole report."""

    model: str
    since: datetime
    until: datetime
    events: int
    decided: int
    undecided: int
    classes: tuple[ClassDrift, ...]
    cameras: tuple[CameraDrift, ...]
    status: Status


def measure_drift(
    rows: Iterable[Verdict], model: str, metrics: Mapping[str, Any], days: float = 30.0
) -> Drift | None:
    """Compare the last days of a model with its validation and with the time before.

    Args:
        rows: decisions, of any model and time.
        model: name@version; only its events count.
        metrics: its metrics.json.
        days: how far back from its newest event.

    Returns:
        None where there is no event of this model.
    """
    own = sorted((row for row in rows if row.model == model), key=lambda row: (row.observed_at, row.case_id))
    if not own:
        return None
    until = own[-1].observed_at
    since = until - timedelta(days=days)
    now = [row for row in own if row.observed_at > since]
    before = [row for row in own if row.observed_at <= since]
    labels = sorted({row.label for row in now})
    classes = tuple(_class(label, now, before, promise_of(metrics, label)) for label in labels)
    days_before = (since - own[0].observed_at) / timedelta(days=1) if before else 0.0
    cameras = _cameras(now, before, days, days_before)
    decided = sum(_is_right(row) is not None for row in now)
    parts = [*(one.status for one in classes), *(one.status for one in cameras)]
    return Drift(model, since, until, len(now), decided, len(now) - decided, classes, cameras, worst(parts))


def worst(parts: Iterable[Status]) -> Status:
    """Give the most serious status.

    >>> worst(["ok", "too_few", "watch"]), worst([])
    ('watch', 'too_few')
    """
    return max(parts, key=ORDER.index, default="too_few")


def _is_right(row: Verdict) -> bool | None:
    """Say whether what was claimed is there; None where the decision does not say."""
    said = judge(row)
    if not said.teaches:
        return None
    return not any(claim.label == row.label for claim in said.absent)


def _decided(rows: Iterable[Verdict]) -> tuple[int, int]:
    """Give how many are right, and of how many."""
    said = [right for right in map(_is_right, rows) if right is not None]
    return sum(said), len(said)


def _share(right: int, decided: int) -> Share:
    low, high = wilson(right, decided)
    return low, right / decided if decided else float("nan"), high


UNKNOWN: tuple[Status, str] = ("too_few", "the model's metrics say nothing of it")


def _class(label: str, now: list[Verdict], before: list[Verdict], promise: Promise | None) -> ClassDrift:
    now, before = ([row for row in part if row.label == label] for part in (now, before))
    right, decided = _decided(now)
    share = _share(right, decided)
    judged = [row.confidence for row in now if _is_right(row) is not None]
    promised = promise.precision(judged) if promise and judged else None
    psi_before, chance_before = _psi_of([row.confidence for row in before], [row.confidence for row in now])
    psi_val, chance_val = _psi_val(promise, now)
    found = [
        _precision_status(decided, share, promised) if promise else UNKNOWN,
        _psi_status(psi_before, chance_before, "the time before"),
        _psi_status(psi_val, chance_val, "the val lists", at_most="watch"),
    ]
    status = worst(each for each, _ in found)
    return ClassDrift(
        label,
        decided,
        right,
        share,
        promised,
        promise.basis if promise else "none",
        psi_before,
        psi_val,
        status,
        "; ".join(why for each, why in found if why and each == status),
    )


def _precision_status(decided: int, share: Share, promised: Share | None) -> tuple[Status, str]:
    if decided < DECIDED_MIN or promised is None:
        return "too_few", f"{decided} decisions, {DECIDED_MIN} are wanted"
    said = f"at most {share[2]:.2f} of them are right, {promised[1]:.2f} was promised"
    if share[2] < promised[0]:
        return "drifted", said
    return ("watch", said) if share[2] < promised[1] else ("ok", "")


def _psi_status(
    psi: float | None, chance: float, against: str, at_most: Status = "drifted"
) -> tuple[Status, str]:
    if psi is None:
        return "too_few", ""
    beyond = psi - chance
    status: Status = "drifted" if beyond > PSI_DRIFTED else "watch" if beyond > PSI_WATCH else "ok"
    status = min(status, at_most, key=ORDER.index)
    return status, f"scores differ from {against} (PSI {psi:.2f})" if status != "ok" else ""


def _psi_val(promise: Promise | None, now: Iterable[Verdict]) -> tuple[float | None, float]:
    """Compare the scores of true things, from the threshold on, with those of right boxes in validation."""
    if promise is None or not promise.right:
        return None, 0.0
    whole = np.array(promise.lows) >= promise.score_min - 1e-6  # a bin that the threshold cuts is left out
    if not whole.any():
        return None, 0.0
    lows, edges = np.array(promise.lows)[whole], np.array(promise.edges)[whole]
    scores = [row.confidence for row in now if _is_right(row) and row.confidence >= lows[0]]
    places = np.minimum(np.searchsorted(edges, scores, side="right"), len(edges) - 1)
    counts = np.bincount(places, minlength=len(edges))
    return psi_beyond_chance(np.array(promise.right)[whole], counts.astype(np.float64))


def _psi_of(reference: Sequence[float], scores: Sequence[float]) -> tuple[float | None, float]:
    """Compare two sets of scores in bins that hold a tenth of the reference each."""
    if len(reference) < SCORES_MIN:
        return None, 0.0
    inner = np.unique(np.quantile(reference, np.linspace(0, 1, BINS + 1)[1:-1]))
    sides = (
        np.bincount(np.searchsorted(inner, part), minlength=len(inner) + 1) for part in (reference, scores)
    )
    old, new = (side.astype(float) for side in sides)
    return psi_beyond_chance(old, new)


def _cameras(
    now: list[Verdict], before: list[Verdict], days: float, days_before: float
) -> tuple[CameraDrift, ...]:
    names = sorted({row.source_id for row in (*now, *before)})
    here, earlier = (Counter(row.source_id for row in part) for part in (now, before))
    decided = {name: _decided(row for row in now if row.source_id == name) for name in names}
    right_all, decided_all = (sum(pair[side] for pair in decided.values()) for side in (0, 1))
    found = []
    for name in names:
        right, of = decided[name]
        others = (right_all - right) / (decided_all - of) if decided_all > of else None
        per_day = here[name] / days
        per_day_before = earlier[name] / days_before if days_before >= 1 else None
        parts = [
            _camera_share(right, of, others, len(names)),
            _camera_count(here[name], per_day, per_day_before, days),
        ]
        status = worst(each for each, _ in parts)
        why = "; ".join(why for each, why in parts if why and each == status)
        found.append(
            CameraDrift(name, of, right, _share(right, of), others, per_day, per_day_before, status, why)
        )
    return tuple(found)


def _camera_share(right: int, decided: int, others: float | None, cameras: int) -> tuple[Status, str]:
    if others is None or decided < CAMERA_MIN:
        return "too_few", ""
    p = float(binomtest(right, decided, others, alternative="less").pvalue) * cameras
    if p >= CAMERA_P:
        return "ok", ""
    return "watch", f"{right} of {decided} right, {others:.2f} at the other cameras"


def _camera_count(count: int, per_day: float, before: float | None, days: float) -> tuple[Status, str]:
    if before is None:
        return "too_few", ""
    if count == 0 and before * days >= SILENT_FROM:
        return "watch", f"silent, {before:.1f} a day before"
    if count >= CAMERA_MIN and per_day > FLOOD * before:
        return "watch", f"{per_day:.1f} a day, {before:.1f} before"
    return "ok", ""


def table(report: Drift) -> str:
    """Lay a report out for people."""
    lines = [
        f"{report.model}, {report.since:%Y-%m-%d} to {report.until:%Y-%m-%d}: {report.status}",
        f"{report.events} events, {report.decided} decided, {report.undecided} say nothing of the picture",
        "",
        f"{'class':<16}{'right':>12}{'share':>22}{'promised':>10}{'PSI before':>12}{'PSI val':>9}  status",
    ]
    for one in report.classes:
        promised = f"{one.promised[1]:.2f}" if one.promised else "-"
        lines.append(
            f"{one.label:<16}{f'{one.right} of {one.decided}':>12}{_said(one.share):>22}{promised:>10}"
            f"{_number(one.psi_before):>12}{_number(one.psi_val):>9}  {one.status}{_because(one.why)}"
        )
    lines += ["", f"{'camera':<16}{'right':>12}{'share':>22}{'a day':>10}{'before':>12}{'':>9}  status"]
    for camera in report.cameras:
        lines.append(
            f"{camera.source_id:<16}{f'{camera.right} of {camera.decided}':>12}{_said(camera.share):>22}"
            f"{camera.per_day:>10.1f}{_number(camera.per_day_before):>12}{'':>9}  "
            f"{camera.status}{_because(camera.why)}"
        )
    return "\n".join(lines)


def _said(share: Share) -> str:
    low, middle, high = share
    return "-" if math.isnan(middle) else f"{middle:.2f} ({low:.2f} to {high:.2f})"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _because(why: str) -> str:
    return f": {why}" if why else ""
