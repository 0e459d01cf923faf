"""The pictures that foreign label files name, and pictures for foreign tools."""

from __future__ import annotations

import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from detector.errors import Failure, WrongUse
from training.dataset.types import Sample, Split
from training.yolo_data import PICTURE_SUFFIXES

_SPLIT_WORD = re.compile(r"(?<![a-z])(train|val|valid|validation|test)(?![a-z])")
_MEANINGS: dict[str, Split] = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}


def split_named(text: str) -> Split | None:
    """Give the split that a file, folder or subset name speaks of, None where it names none.

    >>> split_named("instances_val2017"), split_named("trainers")
    ('val', None)
    """
    found = _SPLIT_WORD.findall(text.casefold())
    return _MEANINGS[found[-1]] if found else None


def folder_of(source: str) -> Path:
    """Give the folder to look for pictures in: the source itself, or the one its label file lies in.

    Raises:
        WrongUse: there is no such file or folder.
    """
    path = Path(source).resolve()
    if not path.exists():
        raise WrongUse(f"{source}: there is no such file or folder.")
    return path if path.is_dir() else path.parent


class PictureIndex:
    """Every picture below a folder, found by the names that label files give.

    Label files carry paths of the machine they were written on, so a name matches by its longest tail.
    """

    def __init__(self, folder: Path) -> None:
        """List the folder once."""
        self.folder = folder
        self._by_name: defaultdict[str, list[Path]] = defaultdict(list)
        self._by_stem: defaultdict[str, list[Path]] = defaultdict(list)
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file():
                self._by_name[path.name].append(path)
                self._by_stem[path.stem].append(path)

    def find(self, name: str, where: str) -> Path:
        r"""Give the picture that `name` means.

        Args:
            name: file name, relative path or path of another machine, with / or \.
            where: the label file and entry, for the message.

        Raises:
            Failure: it climbs out of the set with .., no picture or several go by it.
        """
        parts = PurePosixPath(name.replace("\\", "/")).parts
        if ".." in parts:
            raise Failure(f"{where}: the picture name {name!r} leads out of the set; mend it.")
        found = self._by_name.get(parts[-1], []) if parts else []
        found = found or (self._by_stem.get(PurePosixPath(parts[-1]).stem, []) if parts else [])
        if not found:
            raise Failure(
                f"{where}: its picture {name!r} is not below {self.folder}; add it or remove the entry."
            )
        return self._nearest(found, parts, where)

    def _nearest(self, found: list[Path], parts: tuple[str, ...], where: str) -> Path:
        """Choose by the longest common tail of the path."""
        tails = [_common_tail(path.relative_to(self.folder).parts, parts) for path in found]
        best = [path for path, tail in zip(found, tails, strict=True) if tail == max(tails)]
        if len(best) > 1:
            raise Failure(
                f"{where}: several pictures are called {parts[-1]!r} ({best[0]} and {best[1]}); "
                "give them names of their own."
            )
        return best[0]


def _common_tail(one: Sequence[str], other: Sequence[str]) -> int:
    """Count equal parts from the end.

    >>> _common_tail(("a", "b", "c.jpg"), ("x", "b", "c.jpg"))
    2
    """
    count = 0
    for left, right in zip(reversed(one), reversed(other), strict=False):
        if left != right:
            break
        count += 1
    return count


def name_in_address(address: str) -> str:
    """Give the path in an address of a labelling tool: what follows ?d= or the host, unquoted.

    >>> name_in_address("/data/local-files/?d=images/a%20b.jpg")
    'images/a b.jpg'
    >>> name_in_address("s3://bucket/2026/c.jpg?X-Amz=1")
    'bucket/2026/c.jpg'
    """
    _, _, local = address.partition("?d=")
    path = local or re.sub(r"^\w+://", "", address).partition("?")[0]
    return unquote(path)


def place_flat(samples: Iterable[Sample], folder: Path) -> list[str]:
    """Copy pictures into one folder, each under a name no other has, also without its suffix; give the names.

    Raises:
        Failure: a picture cannot be copied.
    """
    folder.mkdir(parents=True, exist_ok=True)
    taken: set[str] = set()
    names = []
    for sample in samples:
        number, stem = 1, sample.path.stem
        while stem.casefold() in taken:
            number += 1
            stem = f"{sample.path.stem}-{number}"
        taken.add(stem.casefold())
        names.append(stem + sample.path.suffix.lower())
        try:
            shutil.copyfile(sample.path, folder / names[-1])
        except OSError as error:
            raise Failure(f"{sample.path}: cannot be copied to {folder} ({error.strerror}).") from error
    return names
