"""One browser's screen: the components of the page, kept in step with one `Desk`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from nicegui import run, ui
from nicegui.events import GenericEventArguments

from api.desk import parts, views
from api.desk.desk import SHOWN_LIMIT, Desk
from api.desk.map import CaseMap
from api.desk.options import DeskOptions
from api.desk.texts import HTML_LANG, LANGS, say
from api.types import Case

POLL_S: Final = 1.0
PREFETCHED: Final = 2
VERDICT_KEYS: Final = ("c", "Enter")
REASON_KEYS: Final = tuple(str(number + 1) for number in range(len(views.REASONS)))
KEYS: Final = (*VERDICT_KEYS, *REASON_KEYS, "r", "j", "k", "ArrowDown", "ArrowUp", "p", "l", "?", "Escape")
HELP: Final = (
    ("help.next", ("J", "↓")),
    ("help.previous", ("K", "↑")),
    ("help.confirm", ("C", "Enter")),
    ("help.reject", ("R", "1 … 5")),
    ("help.picture", ("P",)),
    ("help.language", ("L",)),
    ("help.help", ("?",)),
    ("help.escape", ("Esc",)),
)


class Screen:
    """Build the page of one browser and follow its desk."""

    def __init__(self, desk: Desk, options: DeskOptions) -> None:
        self._desk = desk
        self._options = options
        self._turn = asyncio.Lock()
        self._help_open = False
        self._build()
        self._show()

    # -- building --

    def _build(self) -> None:
        self._keys = parts.DeskKeys().on("press", self._press)
        self._keys.show(keys=list(KEYS), verdicts=list(VERDICT_KEYS))
        with ui.element("div").classes("kw"):
            self._top = parts.DeskTop().on("operator", self._rename).on("language", self._switch_language)
            self._top.on("help", self._toggle_help)
            with ui.element("aside").classes("kw-side"):
                self._list = parts.CaseList().on("tab", self._tab).on("kind", self._kind)
                self._list.on("pick", self._pick)
            with ui.element("main").classes("kw-main"):
                self._build_case()
            self._alarm = parts.DeskNote()
        self._help = parts.DeskHelp().on("closed", self._close_help)

    def _build_case(self) -> None:
        self._head = parts.CaseHead()
        self._body = ui.element("div").classes("kw-body")
        with self._body:
            with ui.element("div").classes("kw-left"):
                with ui.element("div").classes("kw-card kw-stage-card"):
                    self._stage = parts.CaseStage().on("picture", self._choose_picture)
                self._facts = parts.CaseFacts()
            with ui.element("div").classes("kw-right"):
                with ui.element("div").classes("kw-card kw-clip-card"):
                    self._clip = parts.CaseClip()
                with ui.element("div").classes("kw-card kw-map-card"):
                    self._map = CaseMap(self._options.tiles, self._options.tiles_credit)
                    self._map_note = parts.MapNote()
        self._bar = parts.DecisionBar().on("press", self._press)
        self._note = parts.DeskNote()

    def follow(self) -> None:
        """Look for something new every second, for as long as the browser is there."""
        ui.timer(POLL_S, self._poll)

    # -- acting --

    async def _do(self, act: Callable[[], object]) -> None:
        """Let the desk act, off the event loop and one act at a time, then show what came of it."""
        async with self._turn:
            await run.io_bound(act)
            self._show()

    async def _poll(self) -> None:
        async with self._turn:
            if await run.io_bound(self._desk.refresh):
                self._show()

    async def _press(self, event: GenericEventArguments) -> None:
        key, shown = parts.press(event)
        if key == "?":
            self._toggle_help()
        elif key == "l":
            await self._switch_language()
        elif not self._help_open:
            await self._do(lambda: self._act_on(key, shown))

    def _act_on(self, key: str, shown: str) -> None:
        desk = self._desk
        if key == "c" or (key == "Enter" and not desk.rejecting):
            desk.confirm(shown)
        elif key in REASON_KEYS:
            desk.reject(shown, int(key))
        elif key == "r":
            desk.start_rejecting()
        elif key == "Escape":
            desk.stop_rejecting()
        elif key == "p":
            desk.next_picture()
        elif key in {"j", "ArrowDown"}:
            desk.move(1)
        elif key in {"k", "ArrowUp"}:
            desk.move(-1)

    async def _tab(self, event: GenericEventArguments) -> None:
        await self._do(lambda: self._desk.choose_tab(parts.word(event)))

    async def _kind(self, event: GenericEventArguments) -> None:
        await self._do(lambda: self._desk.choose_kind(parts.word(event)))

    async def _pick(self, event: GenericEventArguments) -> None:
        await self._do(lambda: self._desk.select(parts.word(event)))

    async def _choose_picture(self, event: GenericEventArguments) -> None:
        if isinstance(event.args, int):
            self._desk.picture = event.args
            self._show()

    def _rename(self, event: GenericEventArguments) -> None:
        self._desk.operator = parts.word(event)
        self._remember("operator", self._desk.operator)

    async def _switch_language(self) -> None:
        lang = LANGS[(LANGS.index(self._desk.lang) + 1) % len(LANGS)]
        self._desk.speak(lang)
        self._remember("lang", lang)
        ui.run_javascript(f"document.documentElement.lang = '{HTML_LANG[lang]}'")
        ui.page_title(say(lang, "title"))
        self._show()

    def _remember(self, name: str, value: str) -> None:
        ui.run_javascript(self._options.remember(name, value))

    def _toggle_help(self) -> None:
        self._help_open = not self._help_open
        self._show()

    def _close_help(self) -> None:
        self._help_open = False
        self._show()

    # -- showing --

    def _show(self) -> None:
        """Bring every component up to date; each is only sent when it changed."""
        desk, case = self._desk, self._desk.selected
        self._show_top()
        self._show_list()
        self._show_help()
        self._keys.show(shown=desk.selected_id)
        for part in (self._head, self._body, self._bar):
            part.set_visibility(case is not None)
        self._show_note(case)
        if case is not None:
            self._show_case(case)
            self._show_bar(case)

    def _say(self, key: str, **values: object) -> str:
        return say(self._desk.lang, key, **values)

    def _show_top(self) -> None:
        waiting = self._desk.counts["review"]
        self._top.show(
            waiting=waiting,
            operator=self._desk.operator,
            texts={
                "desk": self._say("desk"),
                "waiting": self._say("waiting", n=waiting) if waiting else self._say("waiting_none"),
                "operator": self._say("operator"),
                "operatorHint": self._say("operator_hint"),
                "operatorDefault": self._say("operator_default"),
                "language": self._say("language"),
                "languageHint": self._say("language_hint"),
                "help": self._say("help"),
                "lost": self._say("lost"),
                "reconnecting": self._say("reconnecting"),
            },
        )

    def _show_list(self) -> None:
        desk = self._desk
        empty = "empty.review" if desk.tab == "review" and not desk.kind else "empty.filter"
        kinds = [{"id": kind, "label": views.kind_name(desk.lang, kind)} for kind in views.KINDS]
        self._list.show(
            rows=[views.row_of(case, desk.lang, desk.zone) for case in desk.cases],
            tabs=[
                {"id": tab, "label": self._say(f"tab.{tab}"), "count": desk.counts[tab]} for tab in views.TABS
            ],
            kinds=[{"id": "", "label": self._say("all_kinds")}, *kinds],
            kind=desk.kind,
            active_tab=desk.tab,
            selected=desk.selected_id,
            prefetch=self._prefetch(),
            texts={
                "cases": self._say("cases"),
                "kind": self._say("kind"),
                "noPicture": self._say("no_picture"),
                "empty": self._say(empty if desk.counts["all"] else "empty.none"),
                "more": self._more(),
            },
        )

    def _more(self) -> str:
        desk = self._desk
        if not desk.has_older:
            return ""
        if desk.kind:
            return self._say("newest", shown=SHOWN_LIMIT)
        return self._say("newest_of", shown=SHOWN_LIMIT, total=desk.counts[desk.tab])

    def _prefetch(self) -> list[str]:
        """Give the first pictures of the cases that come next, so that they are there at once."""
        ids = [str(case.case_id) for case in self._desk.cases]
        selected = self._desk.selected_id
        start = ids.index(selected) + 1 if selected in ids else 0
        coming = self._desk.cases[start : start + PREFETCHED]
        return [shots[0].url for case in coming if (shots := views.pictures_of(case, self._desk.lang))]

    def _show_note(self, case: Case | None) -> None:
        trouble, some = self._desk.trouble, self._desk.counts["all"]
        key = "empty.none" if not some else "empty.review" if self._desk.tab == "review" else "empty.filter"
        none = case is None and not trouble
        more = self._say(f"{key}_more")
        self._note.show(title=self._say(key) if none else "", more=more if none else "")
        self._note.set_visibility(none)
        alarm = self._say("error_more", sentence=trouble) if trouble else ""
        self._alarm.show(title=self._say("error") if trouble else "", more=alarm, alarm=True)

    def _show_case(self, case: Case) -> None:
        lang, zone = self._desk.lang, self._desk.zone
        self._head.show(
            title=views.headline_of(case, lang),
            colour=views.colour_of(case.report.kind),
            status=case.status.value,
            status_name=views.status_name(lang, case.status),
            time=views.local_time(case.report.observed_at, zone),
        )
        pictures = [
            {"role": shot.role, "label": shot.label, "url": shot.url, "alt": shot.alt}
            for shot in views.pictures_of(case, lang)
        ]
        missing, none = self._say("picture_missing"), self._say("picture_none")
        self._stage.show(
            pictures=pictures, at=self._desk.picture, texts={"pictureMissing": missing, "pictureNone": none}
        )
        clip_texts = {"clip": self._say("role.clip"), "clipNone": self._say("clip_none")}
        clip_texts["clipMissing"] = self._say("clip_missing")
        self._clip.show(url=views.clip_of(case), texts=clip_texts)
        self._facts.show(facts=[list(fact) for fact in views.facts_of(case, lang, zone)])
        self._show_map(case)

    def _show_map(self, case: Case) -> None:
        step = self._map.show(views.place_of(case), views.places_near(case, self._desk.cases))
        note = "" if self._options.tiles else self._say("map_none", step=step)
        self._map_note.show(note=note)

    def _show_bar(self, case: Case) -> None:
        desk = self._desk
        self._bar.show(
            shown=desk.selected_id,
            open=desk.can_decide,
            rejecting=desk.rejecting,
            reasons=[self._say(f"reason.{reason}") for reason in views.REASONS],
            decision=views.decision_of(case, desk.lang, desk.zone),
            message=desk.message.text,
            tone=desk.message.tone,
            texts={
                "decision": self._say("decision"),
                "why": self._say("why_reject"),
                "cancel": self._say("cancel"),
                "confirm": self._say("confirm"),
                "reject": self._say("reject"),
                "previous": self._say("previous"),
                "next": self._say("next"),
            },
        )

    def _show_help(self) -> None:
        self._help.show(
            open=self._help_open,
            lines=[{"text": self._say(key), "keys": list(keys)} for key, keys in HELP],
            texts={
                "title": self._say("help_title"),
                "note": self._say("help_note"),
                "close": self._say("close"),
            },
        )
