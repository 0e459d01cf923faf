"""The operators' page in Debian's Chromium, on a real server with real evidence."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import av
import cv2
import httpx2
import numpy as np
import pytest
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
START = datetime(2026, 11, 23, 1, 15, tzinfo=UTC)
KINDS = (
    ("illegal_parking", "motor", "09009", "kerb-east"),
    ("street_vending", "", "09001", "square"),
    ("bin_overflow", "", "06042", "bins-04"),
    ("exposed_garbage", "", "06010", "footway-2"),
)
PATIENCE_S = 20.0
TILES = "https://maps.city.example/{z}/{x}/{y}.png"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium)"),
]


def street(number: int, moment: int = 0) -> np.ndarray:
    """A little street: sky, asphalt, kerb, one box that moves."""
    picture = np.full((360, 640, 3), (90, 90, 90), np.uint8)
    picture[:140] = (200, 170, 120)
    picture[200:206] = (230, 230, 230)
    left = 60 + 90 * number + 4 * moment
    cv2.rectangle(picture, (left, 180), (left + 120, 250), (40, 60 * number % 255, 180), -1)
    return picture


def jpeg(picture: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", picture)[1].tobytes()


def mp4(number: int) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        _encode(path, number)
        return path.read_bytes()


def _encode(path: Path, number: int) -> None:
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for moment in range(20):
            frame = av.VideoFrame.from_ndarray(street(number, moment), format="bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@dataclass
class Kerbwatch:
    """A running server and what a machine or another operator would do to it."""

    url: str
    http: httpx2.Client

    def put(self, role: str, media_type: str, content: bytes) -> dict[str, Any]:
        sha256 = hashlib.sha256(content).hexdigest()
        answer = self.http.put(
            f"/v1/evidence/{sha256}", content=content, headers={"content-type": media_type}
        )
        assert answer.status_code in {200, 201}, answer.text
        return {
            "role": role,
            "sha256": sha256,
            "media_type": media_type,
            "size_bytes": len(content),
            "frame_index": 7,
            "at": START.isoformat(),
        }

    def evidence(self, number: int) -> list[dict[str, Any]]:
        far = street(number)
        cv2.rectangle(far, (50 + 90 * number, 170), (190 + 90 * number, 260), (0, 0, 255), 3)
        near = far[150:280, max(0, 30 + 90 * number) : 210 + 90 * number]
        return [
            self.put("far", "image/jpeg", jpeg(far)),
            self.put("near", "image/jpeg", jpeg(near)),
            self.put("before", "image/jpeg", jpeg(street(-2))),
            self.put("clip", "video/mp4", mp4(number)),
        ]

    def report(self, number: int, *, evidence: bool = True) -> str:
        kind, variant, code, zone = KINDS[number % len(KINDS)]
        seen = START + timedelta(seconds=240 + number)
        body = {
            "report_id": str(UUID(int=1000 + number)),
            "kind": kind,
            "variant": variant,
            "code": {"scheme": "GB/T 47678.5", "version": "2026", "code": code},
            "source_id": f"cam-{number}",
            "zone_id": zone,
            "site": "Nandajie",
            "started_at": START.isoformat(),
            "observed_at": seen.isoformat(),
            "location": {
                "lat": 31.779 + number * 2e-4,
                "lon": 119.951,
                "error_m": 6.0,
                "method": "homography",
            },
            "confidence": 0.91,
            "model": "street@1",
            "label": "car",
            "box": {"x0": 0.1, "y0": 0.5, "x1": 0.3, "y1": 0.7},
            "evidence": self.evidence(number % len(KINDS)) if evidence else [],
        }
        answer = self.http.post("/v1/reports", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["case_id"])

    def case(self, case_id: str) -> dict[str, Any]:
        return dict(self.http.get(f"/v1/cases/{case_id}").json())

    def received(self) -> set[str]:
        entries = self.http.get("/sandbox/received").json()
        return {entry["event"]["data"]["case_id"] for entry in entries}

    def review(self, case_id: str, verdict: str, operator: str) -> None:
        answer = self.http.post(
            f"/v1/cases/{case_id}/reviews", json={"verdict": verdict, "operator": operator}
        )
        assert answer.is_success, answer.text


@pytest.fixture
def kerbwatch(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kerbwatch]:
    """A server of its own; an indirect parameter holds more environment for it."""
    more: dict[str, str] = getattr(request, "param", {})
    command = [sys.executable, "-m", "api.server", "--data", str(tmp_path / "data"), "--port", "0"]
    log = (tmp_path / "server.log").open("w", encoding="utf-8")
    with (
        log,
        subprocess.Popen(
            [*command, "--dispatch", "sandbox", "--sandbox-handled-after", "3600"],
            cwd=ROOT,
            env={**os.environ, **more},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as server,
    ):
        assert server.stdout is not None
        line = server.stdout.readline()
        assert line, (tmp_path / "server.log").read_text(encoding="utf-8")
        url = json.loads(line)["url"]
        headers = {"authorization": f"Bearer {more.get('KERBWATCH_TOKEN', 'none')}"}
        with httpx2.Client(base_url=url, timeout=30.0, trust_env=False, headers=headers) as http:
            yield Kerbwatch(url, http)
        server.terminate()
        server.wait(timeout=20)
    told = (tmp_path / "server.log").read_text(encoding="utf-8")
    assert "Traceback" not in told, told


@dataclass
class Browser:
    """A Chromium that keeps a record of what a page should not do."""

    context: BrowserContext
    url: str
    complaints: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def open(self, path: str = "/") -> Page:
        page = self.context.pages[0] if self.context.pages else self.context.new_page()
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._request)
        page.set_default_timeout(PATIENCE_S * 1000)
        page.goto(self.url + path)
        page.wait_for_function("window.did_handshake === true")
        return page

    def _console(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text}")

    def _request(self, request: Any) -> None:
        if not request.url.startswith((self.url, self.url.replace("http:", "ws:"), "data:", "blob:")):
            self.foreign.append(request.url)


@pytest.fixture
def browse(kerbwatch: Kerbwatch, tmp_path: Path) -> Iterator[Callable[..., Browser]]:
    expect.set_options(timeout=PATIENCE_S * 1000)
    with sync_playwright() as playwright:
        opened: list[Browser] = []

        def start(locale: str = "en-GB", width: int = 1280, height: int = 720) -> Browser:
            context = playwright.chromium.launch_persistent_context(
                tmp_path / f"profile-{len(opened)}",
                executable_path=CHROMIUM,
                args=ARGUMENTS,
                locale=locale,
                viewport={"width": width, "height": height},
            )
            opened.append(Browser(context, kerbwatch.url))
            return opened[-1]

        yield start
        for browser in opened:
            browser.context.close()
        for browser in opened:
            assert browser.complaints == []
            assert browser.foreign == []


def until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S:.0f} s: {what}"
        time.sleep(0.1)


def settle(page: Page, case_id: str) -> None:
    """Wait until a case is on the screen, and for the moment in which verdicts are not taken."""
    expect(page.locator(f'.kw-row[data-case="{case_id}"]')).to_have_attribute("aria-selected", "true")
    expect(page.locator(".kw-bar")).to_be_visible()
    page.wait_for_timeout(350)


def nothing_is_cut(page: Page) -> bool:
    """Say whether everything that has to be readable lies inside the window."""
    return bool(
        page.evaluate(
            """() => {
              const inside = (node) => {
                const box = node.getBoundingClientRect();
                return box.right <= innerWidth + 1 && box.left >= -1 && box.bottom <= innerHeight + 1;
              };
              const nodes = document.querySelectorAll('.kw-top > *, .kw-head, .kw-stage, .kw-fact, .kw-clip, .kw-map, .kw-act');
              return [...nodes].every(inside) && document.documentElement.scrollWidth <= innerWidth;
            }"""
        )
    )


def test_an_operator_reviews_four_cases(kerbwatch: Kerbwatch, browse: Callable[..., Browser]) -> None:
    cases = [kerbwatch.report(number) for number in range(4)]
    page = browse().open()
    rows = page.locator(".kw-row")
    expect(rows).to_have_count(4)
    expect(rows.first).to_have_attribute("data-case", cases[3])
    settle(page, cases[3])

    picture = page.locator(".kw-picture img")
    until(lambda: picture.evaluate("img => img.naturalWidth") == 640, "the far still")
    page.wait_for_function(
        "() => { const v = document.querySelector('video'); return v && v.readyState >= 2; }"
    )
    assert page.locator("video").evaluate("v => [v.videoWidth, v.muted, v.loop]") == [640, True, True]
    until(lambda: page.locator("video").evaluate("v => v.currentTime") > 0, "the clip runs")
    expect(page.locator(".kw-map .leaflet-marker-icon")).to_have_count(1)
    expect(page.locator(".kw-map path.kw-map-error")).to_have_count(1)
    expect(page.locator(".kw-map-note")).to_contain_text("No base map configured")
    expect(page.locator(".kw-facts")).to_contain_text("06010 · GB/T 47678.5-2026")
    expect(page.locator(".kw-facts")).to_contain_text("2026-11-23 09:19:03 +08:00")
    assert nothing_is_cut(page)

    page.keyboard.press("p")
    expect(page.locator('.kw-pill[data-role="near"]')).to_have_attribute("aria-selected", "true")

    page.locator('input[name="operator"]').fill("cr cr")
    page.keyboard.press("Enter")
    expect(page.locator('input[name="operator"]')).not_to_be_focused()
    page.keyboard.press("c")
    settle(page, cases[2])
    expect(page.locator(".kw-message")).to_contain_text("Confirmed: Exposed garbage")
    until(lambda: kerbwatch.received() == {cases[3]}, "the sandbox received the confirmed case")
    until(lambda: kerbwatch.case(cases[3])["status"] == "dispatched", "the receipt")
    assert [review["operator"] for review in kerbwatch.case(cases[3])["reviews"]] == ["cr cr"]

    page.keyboard.press("r")
    expect(page.locator(".kw-reason")).to_have_count(5)
    assert nothing_is_cut(page)
    page.keyboard.press("2")
    settle(page, cases[1])
    rejected = kerbwatch.case(cases[2])
    assert (rejected["status"], rejected["reviews"][0]["reason"]) == ("rejected", "wrong_kind")

    page.locator('[data-act="confirm"]').click()
    settle(page, cases[0])
    page.keyboard.press("Enter")
    expect(page.locator(".kw-none")).to_contain_text("Nothing to review")
    until(lambda: kerbwatch.received() == {cases[0], cases[1], cases[3]}, "all confirmed cases are sent")

    page.locator('[data-tab="filed"]').click()
    expect(page.locator(".kw-row")).to_have_count(3)
    expect(page.locator(".kw-decision")).to_contain_text("received by the city platform")
    page.locator('[data-tab="rejected"]').click()
    expect(page.locator(".kw-decision")).to_contain_text("Rejected by cr cr")


def test_live_list_keeps_the_selection(kerbwatch: Kerbwatch, browse: Callable[..., Browser]) -> None:
    page = browse().open()
    expect(page.locator(".kw-none")).to_contain_text("No cases yet")
    first = kerbwatch.report(0)
    settle(page, first)
    second = kerbwatch.report(1)
    expect(page.locator(".kw-row")).to_have_count(2, timeout=8000)
    page.keyboard.press("k")
    settle(page, second)
    page.keyboard.press("ArrowDown")
    settle(page, first)

    third = kerbwatch.report(2)
    expect(page.locator(f'.kw-row[data-case="{third}"]')).to_be_visible(timeout=8000)
    settle(page, first)

    kerbwatch.review(first, "reject", "wang.wei")
    expect(page.locator(".kw-decision")).to_contain_text("Rejected by wang.wei", timeout=8000)
    expect(page.locator('[data-act="confirm"]')).to_have_count(0)
    expect(page.locator(".kw-row")).to_have_count(2)
    expect(page.locator(".kw-waiting")).to_have_text("2 to review")


def test_two_quick_presses_confirm_one_case(kerbwatch: Kerbwatch, browse: Callable[..., Browser]) -> None:
    cases = [kerbwatch.report(number) for number in range(3)]
    page = browse().open()
    settle(page, cases[2])
    press = "document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'c', bubbles: true }));"
    page.evaluate(f"() => {{ {press * 3} }}")
    settle(page, cases[1])
    page.wait_for_timeout(500)
    assert [kerbwatch.case(case_id)["status"] for case_id in cases[:2]] == ["reported", "reported"]


def test_chinese(kerbwatch: Kerbwatch, browse: Callable[..., Browser]) -> None:
    case_id = kerbwatch.report(0)
    browser = browse()
    page = browser.open()
    settle(page, case_id)
    expect(page.locator("h1")).to_have_text("Illegal parking, motor vehicle · kerb-east")
    page.keyboard.press("l")
    expect(page.locator("h1")).to_have_text("违法停车，机动车 · kerb-east")
    expect(page.locator('[data-act="confirm"]')).to_contain_text("确认")
    expect(page.locator(".kw-waiting")).to_have_text("待核实 1 件")
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    assert nothing_is_cut(page)

    page.keyboard.press("?")
    expect(page.locator("dialog.kw-help")).to_contain_text("快捷键")
    page.keyboard.press("c")
    page.keyboard.press("Escape")
    expect(page.locator("dialog.kw-help")).to_be_hidden()
    assert kerbwatch.case(case_id)["status"] == "reported"

    page.reload()
    expect(page.locator("h1")).to_have_text("违法停车，机动车 · kerb-east")
    page.locator('[data-act="language"]').click()
    expect(page.locator(".kw-waiting")).to_have_text("1 to review")


def test_language_of_the_browser(kerbwatch: Kerbwatch, browse: Callable[..., Browser]) -> None:
    page = browse(locale="zh-CN", width=1920, height=1080).open()
    expect(page.locator(".kw-none")).to_contain_text("尚无案件")
    assert page.title() == "Kerbwatch 审核台"


def test_keys_belong_to_the_field_while_typing(kerbwatch: Kerbwatch, browse: Callable[..., Browser]) -> None:
    case_id = kerbwatch.report(0)
    browser = browse()
    page = browser.open()
    settle(page, case_id)
    page.locator('input[name="operator"]').click()
    page.keyboard.type("carl jr")
    page.keyboard.press("Enter")
    page.wait_for_timeout(500)
    assert kerbwatch.case(case_id)["status"] == "reported"
    page.locator('[data-act="help"]').focus()
    page.keyboard.press("Enter")
    expect(page.locator("dialog.kw-help")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator("dialog.kw-help")).to_be_hidden()
    assert kerbwatch.case(case_id)["status"] == "reported"
    page.reload()
    expect(page.locator('input[name="operator"]')).to_have_value("carl jr")


@pytest.mark.parametrize(
    "kerbwatch",
    [{"KERBWATCH_TOKEN": "s3cret", "KERBWATCH_TILES": TILES, "KERBWATCH_TILES_CREDIT": "City survey"}],
    indirect=True,
)
def test_behind_a_token_with_the_base_map_of_a_city(
    kerbwatch: Kerbwatch, browse: Callable[..., Browser]
) -> None:
    case_id = kerbwatch.report(0)
    browser = browse()
    assert httpx2.get(f"{kerbwatch.url}/desk/", trust_env=False).status_code == 401
    tile = cv2.imencode(".png", np.full((256, 256, 3), 230, np.uint8))[1].tobytes()
    browser.context.route(
        "https://maps.city.example/**", lambda route: route.fulfill(body=tile, content_type="image/png")
    )
    page = browser.open("/login?token=s3cret")
    settle(page, case_id)
    until(lambda: page.locator(".kw-picture img").evaluate("img => img.naturalWidth") == 640, "the far still")
    page.wait_for_function(
        "() => { const v = document.querySelector('video'); return v && v.readyState >= 2; }"
    )
    expect(page.locator(".kw-map .leaflet-tile-loaded").first).to_be_attached()
    expect(page.locator(".leaflet-control-attribution")).to_contain_text("City survey")
    expect(page.locator(".kw-map-note")).to_have_count(0)
    assert browser.foreign
    assert all(url.startswith("https://maps.city.example/") for url in browser.foreign)
    browser.foreign.clear()
    page.keyboard.press("c")
    until(lambda: kerbwatch.case(case_id)["status"] == "dispatched", "the receipt")


@pytest.mark.slow
def test_two_thousand_cases(kerbwatch: Kerbwatch, browse: Callable[..., Browser]) -> None:
    for number in range(2000):
        kerbwatch.report(number, evidence=False)
    page = browse().open()
    expect(page.locator(".kw-row")).to_have_count(200)
    expect(page.locator(".kw-more")).to_have_text("The newest 200 of 2000 cases")
    assert (
        re.sub(r"\s+", " ", page.locator(".kw-tabs").inner_text())
        == "To review 2000 Filed 0 Rejected 0 All 2000"
    )
    rows = page.locator(".kw-rows")
    rows.evaluate("node => { node.scrollTop = 3000; }")
    newest = kerbwatch.report(2000, evidence=False)
    expect(page.locator(f'.kw-row[data-case="{newest}"]')).to_have_count(1, timeout=8000)
    assert rows.evaluate("node => node.scrollTop") > 2500
    page.locator("select").select_option("bin_overflow")
    expect(page.locator(".kw-more")).to_have_text("The newest 200 cases; there are older ones")
    expect(page.locator(".kw-row").first).to_contain_text("Overflowing bin")
