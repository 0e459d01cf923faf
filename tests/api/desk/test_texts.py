from __future__ import annotations

import doctest
import string
import tomllib
from pathlib import Path
from typing import get_args

import pytest

from api.correction import REASON_CODES
from api.desk import texts
from api.desk.texts import EN, TEXTS, ZH, language_of
from api.desk.views import KINDS, REASONS, TABS
from api.types import CaseStatus
from ingest.report import GeoMethod, Role

ROOT = Path(__file__).parents[3]
CLASSES = tomllib.loads((ROOT / "datasets" / "classes.toml").read_text(encoding="utf-8"))


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_examples_in_docstrings() -> None:
    assert doctest.testmod(texts).failed == 0


def test_every_key_has_both_languages() -> None:
    assert EN.keys() == ZH.keys()


@pytest.mark.parametrize("key", sorted(EN))
def test_both_languages_are_filled_and_ask_for_the_same_values(key: str) -> None:
    assert EN[key].strip()
    assert ZH[key].strip()
    assert fields(EN[key]) == fields(ZH[key])


def test_everything_a_case_may_hold_has_a_name() -> None:
    wanted = {f"kind.{kind}" for kind in KINDS} | {f"status.{status}" for status in CaseStatus}
    wanted |= {f"method.{method}" for method in get_args(GeoMethod)} | {
        f"role.{role}" for role in get_args(Role)
    }
    wanted |= {f"tab.{tab}" for tab in TABS} | {f"reason.{reason}" for reason in (*REASONS, *REASON_CODES)}
    wanted |= {
        f"variant.{code['variant']}"
        for event in CLASSES["event"].values()
        for code in event["code"]
        if code.get("variant")
    }
    assert wanted <= EN.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_are_named_as_in_the_class_table(kind: str) -> None:
    names = CLASSES["event"][kind]
    assert (EN[f"kind.{kind}"], ZH[f"kind.{kind}"]) == (names["en"], names["zh"])


def test_chinese_is_chinese() -> None:
    latin = [
        key
        for key, text in ZH.items()
        if text.isascii() and key not in {"language", "language_hint", "confidence_short"}
    ]
    assert latin == []


@pytest.mark.parametrize(
    ("remembered", "header", "lang"),
    [
        (None, "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        (None, "en-GB,en;q=0.9,zh;q=0.1", "en"),
        (None, "de, zh;q=0", "en"),
        (None, "zh;q=nonsense", "en"),
        (None, "", "en"),
        (None, None, "en"),
        ("zh", "en", "zh"),
        ("klingon", "zh", "zh"),
    ],
)
def test_language_of(remembered: str | None, header: str | None, lang: str) -> None:
    assert language_of(remembered, header) == lang


def test_every_text_is_used_by_some_file() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "api" / "desk").glob("*.py"))
    code = code.replace((ROOT / "api" / "desk" / "texts.py").read_text(encoding="utf-8"), "")
    families = (
        "kind.",
        "variant.",
        "status.",
        "method.",
        "role.",
        "tab.",
        "reason.",
        "done.",
        "decided.",
        "empty.",
    )
    unused = [key for key in TEXTS["en"] if not key.startswith(families) and f'"{key}"' not in code]
    assert unused == []
