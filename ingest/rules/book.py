"""The places of one rule at one camera: who stands where, what is new, known or gone. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo

from ingest.boxes import covered_share, displacement, fractions, ground_contact, iou
from ingest.report import report_id_of
from ingest.rules.places import AWAY_IOU, LEFT_S, SAME_IOU, SAME_SIZES, Claim, Counting, Place, Standing
from ingest.tracker import group_of
from ingest.types import XYXY, Event, EventPhase, Scene, Track, ZoneKind
from ingest.zones import Zone

BLIND_S = 4.5  # between two frames further apart than this, nobody looked
HIDDEN_SHARE = 0.5  # share of a place's box that something nearer must cover to hide it
DUPLICATE_IOU = 0.6  # two boxes at rest above this are one thing
CONFIDENCE_MIN = 0.2  # mean score of all sightings; below it most of them were doubtful boxes
PLACE_GRID = 64  # quantisation of the place in an event id: cells per frame width and height
START_GRID_S = 10  # quantisation of the start in an event id: seconds


class PlaceBook:
    """The places of one rule at one camera.

    Args:
        source_id: camera, part of every event id.
        tz: time zone of the schedules.
        zones: of the camera.
        contained: share of a box inside another from which the two are one thing, as a tricycle under its
            stall; None if only boxes that cover each other are.
    """

    def __init__(
        self,
        source_id: str,
        tz: tzinfo,
        zones: Sequence[Zone],
        *,
        contained: float | None = None,
    ) -> None:
        self._source_id, self._tz = source_id, tz
        self._zones = {zone.id: zone for zone in zones}
        self._contained = contained
        self._places: list[Place] = []
        self._first_boxes: dict[int, XYXY] = {}
        self._at: datetime | None = None
        self._wh: tuple[int, int] | None = None
        self._used_ids: deque[str] = deque(maxlen=1000)

    @property
    def places(self) -> tuple[Place, ...]:
        """What is being watched."""
        return tuple(self._places)

    def remember(self, known: Iterable[Event]) -> None:
        """Load things that were reported before a restart: they are watched, not reported again."""
        for event in known:
            gone_zone = Zone(event.zone_id, ZoneKind.IGNORE, (), 0.0, frozenset())
            zone = self._zones.get(event.zone_id, gone_zone)
            standing = Standing(zone, event.kind, event.variant)
            place = Place(event.xyxy, event.started_at, standing, event.label, event.observed_at)
            place.phase, place.event_id, place.remembered = EventPhase.CONFIRMED, event.event_id, True
            place.score_sum, place.seen = event.confidence, 1
            self._places.append(place)
            self._used_ids.append(event.event_id)

    def counting(self) -> Counting:
        """Give what is being watched, for whoever watches this camera next."""
        return Counting(tuple(self._places), self._wh, tuple(self._used_ids))

    def adopt(self, counting: Counting) -> None:
        """Go on with what another was counting at this camera a moment ago; zones are those of now.

        Its tracks had other numbers, so things have to come to rest again before they are taken for those
        that stood there; the time until then counts as if they had been seen, like any gap.
        """
        for place in counting.places:
            zone = self._zones.get(place.standing.zone.id)
            if zone is None or (place.event_id and place.event_id in self._used_ids):
                continue
            phase = place.phase if place.known else None  # a pre-alarm, told again, calls the main stream
            standing = replace(place.standing, zone=zone)
            self._places.append(replace(place, standing=standing, phase=phase, track_ids=set()))
        self._used_ids.extend(name for name in counting.used_ids if name not in self._used_ids)
        self._wh = self._wh or counting.wh

    def update(self, scene: Scene, claims: Sequence[Claim]) -> list[Event]:
        """Take one frame.

        Args:
            scene: the frame; its time may repeat or step back.
            claims: what the rule sees in it.

        Returns:
            Events of this frame: pre-alarms, confirmations, ends.
        """
        elapsed_s = self._step(scene)
        held = self._match(claims, scene.wh)
        for place in self._places:
            claim = held.get(id(place))
            if claim and (claim.counts or place.known):
                place.see(claim, scene.at, active=self._active(place.standing.zone, scene.at))
                self._rezone(place, claim, scene.at)
            else:
                self._miss(place, scene, elapsed_s)
        taken = {id(claim) for claim in held.values()}
        self._settle([claim for claim in claims if id(claim) not in taken], scene.at)
        events = [event for place in self._places for event in self._judge(place, held.get(id(place)), scene)]
        self._places = [place for place in self._places if not place.over]
        return events

    def due(self) -> datetime | None:
        """Give when the next of the things seen last will have stood for its dwell."""
        waiting = [one for one in self._places if not one.known and one.last_seen == self._at]
        left = [(one, one.standing.zone.dwell_s - one.dwell_s) for one in waiting]
        return min(
            (
                one.last_seen + timedelta(seconds=max(0.0, left_s))
                for one, left_s in left
                if left_s > 0 or one.seen == 1  # one that has just begun is not judged before the next frame
            ),
            default=None,
        )

    def finish(self, at: datetime, index: int = 0) -> list[Event]:
        """Say at the end of a source what had already left; what still stands is not called gone."""
        ended = [place for place in self._places if place.known and place.left_s >= LEFT_S]
        return [self._event(place, EventPhase.ENDED, at, index, place.box) for place in ended]

    def _step(self, scene: Scene) -> float:
        """Move on to a frame; return the seconds since the last one."""
        if self._wh and self._wh != scene.wh:
            for place in self._places:
                place.rescale(scene.wh[0] / self._wh[0], scene.wh[1] / self._wh[1])
            self._first_boxes.clear()
        self._wh = scene.wh
        elapsed_s = (scene.at - self._at).total_seconds() if self._at else 0.0
        self._at = scene.at
        if elapsed_s < 0:
            for place in self._places:
                place.turn_back(scene.at)
        boxes = {track.track_id: track.xyxy for track in scene.tracks}
        self._first_boxes = {key: self._first_boxes.get(key, box) for key, box in boxes.items()}
        return max(0.0, elapsed_s)

    def _active(self, zone: Zone, at: datetime) -> bool:
        return zone.active(at, self._tz)

    def _match(self, claims: Sequence[Claim], wh: tuple[int, int]) -> dict[int, Claim]:
        """Give each place the claim of what stands there: first its own track, then another at rest."""
        held: dict[int, Claim] = {}
        free = list(claims)
        for place in self._places:
            for claim in free:
                if claim.track.track_id in place.track_ids and place.held_by(claim.track, wh):
                    held[id(place)] = claim
                    free.remove(claim)
                    break
        for place in self._places:
            fitting = [claim for claim in free if self._may_take(place, claim, wh)]
            if id(place) not in held and fitting:
                best = max(fitting, key=lambda claim: iou(claim.track.anchor or claim.track.xyxy, place.box))
                held[id(place)] = best
                free.remove(best)
        return held

    def _may_take(self, place: Place, claim: Claim, wh: tuple[int, int]) -> bool:
        track = claim.track
        if place.remembered and track.last_at < place.since:  # the same file again: it has not come yet
            return False
        first_box = self._first_boxes.get(track.track_id, track.xyxy)
        return place.fits(track, wh) and not place.taken_over(track, first_box)

    def _miss(self, place: Place, scene: Scene, elapsed_s: float) -> None:
        if place.remembered and scene.at < place.since:
            return
        seen_now = [track for track in scene.tracks if track.last_at == scene.at]
        if not any(_may_be(track, place) for track in seen_now):
            nearby = [track.xyxy for track in seen_now if track.track_id not in place.track_ids]
            hidden = any(_hides(xyxy, place) for xyxy in (*nearby, *scene.passing))
            seen_leaving = place.left_s >= LEFT_S
            place.miss(elapsed_s, looked=elapsed_s <= BLIND_S and (seen_leaving or not hidden))
        away = any(
            track.track_id in place.track_ids and iou(track.xyxy, place.box) < AWAY_IOU for track in seen_now
        )
        if any(displacement(box, place.box, scene.wh) <= SAME_SIZES for box in scene.left):
            place.left_s = max(place.left_s, LEFT_S)
        place.left_s = place.left_s + elapsed_s if away or place.left_s >= LEFT_S else 0.0

    def _rezone(self, place: Place, claim: Claim, at: datetime) -> None:
        """Let a thing that is not reported yet count in another of its zones if the first is not enforced."""
        if place.phase is None and claim.standings:
            place.standing = self._choose(claim.standings, at)

    def _choose(self, standings: Sequence[Standing], at: datetime) -> Standing:
        return next((one for one in standings if self._active(one.zone, at)), standings[0])

    def _settle(self, claims: Sequence[Claim], at: datetime) -> None:
        """Begin places for things at rest that have none."""
        for claim in claims:
            if claim.track.anchor is None or not claim.standings or not claim.counts:
                continue
            if twin := next(self._twins(claim.track, at), None):
                twin.track_ids.add(claim.track.track_id)
                continue
            self._replace(claim.track, at)
            self._places.append(self._begin(claim, at))

    def _replace(self, newcomer: Track, at: datetime) -> None:
        """End what stood where another has come to rest: the place was seen empty in between."""
        first_box = self._first_boxes.get(newcomer.track_id, newcomer.xyxy)
        for place in self._places:
            fits = place.last_seen < at and place.fits(newcomer, self._wh or (1, 1))
            place.replaced = place.replaced or (fits and place.taken_over(newcomer, first_box))

    def _twins(self, track: Track, at: datetime) -> Iterator[Place]:
        """Give the places held in this very frame by something that shows the same thing."""
        anchor = track.anchor or track.xyxy
        for place in self._places:
            if place.last_seen != at:
                continue
            same = group_of(place.label) == group_of(track.label) and iou(anchor, place.box) >= DUPLICATE_IOU
            share = max(covered_share(anchor, place.box), covered_share(place.box, anchor))
            if same or (self._contained is not None and share >= self._contained):
                yield place

    def _begin(self, claim: Claim, at: datetime) -> Place:
        standing = self._choose(claim.standings, at)
        place = Place(claim.track.anchor or claim.track.xyxy, claim.since, standing, claim.track.label, at)
        place.see(claim, at, active=False)
        if self._active(standing.zone, at) and self._active(standing.zone, claim.since):
            place.dwell_s = max(0.0, (at - claim.since).total_seconds())
        return place

    def _judge(self, place: Place, claim: Claim | None, scene: Scene) -> list[Event]:
        """Give what there is to say about a place in this frame."""
        if place.known:
            if not place.over:
                return []
            return [self._event(place, EventPhase.ENDED, scene.at, scene.index, place.box)]
        counts = claim is not None and claim.counts and self._active(place.standing.zone, scene.at)
        doubtful = place.confidence < CONFIDENCE_MIN
        if claim is None or not counts or doubtful or place.seen < claim.seen_min * place.looked:
            return []
        dwell_s = place.standing.zone.dwell_s
        if place.dwell_s >= dwell_s:
            phase = EventPhase.CONFIRMED
        elif place.dwell_s >= dwell_s / 2 and place.phase is None:
            phase = EventPhase.PRE_ALARM
        else:
            return []
        place.phase = phase
        return [self._event(place, phase, scene.at, scene.index, claim.track.xyxy)]

    def _event(self, place: Place, phase: EventPhase, at: datetime, index: int, xyxy: XYXY) -> Event:
        place.event_id = place.event_id or self._event_id(place)
        return Event(
            event_id=place.event_id,
            kind=place.standing.kind,
            variant=place.standing.variant,
            zone_id=place.standing.zone.id,
            phase=phase,
            started_at=place.since,
            observed_at=at,
            ended_at=max(place.since, place.last_seen) if phase is EventPhase.ENDED else None,
            confidence=place.confidence,
            label=place.label,
            xyxy=xyxy,
            frame_index=index,
            track_ids=tuple(sorted(place.track_ids)),
        )

    def _event_id(self, place: Place) -> str:
        """Give the id: camera, kind, zone, place on a grid, start on a grid; a second run gives the same.

        The place is the ground contact in 1/64 of width and height, the start is cut to 10 s: coarse
        enough that a slightly different box or frame rarely changes it, fine enough that neighbours
        rarely share it. Where they do, the second gets a number, in the order of the run.
        """
        x, y = ground_contact(fractions(place.box, self._wh or (1, 1)))
        cell = f"{int(min(max(x, 0), 1) * PLACE_GRID)},{int(min(max(y, 0), 1) * PLACE_GRID)}"
        start = datetime.fromtimestamp(place.since.timestamp() // START_GRID_S * START_GRID_S, UTC)
        standing = place.standing
        for number in range(1, len(self._used_ids) + 2):
            name = cell if number == 1 else f"{cell}#{number}"
            event_id = str(report_id_of(self._source_id, standing.kind, standing.zone.id, name, start))
            if event_id not in self._used_ids:
                break
        self._used_ids.append(event_id)
        return event_id


def _may_be(track: Track, place: Place) -> bool:
    """Say whether something of its sort is where it stood, though not (yet) at rest: the place is not empty.

    After two tracks have swapped their ids, the thing that stands has one that was just seen moving.
    """
    return (
        track.track_id not in place.track_ids
        and group_of(track.label) == group_of(place.label)
        and iou(track.xyxy, place.box) >= SAME_IOU
    )


def _hides(xyxy: XYXY, place: Place) -> bool:
    """Say whether something nearer to the camera stands in front of a place."""
    nearer = xyxy[3] >= place.box[3] - 0.1 * (place.box[3] - place.box[1])
    return nearer and covered_share(place.box, xyxy) >= HIDDEN_SHARE
