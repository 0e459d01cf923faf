"""One stall with what belongs to it, painted on a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.scenes.cutouts import drawn
from training.scenes.cutouts.drawn import Painter, shadow_below
from training.scenes.cutouts.pieces import Listed, Piece, person_piece, stall_piece
from training.scenes.cutouts.placing import placed
from training.scenes.wires.backgrounds import View
from training.scenes.wires.catenary import Point
from training.scenes.wires.paint import Canvas, Floats

CART_SHARE, TABLE_SHARE = 0.6, 0.28
"""Cut-out carts, then built tables; the rest are cloths on the ground."""


class Stand:
    """Paints stalls and their people at places of one picture."""

    def __init__(self, view: View, canvas: Canvas, light: Floats, rng: np.random.Generator) -> None:
        """Paint on a canvas of `view`, lit by `light` (H, W)."""
        self.view, self.canvas, self.light, self.rng = view, canvas, light, rng
        self.stalls: list[int] = []
        self.people: list[int] = []
        self.sources: list[str] = []

    def put(self, at: Point, stalls: Sequence[Listed], people: Sequence[Listed]) -> None:
        """Put one stall with its front's foot at x, y; some get an attendant behind and a customer before."""
        rng, ground = self.rng, self.view.ground
        if ground is None:
            return
        scale = ground.scale(at[1])
        if people and rng.random() < 0.5:
            self._person(
                people,
                (at[0] + rng.uniform(-0.6, 0.6) * scale, at[1] - rng.uniform(0.05, 0.2) * scale),
                scale,
            )
        draw = rng.random()
        if draw < CART_SHARE and stalls:
            self._cart(stalls, at, scale)
        elif draw < CART_SHARE + TABLE_SHARE:
            self._built(at, scale, on_ground=False)
        else:
            self._built(at, scale, on_ground=True)
        if people and rng.random() < 0.3:
            side = rng.choice([-1.0, 1.0]) * rng.uniform(0.7, 1.4) * scale
            self._person(people, (at[0] + side, at[1] + rng.uniform(0.0, 0.12) * scale), scale, whole=True)

    def _cart(self, stalls: Sequence[Listed], at: Point, scale: float) -> None:
        rng = self.rng
        piece = stall_piece(stalls[int(rng.integers(len(stalls)))])
        if piece is None:
            return
        piece = mirrored(piece) if rng.random() < 0.5 else piece
        spot = placed(self.view, piece, at, scale, rng)
        if spot is None:
            return
        patch, colour = spot
        wide = float(patch.cover.shape[1])
        shadow_below(self.canvas, at, wide, 0.35 * scale, rng.uniform(0.4, 0.65))
        track = self.canvas.paint_thing(patch, colour)
        painter = self._painter(track)
        if piece.tall_m < 1.7 and rng.random() < 0.4:
            drawn.umbrella(painter, (at[0] + rng.uniform(-0.3, 0.3) * wide, at[1] - 0.1 * scale), scale)
        if rng.random() < 0.4:
            self._crates_beside(painter, at, wide, scale)
        self._own(painter, piece.name)

    def _built(self, at: Point, scale: float, *, on_ground: bool) -> None:
        rng, ground = self.rng, self.view.ground
        if ground is None:
            return
        flat = float(np.clip((at[1] - ground.horizon) / scale * rng.uniform(0.15, 0.24), 0.15, 0.45))
        painter = self._painter(None)
        shadow_below(self.canvas, at, 1.7 * scale, 0.35 * scale, rng.uniform(0.25, 0.5))
        make = drawn.ground_cloth if on_ground else drawn.table
        shaded_by = rng.random() < (0.35 if on_ground else 0.6)
        if shaded_by and rng.random() < 0.5:
            drawn.umbrella(painter, (at[0] + rng.uniform(-0.6, 0.6) * scale, at[1] - 0.2 * scale), scale)
            shaded_by = False
        top, wide = make(painter, at, scale, flat)
        drawn.goods_on(painter, top, scale)
        if shaded_by:
            drawn.umbrella(painter, (at[0] + rng.uniform(-0.5, 0.5) * wide, at[1] + 0.02 * scale), scale)
        if rng.random() < 0.45:
            self._crates_beside(painter, at, wide, scale)
        self._own(painter, "drawn")

    def _crates_beside(self, painter: Painter, at: Point, wide: float, scale: float) -> None:
        rng = self.rng
        for _ in range(int(rng.integers(1, 4))):
            x = at[0] + rng.choice([-1.0, 1.0]) * rng.uniform(0.4, 0.62) * wide
            size = rng.uniform(0.35, 0.6) * scale
            shadow_below(self.canvas, (x, at[1]), size, 0.15 * scale, 0.35)
            drawn.crate(painter, (x, at[1] + rng.uniform(-0.05, 0.06) * scale), size, scale)

    def _person(self, people: Sequence[Listed], foot: Point, scale: float, *, whole: bool = False) -> None:
        rng = self.rng
        fitting = [p for p in people if p.flag or not whole]
        if not fitting:
            return
        piece = person_piece(fitting[int(rng.integers(len(fitting)))])
        if piece is None:
            return
        piece = mirrored(piece) if rng.random() < 0.5 else piece
        lifted = 0.0 if piece.whole else 1.68 - piece.tall_m
        spot = placed(self.view, piece, (foot[0], foot[1] - lifted * scale), scale, rng)
        if spot is None:
            return
        if piece.whole:
            shadow_below(self.canvas, foot, 0.5 * scale, 0.15 * scale, 0.45)
        self.people.append(self.canvas.paint_thing(*spot))
        self.sources.append(piece.name)

    def _painter(self, track: int | None) -> Painter:
        painter = Painter(self.canvas, self.light, self.rng)
        painter.track = track
        return painter

    def _own(self, painter: Painter, name: str) -> None:
        if painter.track is not None:
            self.stalls.append(painter.track)
            self.sources.append(name)


def mirrored(piece: Piece) -> Piece:
    """The same, seen from the other side."""
    picture, cover = np.ascontiguousarray(piece.picture[:, ::-1]), np.ascontiguousarray(piece.cover[:, ::-1])
    return Piece(piece.name, picture, cover, piece.tall_m, piece.whole)
