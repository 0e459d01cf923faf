"""A GPU asked for where none is: one sentence, and nothing is started or written."""

from __future__ import annotations

from pathlib import Path

import pytest

import kerbwatch
from detector.errors import Failure, WrongUse
from ingest import cli

SITE = Path(__file__).parents[2] / "datasets" / "demo" / "site.toml"


@pytest.fixture
def no_gpu(monkeypatch):
    def refuse(backend, device):
        raise Failure(f"--device {device} asks for a GPU, but there is none.")

    monkeypatch.setattr("detector.preflight.check_here", refuse)
    monkeypatch.setattr("ingest.session.opened_api", lambda *_, **__: pytest.fail("an API was started"))
    monkeypatch.setattr("ingest.cli._stop_on_signals", lambda stop: None)


@pytest.mark.parametrize("verb", [cli.serve, cli.demo])
@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        (["--device", "cuda"], WrongUse, "the backend openvino computes on the CPU, not on cuda"),
        (
            ["--backend", "onnx", "--device", "cuda:0"],
            Failure,
            "--device cuda:0 asks for a GPU, but there is none",
        ),
        (["--backend", "tpu"], WrongUse, "there is no backend 'tpu'"),
        (["--device", "gpu"], WrongUse, "--device: wanted cpu, cuda or cuda:N, got 'gpu'"),
    ],
)
def test_nothing_is_half_started(verb, options, error, says, no_gpu, tmp_path):
    data = tmp_path / "data"
    site = ["--site", str(SITE)] if verb is cli.serve else []
    with pytest.raises(error, match=says):
        verb([*site, "--data", str(data), "--port", "0", *options])
    assert not data.exists()


@pytest.mark.parametrize("verb", ["run x.mp4 --site", "serve --site"])
def test_an_unknown_gate_is_refused_before_anything_starts(verb, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        kerbwatch.main([*verb.split(), str(tmp_path / "site.toml"), "--gate", "nothing"])
    assert ended.value.code == 2
    assert "invalid choice: 'nothing'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
