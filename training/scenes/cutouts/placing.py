"""Put a cut-out piece on the ground of a picture: size, light, colour, sharpness."""

from __future__ import annotations

import cv2
import numpy as np

from training.scenes.cutouts.pieces import Piece
from training.scenes.wires.backgrounds import View
from training.scenes.wires.catenary import Point
from training.scenes.wires.paint import Floats, Patch, Picture


def placed(
    view: View, piece: Piece, foot: Point, scale: float, rng: np.random.Generator
) -> tuple[Patch, Floats] | None:
    """Cover and colours (h, w, 3) of a piece that stands at x, y; None where hardly any of it shows.

    Args:
        view: the picture.
        piece: what to place.
        foot: x, y in pixels.
        scale: pixels per metre there.
        rng: draws size and light.
    """
    tall = max(round(piece.tall_m * scale * rng.uniform(0.93, 1.07)), 8)
    wide = max(round(tall * piece.picture.shape[1] / piece.picture.shape[0] * rng.uniform(0.92, 1.08)), 6)
    x0, y0 = round(foot[0] - wide / 2), round(foot[1] - tall)
    h, w = view.shape
    cut = slice(max(-y0, 0), min(tall, h - y0)), slice(max(-x0, 0), min(wide, w - x0))
    if cut[0].stop - cut[0].start < 0.6 * tall or cut[1].stop - cut[1].start < 0.55 * wide:
        return None
    how = cv2.INTER_AREA if tall < piece.picture.shape[0] else cv2.INTER_CUBIC
    small = cv2.resize(piece.picture, (wide, tall), interpolation=how)
    cover = np.clip(cv2.resize(piece.cover, (wide, tall), interpolation=cv2.INTER_AREA), 0, 1)
    patch = Patch(max(x0, 0), max(y0, 0), np.ascontiguousarray(cover[cut], np.float32))
    return patch, matched(small[cut], patch, view.picture, rng)


def matched(thing: Picture, patch: Patch, picture: Picture, rng: np.random.Generator) -> Floats:
    """Move a photographed thing's dark and bright ends, and its cast, part of the way to the picture's."""
    rows, columns = patch.window
    around = picture[max(rows.start - 20, 0) : rows.stop + 20, max(columns.start - 30, 0) : columns.stop + 30]
    solid = patch.cover > 0.5
    grey = cv2.cvtColor(np.ascontiguousarray(thing), cv2.COLOR_BGR2GRAY)
    if solid.sum() < 20:
        return np.asarray(thing, np.float32)
    own = np.percentile(grey[solid], [5, 95])
    there = np.percentile(cv2.cvtColor(np.ascontiguousarray(around), cv2.COLOR_BGR2GRAY), [4, 95])
    share = rng.uniform(0.5, 0.9)
    low, high = own + (there - own) * share
    high = max(high, low + 50)
    gain = float(np.clip((high - low) / max(own[1] - own[0], 20), 0.45, 1.15))
    cast = np.array(cv2.mean(picture)[:3]) + 20
    gains = 1 + (cast / cast.mean() - 1) * 0.3
    middle = float(own.mean() + (there.mean() - own.mean()) * share)
    values = (thing.astype(np.float32) - own.mean()) * gain + middle
    dull = values.mean(2, keepdims=True)
    values = (dull + (values - dull) * rng.uniform(0.65, 0.95)) * gains
    soft = cv2.GaussianBlur(values.astype(np.float32), (0, 0), rng.uniform(0.4, 0.8))
    return np.asarray(np.clip(soft, 0, 255), np.float32)
