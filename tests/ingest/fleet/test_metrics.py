"""Metrics as Prometheus reads them: parsed back from the text, not looked at inside the collector."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, datetime

from prometheus_client.parser import text_string_to_metric_families

from ingest.fleet.metrics import exposition, registry_of
from ingest.fleet.status import CameraState, CameraStatus, OutboxCount, WorkerStatus, cameras_of

STAGES = ("decode", "gate", "infer_wait", "infer", "track", "rules", "evidence")
CAMERA = CameraStatus(
    '学校南门 "3"\\',
    "w0",
    CameraState.DEGRADED,
    fps_in=25.0,
    fps_analysed=2.4,
    fps_wanted=2.5,
    frames_in=1000,
    analysed=90,
    dropped={"late": 7},
    reconnects=2,
    queue_age_s=0.12,
    last_frame_at=datetime(2026, 11, 25, 8, tzinfo=UTC),
    last_frame_age_s=0.04,
    clock_error_s=-3.5,
    stage_s={"decode": 3.5, "infer": 1.25},
    stage_n={"decode": 1000, "infer": 90},
    events={"illegal_parking": 3},
    cpu_s=5.5,
    codec="hevc",
    size_px=(1920, 1080),
)
WORKER = WorkerStatus(
    "w0",
    alive=True,
    restarts=1,
    cores=1.0,
    cpu_share=0.75,
    rss_bytes=400_000_000,
    model="street@2",
    precision="int8",
    batches={1: 5, 3: 2, 100: 1},
    room=4,
    cameras=(CAMERA,),
    outbox=OutboxCount(pending=3, oldest_age_s=12.5, dead=1),
)


def scraped(*workers, accept="", spool=None):
    """Give {(sample, labels): value} of a scrape, labels as a sorted tuple of pairs."""
    body, _ = exposition(registry_of(lambda: workers, spool), accept)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def of_camera(samples, name, **labels):
    return samples.get((name, tuple(sorted({"camera": CAMERA.camera_id, **labels}.items()))))


def test_what_a_camera_tells_arrives_with_its_name_unharmed():
    samples = scraped(WORKER)
    told = {
        "received_fps": 25.0,
        "analysed_fps": 2.4,
        "wanted_fps": 2.5,
        "frames_received_total": 1000,
        "frames_analysed_total": 90,
        "reconnects_total": 2,
        "queue_age_seconds": 0.12,
        "last_frame_age_seconds": 0.04,
        "last_analysed_timestamp_seconds": datetime(2026, 11, 25, 8, tzinfo=UTC).timestamp(),
        "clock_error_seconds": -3.5,
        "cpu_seconds_total": 5.5,
    }
    assert {name: of_camera(samples, f"kerbwatch_camera_{name}") for name in told} == told
    assert of_camera(samples, "kerbwatch_camera_events_total", kind="illegal_parking") == 3
    assert of_camera(samples, "kerbwatch_camera_stage_seconds_sum", stage="decode") == 3.5
    assert of_camera(samples, "kerbwatch_camera_stage_seconds_count", stage="infer") == 90
    assert (
        of_camera(samples, "kerbwatch_camera_info", worker="w0", codec="hevc", width="1920", height="1080")
        == 1
    )


def test_a_camera_is_in_exactly_one_state():
    samples = scraped(WORKER)
    states = {state: of_camera(samples, "kerbwatch_camera_state", state=state.value) for state in CameraState}
    assert [state for state, there in states.items() if there == 1] == [CameraState.DEGRADED]
    assert sorted(states.values()) == [0] * (len(CameraState) - 1) + [1]


def test_drops_are_told_before_the_first_one():
    samples = scraped(WORKER)
    assert of_camera(samples, "kerbwatch_camera_frames_dropped_total", reason="late") == 7
    assert of_camera(samples, "kerbwatch_camera_frames_dropped_total", reason="undecodable") == 0


def test_what_is_not_known_is_absent_not_zero():
    camera = CameraStatus(CAMERA.camera_id, "w0", CameraState.STARTING)
    samples = scraped(replace(WORKER, cameras=(camera,), room=None))
    names = {name for name, _ in samples}
    assert not names & {
        "kerbwatch_camera_last_frame_age_seconds",
        "kerbwatch_camera_last_analysed_timestamp_seconds",
        "kerbwatch_camera_clock_error_seconds",
        "kerbwatch_worker_room_cameras",
    }


def test_batches_are_a_cumulative_histogram():
    samples = scraped(WORKER)

    def bucket(le):
        name = "kerbwatch_worker_inference_batch_pictures_bucket"
        return samples[name, (("le", le), ("worker", "w0"))]

    assert [bucket(le) for le in ("1.0", "2.0", "4.0", "64.0", "+Inf")] == [5, 5, 7, 7, 8]
    assert samples["kerbwatch_worker_inference_batch_pictures_count", (("worker", "w0"),)] == 8
    assert samples["kerbwatch_worker_inference_batch_pictures_sum", (("worker", "w0"),)] == 5 + 6 + 100


def test_a_worker_tells_of_itself():
    samples = scraped(WORKER)
    told = {
        "up": 1,
        "restarts_total": 1,
        "cameras": 1,
        "room_cameras": 4,
        "cpu_used_cores": 0.75,
        "cpu_allowed_cores": 1,
        "resident_memory_bytes": 400_000_000,
    }
    assert {name: samples[f"kerbwatch_worker_{name}", (("worker", "w0"),)] for name in told} == told
    labels = (("model", "street@2"), ("precision", "int8"), ("worker", "w0"))
    assert samples["kerbwatch_worker_info", labels] == 1


def test_a_worker_that_is_started_again_stays_one_series():
    first = replace(WORKER, worker="host:11", place="host/0")
    camera = replace(CAMERA, worker="host:12")
    again = replace(WORKER, worker="host:12", place="host/0", restarts=2, cameras=(camera,))
    for one, restarts in ((first, 1), (again, 2)):
        samples = scraped(one)
        assert samples["kerbwatch_worker_restarts_total", (("worker", "host/0"),)] == restarts
        assert all(value != one.worker for _, labels in samples for _, value in labels)
    assert samples["kerbwatch_outbox_pending_letters", (("sender", "host/0"),)] == 3


def test_two_processes_of_one_place_do_not_break_the_scrape():
    dead = replace(WORKER, worker="host:11", place="host/0", alive=False, restarts=0)
    alive = replace(WORKER, worker="host:12", place="host/0")
    for workers in ((dead, alive), (alive, dead)):
        text = exposition(registry_of(lambda told=workers: told))[0].decode()
        lines = [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]
        assert len(set(lines)) == len(lines)
        assert scraped(*workers)["kerbwatch_worker_up", (("worker", "host/0"),)] == 1


def test_cameras_that_no_worker_has_are_told_but_their_row_is_no_worker():
    refused = replace(CAMERA, camera_id="late-comer", worker="", state=CameraState.REFUSED)
    samples = scraped(WORKER, WorkerStatus("host:supervisor", alive=True, cameras=(refused,)))
    assert samples["kerbwatch_camera_state", (("camera", "late-comer"), ("state", "refused"))] == 1
    assert not [name for name, labels in samples if ("worker", "host:supervisor") in labels]


def test_all_refused_cameras_are_counted_whether_or_not_each_is_told():
    refused = replace(CAMERA, camera_id="late-comer", worker="", state=CameraState.REFUSED)
    own = WorkerStatus("host:supervisor", alive=True, cameras=(refused,), unlisted=9799)
    assert scraped(WORKER, own)["kerbwatch_fleet_refused_cameras", ()] == 9800
    assert scraped(WORKER)["kerbwatch_fleet_refused_cameras", ()] == 0


def test_an_outbox_is_told_once_by_whoever_sends():
    silent = replace(WORKER, worker="w1", outbox=None, cameras=())
    samples = scraped(WORKER, silent, spool=lambda: OutboxCount(pending=9))
    pending = {labels: value for (name, labels), value in samples.items() if "pending" in name}
    assert pending == {(("sender", "w0"),): 3, (("sender", "supervisor"),): 9}
    assert samples["kerbwatch_outbox_oldest_age_seconds", (("sender", "w0"),)] == 12.5
    assert samples["kerbwatch_outbox_dead_letters", (("sender", "w0"),)] == 1


def test_a_camera_that_moves_is_one_series():
    newer = replace(CAMERA, worker="w1", state=CameraState.RUNNING, frames_in=4)
    gone = replace(WORKER, alive=False)
    samples = scraped(gone, replace(WORKER, worker="w1", cameras=(newer,)))
    assert of_camera(samples, "kerbwatch_camera_frames_received_total") == 4
    assert of_camera(samples, "kerbwatch_camera_state", state="running") == 1


def test_a_refused_claim_does_not_hide_the_one_that_holds():
    refused = replace(CAMERA, worker="w1", state=CameraState.REFUSED)
    other = replace(WORKER, worker="w1", cameras=(refused,))
    for workers in ((WORKER, other), (other, WORKER)):
        assert cameras_of(workers) == [CAMERA]


def test_cameras_of_a_worker_that_does_not_answer_have_failed():
    samples = scraped(replace(WORKER, alive=False))
    assert of_camera(samples, "kerbwatch_camera_state", state="failed") == 1
    assert of_camera(samples, "kerbwatch_camera_analysed_fps") == 0
    (camera,) = cameras_of([replace(WORKER, alive=False)])
    assert camera.fault == "its worker w0 does not answer."


def test_openmetrics_is_given_where_it_is_asked_for():
    body, content_type = exposition(
        registry_of(lambda: [WORKER]), "application/openmetrics-text; version=1.0.0"
    )
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
    assert exposition(registry_of(lambda: [WORKER]))[1].startswith("text/plain")


def test_registering_does_not_ask_the_fleet():
    asked = []
    registry_of(lambda: asked.append(1) or [])
    assert asked == []


def crowd(workers=4, cameras=75):
    """Give a fleet with everything filled in."""
    return [
        replace(
            WORKER,
            worker=f"w{at}",
            cameras=tuple(
                replace(
                    CAMERA,
                    camera_id=f"cam-{at}-{number}",
                    worker=f"w{at}",
                    stage_s=dict.fromkeys(STAGES, 123.456789 * number),
                    stage_n=dict.fromkeys(STAGES, 1000 * number),
                )
                for number in range(cameras)
            ),
        )
        for at in range(workers)
    ]


def test_300_cameras_cost_little_to_scrape():
    fleet = crowd()
    registry = registry_of(lambda: fleet)
    costs = []
    for _ in range(5):
        began = time.process_time()
        body, _ = exposition(registry)
        costs.append(time.process_time() - began)
    assert body.count(b"kerbwatch_camera_received_fps{") == 300
    assert min(costs) < 0.2
    assert len(body) < 2_000_000


def test_status_of_300_cameras_is_small():
    body = json.dumps([worker.as_json() for worker in crowd()])
    assert len(body) < 400_000
    assert len(json.loads(body)) == 4
