"""Small plots as SVG text: panels of one curve each, and a table of counts. Pure, no plotting library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

PANEL_PX, MARGIN_PX, COLUMNS = 180, 34, 4
INK, GRID, CURVE, POINT, BAR = "#334155", "#e2e8f0", "#2563eb", "#dc2626", "#93c5fd"

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot over [0, 1] x [0, 1].

    Args:
        title: above it.
        curve: points joined by a line.
        bars: (from, to, height) as filled boxes.
        whiskers: (x, low, high) as vertical lines.
        point: one marked place, or None.
        diagonal: draw the line from (0, 0) to (1, 1).
    """

    title: str
    curve: Points = ()
    bars: Sequence[tuple[float, float, float]] = ()
    whiskers: Sequence[tuple[float, float, float]] = ()
    point: tuple[float, float] | None = None
    diagonal: bool = False


def panels(plots: Sequence[Panel], x_name: str, y_name: str) -> str:
    """Lay the plots out in rows of COLUMNS."""
    cell = PANEL_PX + 2 * MARGIN_PX
    columns = min(COLUMNS, max(len(plots), 1))
    rows = -(-len(plots) // columns)
    body = []
    for number, plot in enumerate(plots):
        row, column = divmod(number, columns)
        place = f"translate({column * cell + MARGIN_PX + 8},{row * cell + MARGIN_PX - 6})"
        body.append(f'<g transform="{place}">{_panel(plot, x_name, y_name)}</g>')
    return _document(columns * cell, rows * cell, "".join(body))


def counts(labels: Sequence[str], rows: Sequence[Sequence[int]], x_name: str, y_name: str) -> str:
    """Draw a square table of counts, shaded by the share of its row."""
    cell, left, top = 40, 120, 110
    body = [_text(left + cell * len(labels) / 2, 14, x_name, "middle"), _text(8, top - 10, y_name)]
    for i, label in enumerate(labels):
        body.append(_text(left - 6, top + cell * i + 25, label, "end"))
        x = left + cell * i + 24
        body.append(f'<g transform="translate({x},{top - 6}) rotate(-50)">{_text(0, 0, label)}</g>')
        total = sum(rows[i]) or 1
        for j, count in enumerate(rows[i]):
            share = count / total
            x, y = left + cell * j, top + cell * i
            body.append(
                f'<rect x="{x}" y="{y}" width="{cell - 1}" height="{cell - 1}" '
                f'fill="{CURVE if i == j else POINT}" fill-opacity="{0.85 * share:.3f}" stroke="{GRID}"/>'
            )
            if count:
                colour = "#ffffff" if share > 0.55 else INK
                body.append(_text(x + cell / 2, y + 25, str(count), "middle", colour))
    return _document(left + cell * len(labels) + 40, top + cell * len(labels) + 10, "".join(body))


def _panel(plot: Panel, x_name: str, y_name: str) -> str:
    side = PANEL_PX
    parts = [f'<rect width="{side}" height="{side}" fill="none" stroke="{GRID}"/>']
    for step in (0.25, 0.5, 0.75):
        at = f"{step * side:g}"
        parts.append(f'<path d="M{at} 0V{side}M0 {at}H{side}" stroke="{GRID}" fill="none"/>')
    for low, high, height in plot.bars:
        box = f'x="{low * side:.1f}" y="{(1 - height) * side:.1f}"'
        size = f'width="{(high - low) * side - 1:.1f}" height="{height * side:.1f}"'
        parts.append(f'<rect {box} {size} fill="{BAR}"/>')
    if plot.diagonal:
        parts.append(f'<path d="M0 {side}L{side} 0" stroke="{INK}" stroke-dasharray="3 3" fill="none"/>')
    for x, low, high in plot.whiskers:
        line = f"M{x * side:.1f} {(1 - low) * side:.1f}V{(1 - high) * side:.1f}"
        parts.append(f'<path d="{line}" stroke="{INK}" fill="none"/>')
    if plot.curve:
        line = "L".join(f"{x * side:.1f} {(1 - y) * side:.1f}" for x, y in plot.curve)
        parts.append(f'<path d="M{line}" stroke="{CURVE}" stroke-width="1.6" fill="none"/>')
    if plot.point:
        x, y = plot.point[0] * side, (1 - plot.point[1]) * side
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{POINT}"/>')
    parts += [_text(0, -7, plot.title), _text(0, side + 13, "0"), _text(side, side + 13, "1", "end")]
    parts += [_text(-5, 8, "1", "end"), _text(side / 2, side + 13, x_name, "middle")]
    turned = f'<g transform="translate(-8,{side / 2}) rotate(-90)">{_text(0, 0, y_name, "middle")}</g>'
    return "".join((*parts, turned))


def _text(x: float, y: float, text: str, anchor: str = "start", colour: str = INK) -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'


def _document(width: int, height: int, body: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif" font-size="11">'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>{body}</svg>\n'
    )
