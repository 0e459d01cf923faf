"""What one browser looks at and decides. Talks to `api.services` and knows nothing of NiceGUI."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from types import MappingProxyType
from typing import Final, Literal
from uuid import UUID

from api.desk.texts import Lang, say
from api.desk.views import (
    KINDS,
    REASONS,
    STATUSES_OF,
    TABS,
    Tab,
    headline_of,
    neighbour,
    next_to_review,
    pictures_of,
    status_name,
    tab_counts,
)
from api.errors import Conflict, NotFound, Problem
from api.services import Services
from api.types import Case, CaseQuery, CaseStatus, ReviewRequest, Verdict

SHOWN_LIMIT: Final = 200
OPERATOR_MAX: Final = 100
UNNAMED: Final = "operator"
"""Who decided, where nobody gave a name: the same word in every language, because it is stored."""

Tone = Literal["plain", "good", "bad"]


@dataclass(frozen=True)
class Message:
    """One sentence for the operator."""

    text: str = ""
    tone: Tone = "plain"


class Desk:
    """Hold the list, the selected case and the words of one browser.

    A method is a few short visits to services. Not safe for two threads at once: the screen takes turns.
    """

    def __init__(self, services: Services, lang: Lang, operator: str, zone: tzinfo) -> None:
        self._services = services
        self._cursor = -1
        self.lang: Lang = lang
        self.zone = zone
        self.operator = operator
        self.tab: Tab = "review"
        self.kind = ""
        self.cases: tuple[Case, ...] = ()
        self.has_older = False
        self.counts: Mapping[Tab, int] = MappingProxyType(dict.fromkeys(TABS, 0))
        self.selected: Case | None = None
        self.picture = 0
        self.rejecting = False
        self.message = Message()
        self.trouble = ""

    # -- reading --

    def refresh(self, *, anyway: bool = False) -> bool:
        """Read again if anything happened since; say whether there is something new to show."""
        try:
            cursor = self._services.last_change()
            if cursor == self._cursor and not anyway and not self.trouble:
                return False
            self._read()
        except Problem as problem:
            known, self.trouble = self.trouble, str(problem)
            return known != self.trouble
        self._cursor, self.trouble = cursor, ""
        return True

    def _read(self) -> None:
        statuses = tuple(sorted(STATUSES_OF[self.tab])) if self.tab != "all" else ()
        kinds = (self.kind,) if self.kind else ()
        page = self._services.list_cases(CaseQuery(statuses=statuses, kinds=kinds, limit=SHOWN_LIMIT))
        self.counts = MappingProxyType(tab_counts(self._services.statistics().by_status))
        self.cases, self.has_older = page.cases, page.next_before is not None
        if self.selected is not None:
            self._show(self.selected.case_id)
        elif self.cases:
            self._show(self.cases[0].case_id)

    def _show(self, case_id: UUID) -> None:
        """Select a case and read it; a new one begins with its first picture and no half-made rejection."""
        try:
            case = self._services.get_case(case_id)
        except NotFound:
            self.message = Message(say(self.lang, "gone"), "bad")
            self.selected = self.cases[0] if self.cases else None
            return
        if self.selected is None or self.selected.case_id != case_id:
            self.picture, self.rejecting = 0, False
        self.selected = case

    # -- looking around --

    @property
    def selected_id(self) -> str | None:
        """Give the id of the case on the screen."""
        return str(self.selected.case_id) if self.selected else None

    @property
    def can_decide(self) -> bool:
        """Say whether the case on the screen waits for a decision."""
        return self.selected is not None and self.selected.status is CaseStatus.REPORTED

    def select(self, case_id: str) -> None:
        """Put a case of the list on the screen."""
        self.message = Message()
        for case in self.cases:
            if str(case.case_id) == case_id:
                self._visit(case.case_id)

    def _visit(self, case_id: UUID) -> None:
        try:
            self._show(case_id)
        except Problem as problem:
            self.trouble = str(problem)

    def move(self, step: int) -> None:
        """Go one case down (+1) or up (-1) the list."""
        target = neighbour([str(case.case_id) for case in self.cases], self.selected_id, step)
        if target is not None and target != self.selected_id:
            self.select(target)

    def choose_tab(self, tab: str) -> None:
        """Show the cases of a tab, the first of them on the screen."""
        for known in TABS:
            if known == tab and known != self.tab:
                self.tab = known
                self._filter_changed()

    def choose_kind(self, kind: str) -> None:
        """Show the cases of one kind, or of all kinds (empty)."""
        if kind != self.kind and kind in {"", *KINDS}:
            self.kind = kind
            self._filter_changed()

    def _filter_changed(self) -> None:
        self.selected, self.message, self.rejecting = None, Message(), False
        self.refresh(anyway=True)

    def next_picture(self) -> None:
        """Show the next still of the case."""
        if self.selected is not None:
            self.picture = (self.picture + 1) % max(1, len(pictures_of(self.selected, self.lang)))

    def speak(self, lang: Lang) -> None:
        """Change the language; what was said stays in the one it was said in, so it goes."""
        self.lang, self.message = lang, Message()

    # -- deciding --

    def confirm(self, shown: str) -> None:
        """Confirm the case that was on the screen when the operator decided."""
        self._decide("confirm", "", shown)

    def start_rejecting(self) -> None:
        """Ask for the reason; asking again takes it back."""
        self.rejecting = self.can_decide and not self.rejecting
        self.message = Message()

    def stop_rejecting(self) -> None:
        """Forget the half-made rejection."""
        self.rejecting = False

    def reject(self, shown: str, reason_number: int) -> None:
        """Reject the case that was on the screen, for reason 1 to 5."""
        if self.rejecting and 1 <= reason_number <= len(REASONS):
            self._decide("reject", REASONS[reason_number - 1], shown)

    def _decide(self, verdict: Verdict, reason: str, shown: str) -> None:
        case = self.selected
        if case is None or str(case.case_id) != shown or not self.can_decide:
            return
        following = next_to_review(self.cases, shown)
        operator = self.operator.strip()[:OPERATOR_MAX] or UNNAMED
        review = ReviewRequest(verdict=verdict, operator=operator, reason=reason, version=case.version)
        try:
            self._services.review_case(case.case_id, review)
        except (Conflict, NotFound):
            self._too_late(case)
        except Problem as problem:
            self.message = Message(say(self.lang, "not_saved", sentence=str(problem)), "bad")
        else:
            self._go_on(case, verdict, following)

    def _too_late(self, case: Case) -> None:
        self.rejecting = False
        self.refresh(anyway=True)
        if self.selected is not None and self.selected.case_id == case.case_id:
            status = status_name(self.lang, self.selected.status)
            self.message = Message(say(self.lang, "conflict", status=status), "bad")

    def _go_on(self, case: Case, verdict: Verdict, following: str | None) -> None:
        """Put the next case to review on the screen: of the list as it was, else of the list as it is."""
        self.rejecting = False
        if following is not None:
            self._visit(UUID(following))
        elif self.tab == "review":
            self.selected = None
        self.refresh(anyway=True)
        self.message = Message(say(self.lang, f"done.{verdict}", what=headline_of(case, self.lang)), "good")
