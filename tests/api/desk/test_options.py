from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from api.desk.options import DeskOptions, options_from, remembered
from detector.errors import WrongUse

TILES = "https://maps.city.example/{z}/{x}/{y}.png"


def test_defaults_need_no_internet() -> None:
    assert options_from({}) == DeskOptions(zone=ZoneInfo("Asia/Shanghai"))


def test_a_city_plugs_its_base_map_in() -> None:
    environment = {"KERBWATCH_TILES": TILES, "KERBWATCH_TILES_CREDIT": "City survey"}
    options = options_from(environment)
    assert (options.tiles, options.tiles_credit) == (TILES, "City survey")


@pytest.mark.parametrize(
    "environment",
    [
        {"KERBWATCH_TIMEZONE": "Mars/Olympus"},
        {"KERBWATCH_TIMEZONE": "../x"},
        {"KERBWATCH_TILES": "https://x/{z}"},
    ],
)
def test_nonsense_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(WrongUse, match="KERBWATCH_"):
        options_from(environment)


def test_a_word_is_remembered_whatever_is_in_it() -> None:
    script = DeskOptions.remember("operator", 'li; na="娜"')
    assert script.startswith('document.cookie = "kerbwatch_operator=')
    kept = script.split("kerbwatch_operator=")[1].split(";")[0]
    assert remembered({"kerbwatch_operator": kept}, "operator") == 'li; na="娜"'
    assert remembered({}, "operator") is None
