"""Ages of analysed pictures: classes, shares, quantiles, and when they are noted."""

from __future__ import annotations

import math
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from ingest.fleet.ages import BOUNDS_S, AgedPipeline, class_of, quantile, share_within
from ingest.pipeline import Pipeline
from ingest.sources import SourceStatus
from ingest.types import Frame


def test_a_quantile_lies_in_its_class() -> None:
    ages = {"0.1": 50, "1": 45, "2": 4, "inf": 1}
    assert quantile(ages, 0.5) == 0.1
    assert 0.75 < quantile(ages, 0.94) <= 1.0
    assert 1.5 < quantile(ages, 0.97) <= 2.0
    assert quantile(ages, 1.0) == math.inf
    assert quantile({}, 0.5) is None


def test_the_share_within_a_bound_is_exact() -> None:
    assert share_within({"0.1": 50, "1": 45, "2": 4, "inf": 1}, 1.0) == 0.95
    assert share_within({}, 1.0) is None


def test_each_bound_is_a_class_of_its_own() -> None:
    assert len({class_of(bound) for bound in BOUNDS_S}) == len(BOUNDS_S)
    assert class_of(BOUNDS_S[-1] + 0.1) == "inf"


@pytest.mark.parametrize("live", [True, False])
def test_the_age_of_a_live_picture_runs_to_the_end_of_its_analysis(
    live: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Pipeline, "__post_init__", lambda _: None)
    monkeypatch.setattr(Pipeline, "analyse", lambda *_: time.sleep(0.06))
    pipeline = AgedPipeline(SimpleNamespace(), live=live)  # type: ignore[arg-type]
    taken = (datetime.now(UTC) - timedelta(seconds=0.3)).timestamp()
    pipeline.ages, pipeline.lags, pipeline._status = Counter(), Counter(), SourceStatus(taken_at_s=taken)
    at = datetime.now(UTC) - timedelta(seconds=2.0)
    pipeline.analyse(Frame("a", 0, at, np.zeros((2, 2, 3), np.uint8)))
    assert sum(pipeline.ages.values()) == int(live)
    assert not live or share_within(pipeline.ages, 2.0) == 0.0
    assert not live or share_within(pipeline.lags, 0.3) == 0.0
    assert sum(pipeline.lags.values()) == int(live)
