"""`kerbwatch evaluate --report DIR`: the figures as pages for people, with plots and sheets of the worst."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from detector.errors import Failure, WrongUse
from training.evaluation.calibration import POOLED
from training.evaluation.confusion import BACKGROUND
from training.evaluation.lists import ValList
from training.evaluation.measure import score_lists, score_min_of
from training.evaluation.svg import Panel, counts, panels
from training.evaluation.worst import MOST, faults_of, write_sheets
from training.labels import Taxonomy
from training.metrics import Matches

Table = tuple[Sequence[str], Sequence[Sequence[str]]]
"""Head and rows, all text."""
SHEETS = {"false_alarms": "False alarms", "misses": "Misses", "mixed_up": "One class taken for another"}
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;color:#1e293b;margin:2rem auto;max-width:70rem;padding:0 1rem}"
    "table{border-collapse:collapse;margin:1rem 0}th,td{padding:.25rem .7rem;text-align:right;"
    "border-bottom:1px solid #e2e8f0}th:first-child,td:first-child{text-align:left}img{max-width:100%}"
)


def write_report(
    folder: Path,
    title: str,
    lists: Sequence[ValList],
    taxonomy: Taxonomy,
    parts: Mapping[str, Any],
) -> Path:
    """Write index.html, report.md, figures.json, three plots and up to three sheets; give the page's path.

    The folder is made anew in one move; one that is there already and holds no earlier report is refused.

    Args:
        folder: where.
        title: model and data set, for the head.
        lists: val lists, looked at.
        taxonomy: the project's classes.
        parts: what `measure_model` gave for them.

    Raises:
        WrongUse: the folder holds something else.
        Failure: it cannot be written.
    """
    check_folder(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".report-") as scratch:
            made = Path(scratch) / "report"
            made.mkdir()
            _fill(made, title, lists, taxonomy, parts)
            if folder.exists():
                shutil.rmtree(folder)
            made.rename(folder)
    except OSError as error:
        raise Failure(f"--report: {folder} cannot be written ({error.strerror}).") from error
    return folder / "index.html"


def check_folder(folder: Path) -> None:
    """Make sure that a report may be written there.

    Raises:
        WrongUse: it is there, and neither empty nor an earlier report.
    """
    if not folder.exists():
        return
    if not folder.is_dir() or (any(folder.iterdir()) and not (folder / "figures.json").is_file()):
        raise WrongUse(f"--report: {folder} exists and is no report; name a folder that is not there yet.")


def _fill(
    folder: Path, title: str, lists: Sequence[ValList], taxonomy: Taxonomy, parts: Mapping[str, Any]
) -> None:
    faults = write_sheets(faults_of(lists, taxonomy, score_min_of(parts)), folder)
    plots = {
        "precision_recall.svg": precision_recall_plot(lists, taxonomy, parts),
        "calibration.svg": calibration_plot(parts["calibration"]),
        "confusion.svg": confusion_plot(parts["confusion"]),
    }
    for name, text in plots.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "figures.json").write_text(json.dumps(parts, indent=1) + "\n", encoding="utf-8")
    blocks = list(_blocks(title, parts, faults))
    (folder / "report.md").write_text(as_markdown(blocks), encoding="utf-8")
    (folder / "index.html").write_text(as_html(title, blocks), encoding="utf-8")


def _blocks(title: str, parts: Mapping[str, Any], faults: Mapping[str, int]) -> Iterator[tuple[str, Any]]:
    """Give the report from top to bottom as (kind, content): h1, h2, p, table or img."""
    yield "h1", title
    yield "p", "Intervals are 95 %: the pictures drawn again with repetition. Small n, wide interval."
    yield "table", class_table(parts["classes"])
    yield "h2", "Precision and recall"
    yield "p", "The curve is average precision's; the dot is the operating threshold, boxes as at run time."
    yield "img", "precision_recall.svg"
    yield "h2", "Thresholds for a stated precision"
    yield "p", "The lowest threshold that reaches it on these pictures, Wilson interval; - where none does."
    yield "table", points_table(parts["operating_points"])
    yield "h2", "Slices"
    for kind, values in parts["slices"].items():
        yield "table", slice_table(kind, values)
    yield "h2", "Calibration"
    yield (
        "p",
        "Bars: share of right boxes among those of a score. On the dashed line a score means what it says.",
    )
    yield "img", "calibration.svg"
    yield "h2", "Confusion"
    yield (
        "p",
        f"Rows: what is labelled. Columns: what was said. {BACKGROUND.capitalize()}: missed, or made up.",
    )
    yield "img", "confusion.svg"
    for kind, heading in SHEETS.items():
        if faults[kind]:
            yield "h2", f"{heading}: {faults[kind]}, the {min(faults[kind], MOST)} worst"
            yield "img", f"{kind}.jpg"


def class_table(rows: Mapping[str, Mapping[str, Any]]) -> Table:
    """Lay the figures of every class out."""
    head = ("class", "AP50", "AP50-95", "threshold", "precision", "recall", "boxes", "pictures")
    body = [
        (
            name,
            _with_interval(row, "ap50"),
            f"{row['ap5095']:.3f}",
            f"{row['score_min']:.2f}",
            _with_interval(row, "precision"),
            _with_interval(row, "recall"),
            str(row["n"]),
            str(row["pictures"]),
        )
        for name, row in rows.items()
    ]
    return head, body


def points_table(points: Mapping[str, Sequence[Mapping[str, Any]]]) -> Table:
    """Lay the thresholds for stated precisions out."""
    body = [
        (
            name,
            f"{point['stated']:.2f}",
            *(
                ("-", "-", "-", "-")
                if point["score_min"] is None
                else (
                    f"{point['score_min']:.2f}",
                    _with_interval(point, "precision"),
                    f"{point['recall']:.3f}",
                    str(point["n"]),
                )
            ),
        )
        for name, rows in points.items()
        for point in rows
    ]
    return ("class", "stated", "threshold", "precision", "recall", "boxes that pass"), body


def slice_table(kind: str, values: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Table:
    """Lay one slice out: a row per class and value."""
    classes = dict.fromkeys(name for rows in values.values() for name in rows)
    body = [
        (
            name,
            value,
            _with_interval(rows[name], "ap50"),
            _with_interval(rows[name], "recall"),
            str(rows[name]["n"]),
        )
        for name in classes
        for value, rows in values.items()
        if name in rows
    ]
    return ("class", kind, "AP50", "recall", "boxes"), body


def precision_recall_plot(lists: Sequence[ValList], taxonomy: Taxonomy, parts: Mapping[str, Any]) -> str:
    """Draw a panel per class."""
    rows = parts["classes"]
    plots = [
        Panel(
            f"{name}  AP50 {rows[name]['ap50']:.2f}, n={score.n}",
            curve=precision_recall_curve(score.matches),
            point=(rows[name]["recall"], rows[name]["precision"]),
        )
        for name, score in score_lists(lists, taxonomy, at_work=False).items()
    ]
    return panels(plots, "recall", "precision")


def precision_recall_curve(matches: Matches) -> list[tuple[float, float]]:
    """Give the points (recall, precision) at every hit, surest first.

    >>> of = np.array
    >>> precision_recall_curve(Matches(of([0, 0, 0]), of([0.9, 0.8, 0.7]), of([True, False, True]), of([2])))
    [(0.0, 1.0), (0.5, 1.0), (1.0, 0.6666666666666666)]
    """
    hit = matches.hit[np.argsort(-matches.score, kind="stable")]
    hits = np.cumsum(hit)
    precision = hits / np.arange(1, len(hit) + 1)
    recall = hits / max(int(matches.labelled.sum()), 1)
    points = [(float(r), float(p)) for r, p in zip(recall[hit], precision[hit], strict=True)]
    return [(0.0, points[0][1]), *points] if points else []


def calibration_plot(curves: Mapping[str, Any]) -> str:
    """Draw a panel per class, all boxes together first."""
    plots = [
        Panel(
            f"{name}  ECE {curve['ece']:.3f}, n={curve['n']}",
            bars=[(row["low"], row["high"], row["precision"]) for row in curve["bins"]],
            whiskers=[(row["score"], row["precision_low"], row["precision_high"]) for row in curve["bins"]],
            diagonal=True,
        )
        for name, curve in sorted(curves.items(), key=lambda item: item[0] != POOLED)
        if curve["bins"]
    ]
    return panels(plots, "score", "precision")


def confusion_plot(confusion: Mapping[str, Any]) -> str:
    """Draw the table, without the classes that neither side has."""
    table = np.array(confusion["rows"])
    shown = np.flatnonzero(table.sum(axis=0) + table.sum(axis=1))
    labels = [confusion["labels"][i] for i in shown]
    return counts(labels, table[np.ix_(shown, shown)].tolist(), "said", "labelled")


def as_markdown(blocks: Sequence[tuple[str, Any]]) -> str:
    """Write the report as Markdown."""
    lines = []
    for kind, content in blocks:
        if kind == "table":
            head, body = content
            rows = [head, ["---"] + ["---:"] * (len(head) - 1), *body]
            lines.append("\n".join(f"| {' | '.join(row)} |" for row in rows))
        elif kind == "img":
            lines.append(f"![{Path(content).stem}]({content})")
        else:
            lines.append({"h1": "# ", "h2": "## ", "p": ""}[kind] + content)
    return "\n\n".join(lines) + "\n"


def as_html(title: str, blocks: Sequence[tuple[str, Any]]) -> str:
    """Write the report as one page."""
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
    parts = [f"{head}<style>{STYLE}</style>"]
    for kind, content in blocks:
        if kind == "table":
            parts.append(_html_table(*content))
        elif kind == "img":
            parts.append(f'<img src="{escape(content)}" alt="{escape(Path(content).stem)}">')
        else:
            parts.append(f"<{kind}>{escape(content)}</{kind}>")
    return "\n".join(parts) + "\n</html>\n"


def _html_table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in body)
    return f"<table><tr>{''.join(f'<th>{escape(cell)}</th>' for cell in head)}</tr>{rows}</table>"


def _with_interval(row: Mapping[str, Any], name: str) -> str:
    return f"{row[name]:.3f} [{row[f'{name}_low']:.2f}, {row[f'{name}_high']:.2f}]"
