"""Point an alias at a version: one line of models/registry.toml changes, and what was done is added below it.

    [[history]]
    alias = "street@production"
    from = "street@1"
    to = "street@2"
    date = "2026-11-25T20:10:00Z"
    reason = "litter 0.46 to 0.57"

Only the alias `production` is guarded (`training.gate`): a canary is there to try what is not yet trusted, on
one camera. A running server reads its model when it starts, so a change takes effect at its next start.
"""

from __future__ import annotations

import json
import logging
import re
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from detector.errors import Failure, WrongUse
from detector.registry import ALIAS_FILE, aliases, models_root, resolve, weights
from detector.spec import ModelSpec
from training.evaluation.lists import BEST_CLASS
from training.gate import incomparable, objections

CARD_FILE = "card.md"
METRICS_FILE = "metrics.json"
GUARDED = "production"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the history.

    Args:
        alias: in full, such as street@production.
        before: what it meant, "" if it is new.
        after: what it means now.
        date: ISO 8601, UTC.
        reason: why, in the words of whoever did it.
        rollback: this took the change before it back.
    """

    alias: str
    before: str
    after: str
    date: str
    reason: str = ""
    rollback: bool = False

    def lines(self) -> list[str]:
        """Give it as TOML."""
        keys = {"alias": self.alias, "from": self.before, "to": self.after, "date": self.date}
        rows = [f"{key} = {_quoted(value)}" for key, value in keys.items()]
        rows += [f"reason = {_quoted(self.reason)}"] if self.reason else []
        return ["", "[[history]]", *rows, *(["rollback = true"] if self.rollback else [])]


def promote(
    ref: str, alias: str = GUARDED, root: Path | None = None, reason: str = "", force: str = ""
) -> Change | None:
    """Make name@alias mean `ref`; give what was changed, None if it means that already.

    Args:
        ref: the version, such as street@2.
        alias: a word, such as production or canary.
        root: models folder.
        reason: kept in the history.
        force: why a version is promoted that the gate refuses; kept in the history.

    Raises:
        WrongUse: `ref` is no version, or the alias is no plain word.
        Failure: the version does not exist, a file has another hash, its card names no licence, or it is
            worse than the one it would replace.
    """
    root = models_root() if root is None else root
    if not re.fullmatch(r"[\w.-]+@\d+", ref):
        raise WrongUse(f"{ref!r} is no version; write it as street@1.")
    full = _full(ref.partition("@")[0], alias)
    new = resolve(ref, root)
    check_version(new)
    before = aliases(root).get(full, "")
    if before == new.ref:
        return None
    if before and alias == GUARDED and not force:
        _guard(resolve(before, root), new)
    why = f"forced: {force}" if force else reason
    return _record(root, Change(full, before, new.ref, _now(), why))


def roll_back(
    name: str = "street", alias: str = GUARDED, root: Path | None = None, reason: str = ""
) -> Change:
    """Make name@alias mean what it meant before its last change that was not taken back yet.

    Raises:
        WrongUse: the alias is no plain word, or the history cannot be read.
        Failure: there is nothing to go back to, or the earlier version is not whole any more.
    """
    root = models_root() if root is None else root
    full = _full(name, alias)
    path, now = root / ALIAS_FILE, aliases(root).get(full)
    if now is None:
        raise Failure(f"{path}: there is no alias {full}, so there is nothing to go back to.")
    made = [change for change in history(root) if change.alias == full]
    earlier = _earlier(made)
    if not earlier:
        raise Failure(f"{path}: its history names no version before {now} for {full}; promote one by name.")
    if made[-1].after != now:
        raise Failure(
            f"{path}: {full} means {now}, but its history ends with {made[-1].after}: it was changed by "
            "hand; promote the version you want by name."
        )
    check_version(resolve(earlier, root))
    return _record(root, Change(full, now, earlier, _now(), reason, rollback=True))


def history(root: Path) -> list[Change]:
    """Read what was done to the aliases, oldest first.

    Raises:
        WrongUse: an entry is not as `promote` writes it.
    """
    aliases(root)  # says what is wrong with the file as a whole
    path = root / ALIAS_FILE
    rows = tomllib.loads(path.read_text(encoding="utf-8")).get("history", []) if path.is_file() else []
    try:
        return [
            Change(
                str(row["alias"]), str(row["from"]), str(row["to"]), str(row["date"]),
                str(row.get("reason", "")), rollback=bool(row.get("rollback", False)),
            )
            for row in rows
        ]  # fmt: skip
    except (KeyError, TypeError, AttributeError) as error:
        raise WrongUse(f"{path}: a [[history]] entry lacks alias, from, to or date; mend it.") from error


def _earlier(made: list[Change]) -> str:
    """Give what an alias meant before its last change that stands; "" if there is none.

    >>> one = Change("a@b", "a@1", "a@2", "")
    >>> _earlier([one]), _earlier([one, Change("a@b", "a@2", "a@1", "", rollback=True)])
    ('a@1', '')
    """
    before: list[str] = []
    for change in made:
        if not change.rollback:
            before.append(change.before)
        elif before:
            before.pop()
    return before[-1] if before else ""


def _guard(old: ModelSpec, new: ModelSpec) -> None:
    """Refuse a version that is worse than the one it would replace.

    Raises:
        Failure: it is, or one of them has no figures.
    """
    theirs, mine = _metrics(old), _metrics(new)
    if reasons := objections(theirs, mine):
        raise Failure(
            f"{new.ref} is not promoted: {'; '.join(reasons)}. Promote another version, or say why all the "
            "same with --force REASON."
        )
    if theirs.get("decoding", BEST_CLASS) != mine.get("decoding", BEST_CLASS):
        log.warning("%s and %s were decoded differently for average precision", old.ref, new.ref)
    if apart := incomparable(theirs, mine):
        log.warning("not compared, measured on different val pictures: %s", ", ".join(apart))


def _metrics(spec: ModelSpec) -> dict[str, Any]:
    path = spec.folder / METRICS_FILE
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        for row in found["classes"].values():
            _ = [row[key] for key in ("ap50", "ap50_low", "ap50_high", "n", "pictures", "sets")]
    except OSError as error:
        raise Failure(
            f"{path}: cannot be read ({error.strerror}), so {spec.ref} cannot be compared; `kerbwatch "
            "publish` writes it, --force REASON goes without."
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Failure(
            f"{path}: holds no figures per class, so {spec.ref} cannot be compared; `kerbwatch publish` "
            "writes it, --force REASON goes without."
        ) from error
    return {**found, "model": spec.ref}


def check_version(spec: ModelSpec) -> None:
    """Make sure that a version is whole: every file with its hash, and a card that names the licence.

    Raises:
        Failure: something is missing or changed.
    """
    for backend, precision in dict.fromkeys((file.backend, file.precision) for file in spec.files):
        weights(spec, backend, precision=precision)
    card = spec.folder / CARD_FILE
    try:
        text = card.read_text(encoding="utf-8")
    except OSError as error:
        raise Failure(
            f"{card}: there is no model card ({error.strerror}); `kerbwatch publish` writes one."
        ) from error
    if not re.search(r"^licence:\s*\S", text, flags=re.IGNORECASE | re.MULTILINE):
        raise Failure(f"{card}: has no line `Licence: ...`; a model without a licence is not promoted.")


def _full(name: str, alias: str) -> str:
    if not re.fullmatch(r"[A-Za-z][\w.-]*", alias):
        raise WrongUse(f"{alias!r} is no alias; take a word such as production.")
    return f"{name}@{alias}"


def _record(root: Path, change: Change) -> Change:
    """Change or add the one line of the alias and add the change at the end; every other line stays as it is.

    Raises:
        Failure: the file cannot be written.
    """
    path = root / ALIAS_FILE
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else ["[alias]"]
    wanted = f'"{change.alias}" = "{change.after}"'
    pattern = rf"\s*[\"']{re.escape(change.alias)}[\"']\s*="
    places = [i for i, line in enumerate(lines) if re.match(pattern, line)]
    if places:
        lines[places[0]] = wanted
    else:
        lines.insert(_end_of_aliases(lines), wanted)
    text = "\n".join([*lines, *change.lines()]) + "\n"
    if tomllib.loads(text).get("alias", {}).get(change.alias) != change.after:
        raise Failure(f"{path}: the line of {change.alias} cannot be changed; edit it by hand.")
    fresh = path.with_suffix(".new")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        raise Failure(f"{path}: cannot be written ({error.strerror}).") from error
    return change


def _end_of_aliases(lines: list[str]) -> int:
    """Give the place after the last line of the [alias] table, adding the table if there is none."""
    if "[alias]" not in (line.strip() for line in lines):
        lines.insert(0, "[alias]")
    start = next(i for i, line in enumerate(lines) if line.strip() == "[alias]")
    end = start + 1
    while end < len(lines) and lines[end].strip() and not lines[end].lstrip().startswith("["):
        end += 1
    return end


def _quoted(text: str) -> str:
    r"""Give a TOML string; JSON's escapes are TOML's, but for the delete character.

    >>> _quoted('so "far"')
    '"so \\"far\\""'
    """
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
