"""A data set's numbers and faults as one HTML page; bars are SVG: no plotting library, no script. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from training.dataset.check import Fault, tally
from training.dataset.stats import Stats, class_rows

_BAR_PX, _ROW_PX, _LABEL_PX, _COUNT_PX = 420, 22, 150, 70
_GREY = "#64748b"
_FAULTS_SHOWN = 500

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem }
table { border-collapse: collapse }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #e2e8f0 }
th:first-child, td:first-child, .faults td { text-align: left }
svg text { font: 13px system-ui, sans-serif; fill: #1e293b }
.error { color: #b91c1c }
img { max-width: 100% }
.plots { display: flex; flex-wrap: wrap; gap: 1rem 3rem }
"""


def html_report(
    title: str, stats: Stats, faults: Sequence[Fault], colours: Mapping[str, str], sheet: str = ""
) -> str:
    """Give the page.

    Args:
        title: name of the set.
        stats: its numbers.
        faults: what `training.dataset.check` found.
        colours: class name to #rrggbb.
        sheet: file name of a contact sheet beside the page, empty where there is none.
    """
    plots = [
        ("Boxes by class", {name: row.boxes for name, row in stats.classes.items()}, colours),
        ("Box side, px (square root of the area)", stats.side_px, {}),
        ("Width by height", stats.aspect, {}),
        ("Boxes in a picture", stats.boxes_per_picture, {}),
        ("Pictures by list", stats.pictures_by_split, {}),
        ("Boxes by who labelled them", stats.boxes_by_origin, {}),
        ("Ignored regions by class", stats.ignored, colours),
    ]
    drawn = "".join(
        f"<div><h3>{escape(name)}</h3>{bars(counts, tints)}</div>" for name, counts, tints in plots
    )
    picture = f'<h2>Pictures</h2><img src="{escape(sheet)}" alt="contact sheet">' if sheet else ""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style><h1>{escape(title)}</h1>"
        f"<p>{stats.pictures} pictures, {stats.boxes} boxes, {stats.scenes} scenes with a name.</p>"
        f"<h2>Classes</h2>{_table(class_rows(stats))}"
        "<p>small: under 32x32 px, medium: under 96x96 px (COCO). "
        "unlabelled: pictures in which nobody labelled the class.</p>"
        f'<h2>Distributions</h2><div class="plots">{drawn}</div>'
        f"<h2>Sources</h2>{_table(_source_rows(stats))}{_fault_section(faults)}{picture}</html>\n"
    )


def bars(counts: Mapping[str, int], colours: Mapping[str, str]) -> str:
    """Give a horizontal bar plot as SVG; lengths are counts, each written at its bar's end.

    >>> bars({"bin": 3}, {}).count("<rect")
    1
    """
    if not any(counts.values()):
        return "<p>none</p>"
    most, height = max(counts.values()), _ROW_PX * len(counts)
    width = _LABEL_PX + _BAR_PX + _COUNT_PX
    rows = "".join(
        f'<text x="{_LABEL_PX - 8}" y="{_ROW_PX * at + 15}" text-anchor="end">{escape(name)}</text>'
        f'<rect x="{_LABEL_PX}" y="{_ROW_PX * at + 3}" width="{_BAR_PX * count / most:.1f}" '
        f'height="{_ROW_PX - 6}" fill="{escape(colours.get(name, _GREY))}"/>'
        f'<text x="{_LABEL_PX + _BAR_PX * count / most + 6:.1f}" y="{_ROW_PX * at + 15}">{count}</text>'
        for at, (name, count) in enumerate(counts.items())
    )
    return f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">{rows}</svg>'


def _source_rows(stats: Stats) -> list[list[str]]:
    splits = list(stats.pictures_by_split)
    return [
        ["source", *splits],
        *(
            [source, *(str(counts.get(split, 0)) for split in splits)]
            for source, counts in stats.pictures_by_source.items()
        ),
    ]


def _fault_section(faults: Sequence[Fault]) -> str:
    if not faults:
        return "<h2>Faults</h2><p>none found</p>"
    shown = "".join(
        f'<tr class="{fault.level}"><td>{escape(fault.level)}</td><td>{escape(fault.kind)}</td>'
        f"<td>{escape(fault.where)}</td><td>{escape(fault.what)}</td></tr>"
        for fault in faults[:_FAULTS_SHOWN]
    )
    more = f"<p>and {len(faults) - _FAULTS_SHOWN} more</p>" if len(faults) > _FAULTS_SHOWN else ""
    return f"<h2>Faults</h2>{bars(tally(faults), {})}<table class='faults'>{shown}</table>{more}"


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    lines = [f"<tr>{''.join(f'<th>{escape(text)}</th>' for text in head)}</tr>"]
    lines += [f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in row)}</tr>" for row in body]
    return f"<table>{''.join(lines)}</table>"
