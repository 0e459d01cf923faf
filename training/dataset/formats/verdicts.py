"""What operators decided at the page or over the API, as labelled pictures.

The set holds unredacted pictures of a street, with people in them. It is for the machine of the centre on
which the originals lie; it is not for publication and not for another machine.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from detector.errors import Failure
from training.dataset.formats import Labelled
from training.dataset.types import EVERY_CLASS
from training.labels import Taxonomy, load_taxonomy
from training.verdicts.judgement import sample_of
from training.verdicts.pictures import Found, check_evidence, pictures_of
from training.verdicts.rows import Api, Verdict, is_address, read_verdicts

LOG: Final = logging.getLogger(__name__)

LICENCE: Final = "none: unredacted recordings of the city, not to leave the centre"


class VerdictImporter:
    """Read decisions from an API or a file, and their pictures from the server's data folder.

    Args:
        evidence: data folder of the server, on this machine; None leaves only public stills without a drawn
            box, which our own pipeline does not make.
        token: bearer token of the API.
        since: decisions made at or after.
    """

    def __init__(self, evidence: Path | None = None, token: str = "", since: datetime | None = None) -> None:
        self._evidence = evidence
        self._token = token
        self._since = since

    def load(self, source: str, scratch: Path) -> Labelled:
        """Read the decisions and label their pictures.

        Raises:
            Failure: the API or a line is at fault, a picture is damaged, or nothing is left to learn from.
            WrongUse: there is no such file or no originals in the data folder.
        """
        if self._evidence is not None:
            check_evidence(self._evidence)
        rows = read_verdicts(source, self._token, self._since)
        taxonomy = load_taxonomy()
        found = self._find([_in_our_words(row, taxonomy) for row in rows], source, scratch)
        labelled = [sample_of(picture, taxonomy.names) for picture in found.pictures]
        samples = tuple(sample for sample in labelled if sample is not None)
        if not samples:
            raise Failure(f"{source}: {_nothing(len(rows), found, self._evidence)}")
        for why, count in found.left_out.items():
            LOG.warning("%s: %d of %d decisions are left out: %s.", source, count, len(rows), why)
        names = {box.label for sample in samples for box in sample.boxes} - {EVERY_CLASS}
        return Labelled(
            samples, tuple(sorted(names)), LICENCE, "operator verdicts", counts_of(rows), found.sealed
        )

    def _find(self, rows: Sequence[Verdict], source: str, scratch: Path) -> Found:
        if not is_address(source):
            return pictures_of(rows, self._evidence)
        with Api(source, self._token) as api:

            def fetch(sha256: str) -> Path | None:
                data = api.picture(sha256)
                if data is None:
                    return None
                path = scratch / f"{sha256}.jpg"
                path.write_bytes(data)
                return path

            return pictures_of(rows, self._evidence, fetch)


def counts_of(rows: Iterable[Verdict]) -> Counter[str]:
    """Count decisions by what they say: confirm, confirm_corrected, confirm_auto, reject_not_there, ….

    A rejection without a code is `reject`.
    """
    return Counter(map(_name_of, rows))


def _name_of(row: Verdict) -> str:
    if row.by == "auto":
        return f"{row.verdict}_auto"
    if row.verdict == "reject":
        return f"reject_{row.reason_code}" if row.reason_code else "reject"
    return "confirm_corrected" if row.correction else "confirm"


def _in_our_words(row: Verdict, taxonomy: Taxonomy) -> Verdict:
    """Give a decision with our names for aliases; a name that is not known stays and is refused later."""
    correction = row.correction
    if correction is not None and correction.label is not None:
        correction = correction.model_copy(update={"label": _ours(correction.label, row, taxonomy)})
    return row.model_copy(update={"label": _ours(row.label, row, taxonomy), "correction": correction})


def _ours(label: str, row: Verdict, taxonomy: Taxonomy) -> str:
    if taxonomy.knows(label):
        return taxonomy.class_of(label) or label
    LOG.warning("case %s: %r is no class of datasets/classes.toml.", row.case_id, label)
    return label


def _nothing(rows: int, found: Found, evidence: Path | None) -> str:
    """Say in one sentence why no picture is left."""
    if not rows:
        return "there is no decision in it."
    if not found.left_out:
        return f"of {rows} decisions none says what is or is not in a picture."
    why = " and ".join(
        f"{count} {'has' if count == 1 else 'have'} {reason}"
        for reason, count in sorted(found.left_out.items())
    )
    advice = (
        "the originals are no longer kept there"
        if evidence
        else "name the server's data folder with --evidence, on the machine where it lies"
    )
    return f"of {rows} decisions {why}; {advice}."
