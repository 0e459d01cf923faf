"""Put the operators' page on the app: `/` leads to `/desk/`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse
from nicegui import core, run, ui

from api.desk.desk import Desk
from api.desk.options import DeskOptions, options_from, remembered
from api.desk.screen import Screen
from api.desk.texts import HTML_LANG, language_of, say
from api.services import Services
from detector.errors import Failure

MOUNT: Final = "/desk"
_BUILD_S: Final = 30.0
_CSS: Final = (Path(__file__).parent / "desk.css").read_text(encoding="utf-8")
_ICON: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 26 26">'
    '<rect width="26" height="26" rx="6" fill="#1d4ed8"/>'
    '<path d="M4 19h18" stroke="#fff" stroke-width="3" stroke-linecap="round"/>'
    '<circle cx="13" cy="10.5" r="4.2" fill="none" stroke="#fff" stroke-width="2.4"/></svg>'
)


def mount(app: FastAPI, services: Services, options: DeskOptions | None = None) -> None:
    """Serve the page under `/desk/` and lead `/` there.

    Raises:
        WrongUse: a setting of the page makes no sense.
        Failure: NiceGUI, which can be started once per process, was started before.
    """
    if core.app.middleware_stack is not None:
        raise Failure("the page can be served once per process; build further apps without it.")
    chosen = options or options_from()
    app.add_api_route("/", _to_desk, include_in_schema=False)

    @ui.page("/", favicon=_ICON, response_timeout=_BUILD_S)
    async def desk_page(request: Request) -> None:
        await _build(request, services, chosen)

    ui.run_with(app, mount_path=MOUNT, title="Kerbwatch", tailwind=False, show_welcome_message=False)


async def _to_desk(request: Request) -> RedirectResponse:
    prefix = request.headers.get("X-Forwarded-Prefix", "")
    return RedirectResponse(f"{prefix}{MOUNT}/")


async def _build(request: Request, services: Services, options: DeskOptions) -> None:
    lang = language_of(remembered(request.cookies, "lang"), request.headers.get("accept-language"))
    operator = remembered(request.cookies, "operator") or ""
    desk = Desk(services, lang, operator, options.zone)
    await run.io_bound(desk.refresh)
    ui.page_title(say(lang, "title"))
    ui.add_head_html(f"<style>{_CSS}</style>")
    ui.run_javascript(f"document.documentElement.lang = '{HTML_LANG[lang]}'")
    Screen(desk, options).follow()
