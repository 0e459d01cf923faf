"""The project's class names, and what other data sets call the same things (datasets/classes.toml)."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detector.errors import Failure, WrongUse

CLASSES_FILE = Path(__file__).resolve().parent.parent / "datasets" / "classes.toml"


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """Class names in the order of the model's output, with their aliases.

    Args:
        names: class names, index to name.
        exact: every known spelling (name or alias) to the class name, None where it is deliberately unused.
        loose: the same with case, spaces, dashes and underscores removed; ambiguous spellings are left out.
    """

    names: tuple[str, ...]
    exact: dict[str, str | None]
    loose: dict[str, str | None]

    def class_of(self, foreign: str) -> str | None:
        """Give the class that a data set's `foreign` name means, None if the name is listed as ignored.

        Raises:
            KeyError: the name is not known at all.
        """
        return self.exact[foreign] if foreign in self.exact else self.loose[_loosely(foreign)]

    def knows(self, foreign: str) -> bool:
        """Tell whether `foreign` is a class, an alias or ignored."""
        return foreign in self.exact or _loosely(foreign) in self.loose

    def mapping(self, foreign: Sequence[str], where: str) -> tuple[str | None, ...]:
        """Give the class of every name of a data set, in its order.

        Raises:
            WrongUse: some names are neither a class, an alias nor ignored; the message lists them.
        """
        unknown = [name for name in foreign if not self.knows(name)]
        if unknown:
            listed = ", ".join(repr(name) for name in unknown)
            raise WrongUse(
                f"{where}: unknown class {listed}; "
                "add an alias or an entry under `ignored` to datasets/classes.toml."
            )
        return tuple(self.class_of(name) for name in foreign)


def load_taxonomy(path: Path = CLASSES_FILE) -> Taxonomy:
    """Read classes.toml.

    Raises:
        Failure: the file is missing, is no TOML, or gives one name two meanings.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Failure(f"{path}: cannot be read ({error.strerror}); it belongs to the checkout.") from error
    except tomllib.TOMLDecodeError as error:
        raise Failure(f"{path}: is no TOML: {error}.") from error
    exact = _spellings(document, path)
    return Taxonomy(tuple(document.get("class", {})), exact, _unambiguous(exact))


def _spellings(document: dict[str, Any], path: Path) -> dict[str, str | None]:
    pairs: list[tuple[str, str | None]] = [(name, None) for name in document.get("ignored", [])]
    for name, entry in document.get("class", {}).items():
        pairs += [(spelling, name) for spelling in (name, *entry.get("aliases", []))]
    exact: dict[str, str | None] = {}
    for spelling, meaning in pairs:
        if exact.setdefault(spelling, meaning) != meaning:
            raise Failure(f"{path}: {spelling!r} has two meanings, {exact[spelling]!r} and {meaning!r}.")
    return exact


def _unambiguous(exact: dict[str, str | None]) -> dict[str, str | None]:
    meanings: dict[str, set[str | None]] = {}
    for spelling, meaning in exact.items():
        meanings.setdefault(_loosely(spelling), set()).add(meaning)
    return {loose: next(iter(found)) for loose, found in meanings.items() if len(found) == 1}


def _loosely(name: str) -> str:
    """Drop case and separators.

    >>> _loosely("Garbage-Bin") == _loosely("garbage_bin")
    True
    """
    return "".join(character for character in name.casefold() if character not in " -_")
