"""What a city may set about the page, and what a browser remembers. No NiceGUI."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final
from urllib.parse import quote, unquote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from detector.errors import WrongUse

COOKIE_PREFIX: Final = "kerbwatch_"
COOKIE_AGE_S: Final = 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class DeskOptions:
    """Settings of the page.

    Args:
        zone: time zone in which the operators live.
        tiles: URL template of an approved base map (web Mercator, WGS 84 or CGCS2000), empty for none: by law
            only approved base maps may be shown, so none is built in and nothing is fetched from outside.
        tiles_credit: attribution that its owner asks for.
    """

    zone: tzinfo
    tiles: str = ""
    tiles_credit: str = ""

    @staticmethod
    def remember(name: str, value: str) -> str:
        """Give the JavaScript that keeps a word in this browser for a year."""
        cookie = f"{COOKIE_PREFIX}{name}={quote(value)};path=/;max-age={COOKIE_AGE_S};samesite=strict"
        return f"document.cookie = {json.dumps(cookie)}"


def remembered(cookies: Mapping[str, str], name: str) -> str | None:
    """Give a word that this browser kept."""
    kept = cookies.get(f"{COOKIE_PREFIX}{name}")
    return unquote(kept) if kept else None


def options_from(environment: Mapping[str, str] = os.environ) -> DeskOptions:
    """Read KERBWATCH_TIMEZONE (default Asia/Shanghai), KERBWATCH_TILES and KERBWATCH_TILES_CREDIT.

    Raises:
        WrongUse: no such time zone, or a template without {z}, {x} and {y}.
    """
    name = environment.get("KERBWATCH_TIMEZONE", "Asia/Shanghai")
    try:
        zone = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise WrongUse(f"KERBWATCH_TIMEZONE: there is no time zone {name!r}.") from error
    tiles = environment.get("KERBWATCH_TILES", "")
    if tiles and not all(part in tiles for part in ("{z}", "{x}", "{y}")):
        raise WrongUse("KERBWATCH_TILES: a URL template needs {z}, {x} and {y}.")
    return DeskOptions(zone=zone, tiles=tiles, tiles_credit=environment.get("KERBWATCH_TILES_CREDIT", ""))
