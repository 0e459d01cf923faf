import json
from datetime import UTC, datetime

from ingest.fleet.status import CameraState, CameraStatus, WorkerStatus


def test_a_status_survives_json():
    camera = CameraStatus(
        "cam-1",
        "host:12",
        CameraState.RUNNING,
        dropped={"late": 2},
        last_frame_at=datetime(2026, 11, 25, 8, 0, tzinfo=UTC),
        size_px=(1920, 1080),
    )
    worker = WorkerStatus("host:12", alive=True, batches={1: 5, 4: 2}, cameras=(camera,))
    assert WorkerStatus.from_json(json.loads(json.dumps(worker.as_json()))) == worker


def test_what_a_newer_version_says_besides_is_left_out():
    camera = {**CameraStatus("cam-1", "w", CameraState.SILENT).as_json(), "mood": "blue"}
    row = {**WorkerStatus("w", alive=True).as_json(), "planet": 3, "cameras": [camera]}
    assert WorkerStatus.from_json(row).cameras[0].state is CameraState.SILENT
