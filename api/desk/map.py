"""The map of one case: Leaflet as NiceGUI ships it, without tiles unless a city plugs in its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from nicegui import ui

from api.desk.views import Place, grid_lines, grid_step_m, zoom_for

ZOOM_MAX: Final = 19


class CaseMap:
    """A metric grid, the case with its error radius, the other open cases; a base map if there is one.

    Args:
        tiles: URL template of an approved base map in web Mercator, empty for none.
        credit: attribution that the owner of the base map asks for.
    """

    def __init__(self, tiles: str, credit: str) -> None:
        self._tiles = tiles
        self._shown: tuple[Place, tuple[Place, ...]] | None = None
        options = {"keyboard": False, "attributionControl": bool(tiles), "maxZoom": ZOOM_MAX}
        self._map = ui.leaflet(zoom=18, options=options).classes("kw-map")
        self._map.clear_layers()  # NiceGUI begins with tiles from the internet
        if tiles:
            self._map.tile_layer(url_template=tiles, options={"attribution": credit, "maxZoom": ZOOM_MAX})
        self._map.generic_layer(name="control.scale", args=[{"imperial": False, "maxWidth": 120}])
        self._kept = len(self._map.layers)

    def show(self, place: Place, others: Sequence[Place]) -> int:
        """Draw a case; give the mesh of the grid in metres."""
        zoom = zoom_for(place.lat, place.error_m)
        step = grid_step_m(zoom)
        before, self._shown = self._shown, (place, tuple(others))
        if before == self._shown:
            return step
        for layer in self._map.layers[self._kept :]:
            self._map.remove_layer(layer)
        if not self._tiles:
            self._draw_grid(place, step)
        for other in others:
            self._draw_other(other)
        self._draw_case(place)
        if before is None or before[0] != place:
            self._map.set_zoom(zoom)
            self._map.set_center((place.lat, place.lon))
        return step

    def _draw_grid(self, place: Place, step: int) -> None:
        style = {"color": "#c3cbd8", "weight": 1, "interactive": False}
        self._map.generic_layer(name="polyline", args=[grid_lines(place.lat, place.lon, step), style])

    def _draw_other(self, other: Place) -> None:
        style = {"radius": 6, "weight": 2, "color": "#ffffff", "fillColor": other.colour, "fillOpacity": 0.75}
        self._map.generic_layer(name="circleMarker", args=[[other.lat, other.lon], style])

    def _draw_case(self, place: Place) -> None:
        spot = [place.lat, place.lon]
        area = {
            "radius": place.error_m,
            "weight": 1,
            "color": place.colour,
            "className": "kw-map-error",
            "interactive": False,
        }
        self._map.generic_layer(name="circle", args=[spot, area])
        self._map.marker(latlng=(place.lat, place.lon), options={"interactive": False, "keyboard": False})
