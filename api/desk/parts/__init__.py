"""The page's own components: thin Python handles on the Vue files beside this one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from nicegui.element import Element
from nicegui.events import GenericEventArguments


class Part(Element):
    """An element that is only sent again when one of its values has changed."""

    def show(self, **values: object) -> None:
        """Set properties of the component by name; underscores stand for its capitals."""
        fresh = {name.replace("_", "-"): value for name, value in values.items()}
        if any(name not in self.props or self.props[name] != value for name, value in fresh.items()):
            with self.props.suspend_updates():
                self.props.update(fresh)
            self.update()


class DeskTop(Part, component="desk_top.js"):
    """The bar on top."""


class DeskKeys(Part, component="desk_keys.js"):
    """The keys of the whole page."""


class DeskHelp(Part, component="desk_help.js"):
    """The keys, explained."""


class DeskNote(Part, component="desk_note.js"):
    """Nothing to show, or trouble."""


class CaseList(Part, component="case_list.js"):
    """The list with its tabs and the choice of kind."""


class CaseHead(Part, component="case_head.js"):
    """What is on the screen, in one line."""


class CaseStage(Part, component="case_stage.js"):
    """The pictures of a case."""


class CaseFacts(Part, component="case_facts.js"):
    """What is known of a case."""


class CaseClip(Part, component="case_clip.js"):
    """The clip of a case."""


class MapNote(Part, component="map_note.js"):
    """What the map lacks."""


class DecisionBar(Part, component="decision_bar.js"):
    """What the operator decides."""


def word(event: GenericEventArguments) -> str:
    """Give the one word that a component sent; empty where a browser sent something else."""
    return event.args if isinstance(event.args, str) else ""


def press(event: GenericEventArguments) -> tuple[str, str]:
    """Give the key and the case that was on the screen when it was pressed."""
    words = cast("Mapping[str, object]", event.args) if isinstance(event.args, dict) else {}
    return str(words.get("key") or ""), str(words.get("shown") or "")
