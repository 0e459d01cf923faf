"""What an operator sees better than the model: why a report is wrong, and where the thing really is. Pure."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self, get_args

from pydantic import AfterValidator, Field, model_validator

from ingest.report import Box, Kind, Wire

ReasonCode = Literal[
    "not_there", "not_an_offence", "wrong_kind", "duplicate", "permitted", "picture_unclear", "other"
]
"""Why a report is rejected. `not_there`: the box shows nothing of the sort, the model erred."""

REASON_CODES: Final[tuple[ReasonCode, ...]] = get_args(ReasonCode)
CORRECTABLE: Final = frozenset({"wrong_kind", "permitted", "not_an_offence"})
"""Rejections under which a thing is there, so that its box or label can be corrected."""


def _with_area(box: Box) -> Box:
    if box.x1 <= box.x0 or box.y1 <= box.y0:
        raise ValueError("x1 must be greater than x0 and y1 greater than y0")
    return box


class Correction(Wire):
    """What the report should have said. What is left out is not corrected."""

    box: Annotated[Box, AfterValidator(_with_area)] | None = Field(
        default=None,
        description="Where the thing is: fractions of width and height of the far still, as in `box`.",
    )
    label: str | None = Field(
        default=None,
        pattern=r"^[a-z][a-z0-9_]{0,39}$",
        description="What the thing is: a class name of datasets/classes.toml.",
        examples=["truck"],
    )
    kind: Kind | None = Field(
        default=None, description="What it should have been reported as; only with `wrong_kind`."
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.box is None and self.label is None and self.kind is None:
            raise ValueError("give a box, a label or a kind, or leave the correction out")
        return self


def reason_code_of(text: str) -> ReasonCode | None:
    """Give the code that a free text is, None where it is no code: the page writes codes as text.

    >>> reason_code_of("permitted"), reason_code_of("loading permit")
    ('permitted', None)
    """
    return next((code for code in REASON_CODES if code == text), None)


def fault_of(verdict: str, code: ReasonCode | None, correction: Correction | None) -> str | None:
    """Say in one sentence what contradicts what in a decision, None where nothing does.

    >>> fault_of("confirm", "permitted", None)
    'reason_code belongs to a rejection, a confirmation has none'
    """
    kind = correction.kind if correction else None
    if verdict == "confirm":
        if code is not None:
            return "reason_code belongs to a rejection, a confirmation has none"
        return (
            "a case is filed as the kind it was reported as; to correct it reject it as wrong_kind"
            if kind
            else None
        )
    if correction is not None and code not in CORRECTABLE:
        return f"a rejection with a correction needs one of the reason codes {', '.join(sorted(CORRECTABLE))}"
    return "a corrected kind needs the reason code wrong_kind" if kind and code != "wrong_kind" else None
