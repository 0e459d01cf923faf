"""Point an alias at a version: a one-line change of models/registry.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from detector.errors import Failure, WrongUse
from detector.registry import ALIAS_FILE, aliases, models_root, resolve, weights
from detector.spec import ModelSpec

CARD_FILE = "card.md"


def promote(ref: str, alias: str = "production", root: Path | None = None) -> str:
    """Make name@alias mean `ref`; give the alias in full, such as street@production.

    Raises:
        WrongUse: `ref` is no version, or the alias is no plain word.
        Failure: the version does not exist, a file has another hash, or its card names no licence.
    """
    root = models_root() if root is None else root
    if not re.fullmatch(r"[\w.-]+@\d+", ref):
        raise WrongUse(f"{ref!r} is no version; write it as street@1.")
    if not re.fullmatch(r"[A-Za-z][\w.-]*", alias):
        raise WrongUse(f"{alias!r} is no alias; take a word such as production.")
    check_version(resolve(ref, root))
    full = f"{ref.partition('@')[0]}@{alias}"
    aliases(root)  # an unreadable table is not written over
    write_alias(root / ALIAS_FILE, full, ref)
    return full


def check_version(spec: ModelSpec) -> None:
    """Make sure that a version is whole: every file with its hash, and a card that names the licence.

    Raises:
        Failure: something is missing or changed.
    """
    for backend in dict.fromkeys(file.backend for file in spec.files):
        weights(spec, backend)
    card = spec.folder / CARD_FILE
    try:
        text = card.read_text(encoding="utf-8")
    except OSError as error:
        raise Failure(
            f"{card}: there is no model card ({error.strerror}); `kerbwatch publish` writes one."
        ) from error
    if not re.search(r"^licence:\s*\S", text, flags=re.IGNORECASE | re.MULTILINE):
        raise Failure(f"{card}: has no line `Licence: ...`; a model without a licence is not promoted.")


def write_alias(path: Path, alias: str, ref: str) -> None:
    """Change or add the one line of `alias`; every other line stays as it is.

    Raises:
        Failure: the file cannot be written.
    """
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else ["[alias]"]
    wanted = f'"{alias}" = "{ref}"'
    places = [i for i, line in enumerate(lines) if re.match(rf"\s*[\"']{re.escape(alias)}[\"']\s*=", line)]
    if places:
        lines[places[0]] = wanted
    else:
        lines.insert(_end_of_aliases(lines), wanted)
    text = "\n".join(lines) + "\n"
    if tomllib.loads(text).get("alias", {}).get(alias) != ref:
        raise Failure(f"{path}: the line of {alias} cannot be changed; edit it by hand.")
    fresh = path.with_suffix(".new")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        raise Failure(f"{path}: cannot be written ({error.strerror}).") from error


def _end_of_aliases(lines: list[str]) -> int:
    """Give the place after the last line of the [alias] table, adding the table if there is none."""
    if "[alias]" not in (line.strip() for line in lines):
        lines.append("[alias]")
    start = next(i for i, line in enumerate(lines) if line.strip() == "[alias]")
    end = start + 1
    while end < len(lines) and lines[end].strip() and not lines[end].lstrip().startswith("["):
        end += 1
    return end
