"""Label files of strangers. XML with a document type is refused: no entity can be declared or expanded."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree as ET

from detector.errors import Failure

BYTES_MAX = 2**30


class _NoDocumentType(ET.TreeBuilder):
    """Refuse <!DOCTYPE before anything in it is read: entities that grow or that read files begin there."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Refuse.

        Raises:
            Failure: always.
        """
        del pubid, system
        raise Failure(f"it declares a document type ({name}), which label files have no need of; remove it")


def read_xml(path: Path) -> ET.Element:
    """Read an XML file and give its root element.

    Raises:
        Failure: it cannot be read, is no XML, is larger than `BYTES_MAX`, or declares a document type.
    """
    data = read_bytes(path)
    try:
        parser = ET.XMLParser(target=_NoDocumentType())  # noqa: S314 - the target refuses what is unsafe in it
        parser.feed(data)
        root: ET.Element = parser.close()
    except (ET.ParseError, ValueError, LookupError) as error:  # LookupError: an encoding nobody knows
        raise Failure(f"{path}: is no XML ({error}); export it again.") from error
    except Failure as error:
        raise Failure(f"{path}: {error}") from None
    return root


def read_bytes(path: Path) -> bytes:
    """Read a label file whole.

    Raises:
        Failure: it cannot be read, or is larger than `BYTES_MAX`.
    """
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= BYTES_MAX else b""
    except OSError as error:
        raise Failure(f"{path}: cannot be read ({error.strerror}).") from error
    if size > BYTES_MAX:
        raise Failure(f"{path}: is larger than 1 GiB; that is no label file this program reads.")
    return data


def text_of(element: ET.Element, tag: str, where: str) -> str:
    """Give the text of a child.

    Raises:
        Failure: there is no such child, or it is empty.
    """
    text = element.findtext(tag, "").strip()
    if not text:
        raise Failure(f"{where}: has no <{tag}>; export it again.")
    return text


def number_of(text: str | None, what: str, where: str) -> float:
    """Read a number that stands in an element or attribute called `what`.

    Raises:
        Failure: it is missing, no number or not finite.
    """
    try:
        number = float(text or "")
    except ValueError:
        raise Failure(f"{where}: {what} is {text!r}, wanted a number.") from None
    if not math.isfinite(number):
        raise Failure(f"{where}: {what} is not finite ({text}); mend or remove it.")
    return number


def write_xml(root: ET.Element, path: Path) -> None:
    """Write an element with line breaks and indents."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ET.indent(root)
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
