from __future__ import annotations

import json
from datetime import timedelta

import httpx2
import pytest

from detector.errors import Failure, WrongUse
from training.verdicts.rows import Api, Verdict, read_verdicts


def pages(rows, size=2):
    """Answer as the API does, `size` decisions at a time."""

    def answer(request):
        after = int(request.url.params["after"])
        newer = [row for row in rows if row["entry"] > after]
        more = len(newer) > size
        return httpx2.Response(
            200, json={"verdicts": newer[:size], "next_after": newer[size - 1]["entry"] if more else None}
        )

    return httpx2.MockTransport(answer)


def test_a_file_of_lines_and_a_saved_answer_say_the_same(centre, tmp_path):
    for _ in range(3):
        centre.decide()
    saved = tmp_path / "saved.json"
    saved.write_text(json.dumps({"verdicts": centre.rows, "next_after": None}), encoding="utf-8")
    assert read_verdicts(str(centre.file)) == read_verdicts(str(saved))
    assert len(read_verdicts(str(saved))) == 3


def test_an_answer_that_somebody_indented(centre, tmp_path):
    centre.decide()
    saved = tmp_path / "saved.json"
    saved.write_text(json.dumps({"verdicts": centre.rows}, indent=2), encoding="utf-8")
    assert read_verdicts(str(saved)) == read_verdicts(str(centre.file))


def test_since(centre):
    for _ in range(3):
        centre.decide()
    rows = read_verdicts(str(centre.file))
    late = read_verdicts(str(centre.file), since=rows[1].reviewed_at)
    assert late == rows[1:]
    assert read_verdicts(str(centre.file), since=rows[2].reviewed_at + timedelta(seconds=1)) == ()


def test_pages_of_an_api_are_followed(centre):
    for _ in range(5):
        centre.decide()
    with Api("http://api", transport=pages(centre.rows)) as api:
        assert [row.entry for row in api.verdicts()] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (httpx2.Response(200, text="<html>"), "is no JSON"),
        (httpx2.Response(200, json={"cases": []}), "is it the Kerbwatch API"),
        (
            httpx2.Response(401, json={"detail": "this is not the token."}),
            "answered 401: this is not the token.",
        ),
        (httpx2.Response(500, text="oh"), "answered 500."),
        (httpx2.Response(200, json={"verdicts": [{"verdict": "confirm"}]}), "case_id: "),
        (httpx2.Response(200, json={"verdicts": [], "next_after": 0}), "do not go on"),
    ],
)
def test_what_is_no_answer_is_refused(answer, said):
    with (
        Api("http://api", transport=httpx2.MockTransport(lambda _: answer)) as api,
        pytest.raises(Failure, match=said) as raised,
    ):
        list(api.verdicts())
    assert "\n" not in str(raised.value)


def test_an_api_that_is_not_there_is_named():
    with pytest.raises(Failure, match="cannot be reached"):
        read_verdicts("http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"box": {"x0": 0.5, "y0": 0.2, "x1": 0.5, "y1": 0.4}}, "x1 must be greater"),
        ({"box": {"x0": 0.1, "y0": 0.2, "x1": 5e9, "y1": 0.4}}, "box.x1: "),
        ({"box": {"x0": float("nan"), "y0": 0.2, "x1": 0.5, "y1": 0.4}}, "box.x0: "),
        ({"confidence": 7}, "confidence: "),
        ({"verdict": "maybe"}, "verdict: "),
        ({"case_id": "../../etc"}, "case_id: "),
        ({"stills": [{"role": "far", "sha256": "../" * 21 + "a"}]}, "stills.0.sha256: "),
        ({"reviewed_at": "2026-11-23T01:00:00"}, "reviewed_at: "),
        ({"correction": {"box": {"x0": 0.5, "y0": 0.2, "x1": 0.4, "y1": 0.4}}}, "correction.box: "),
    ],
)
def test_a_line_that_is_no_verdict_is_named(centre, change, said):
    centre.decide()
    centre.decide(**change)
    with pytest.raises(Failure, match=said) as raised:
        read_verdicts(str(centre.file))
    assert f"{centre.file}:2: " in str(raised.value)
    assert "\n" not in str(raised.value)


def test_files_that_are_none(tmp_path):
    with pytest.raises(WrongUse, match="cannot be read"):
        read_verdicts(str(tmp_path / "nothing.jsonl"))
    with pytest.raises(WrongUse, match="cannot be read"):
        read_verdicts(str(tmp_path))
    (tmp_path / "a.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Failure, match="is no text"):
        read_verdicts(str(tmp_path / "a.jsonl"))
    (tmp_path / "b.jsonl").write_text("[1, 2]\n")
    with pytest.raises(Failure, match="wanted a verdict"):
        read_verdicts(str(tmp_path / "b.jsonl"))


def test_a_newer_api_may_say_more(centre):
    centre.decide(weather="rain")
    (row,) = read_verdicts(str(centre.file))
    assert isinstance(row, Verdict)
