"""What this machine has and lacks for Kerbwatch: one line each."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from detector.errors import Failure

FREE_BYTES_MIN = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: `needed` ones decide the exit code, the others are only worth knowing."""

    name: str
    ok: bool
    needed: bool
    text: str


def _package(name: str, needed: bool, remedy: str) -> Finding:  # noqa: FBT001
    found = importlib.util.find_spec(name) is not None
    return Finding(name, found, needed, "installed" if found else f"missing: {remedy}")


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    ok = sys.version_info >= (3, 11)
    return Finding(
        "python", ok, needed=True, text=version if ok else f"{version} is too old: use 3.11 or newer"
    )


def _model(reference: str) -> Finding:
    from detector.registry import resolve

    try:
        spec = resolve(reference)
    except Failure as failure:
        return Finding("model", ok=False, needed=True, text=str(failure))
    return Finding(
        "model", ok=True, needed=True, text=f"{reference} is {spec.name}@{spec.version}, hashes as published"
    )


def _encoder() -> Finding:
    try:
        import av

        ok = "libx264" in av.codecs_available
    except ImportError:
        ok = False
    return Finding(
        "h264", ok, needed=True, text="libx264 in PyAV" if ok else "missing: pip install av (with libx264)"
    )


def _devices() -> Finding:
    try:
        from detector.backends.openvino import import_openvino

        devices = list(import_openvino().Core().available_devices)
    except ImportError:
        return Finding("openvino", ok=False, needed=True, text="missing: pip install openvino")
    return Finding("openvino", bool(devices), needed=True, text=f"devices {', '.join(devices) or 'none'}")


def _folder(data: Path) -> Finding:
    place = data
    while not place.exists() and place != place.parent:
        place = place.parent
    if not os.access(place, os.W_OK):
        return Finding(
            "data", ok=False, needed=True, text=f"{place} is not writable: choose another --data folder"
        )
    free = shutil.disk_usage(place).free
    ok = free >= FREE_BYTES_MIN
    text = f"{data}: {free / 1e9:.0f} GB free"
    return Finding(
        "data", ok, needed=True, text=text if ok else f"{text}, want 2 GB: make room or choose --data"
    )


def _port(port: int) -> Finding:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return Finding("port", ok=False, needed=False, text=f"{port} is in use: serve with --port")
    return Finding("port", ok=True, needed=False, text=f"{port} is free")


def _program(name: str, use: str) -> Finding:
    path = shutil.which(name)
    return Finding(
        name, path is not None, needed=False, text=path or f"missing: only for {use} (apt-get install {name})"
    )


def examine(model: str, data: Path, port: int) -> list[Finding]:
    """Look at this machine; give the findings in the order a user would mend them."""
    looks: tuple[Callable[[], Finding], ...] = (
        _python,
        _devices,
        _encoder,
        lambda: _model(model),
        lambda: _folder(data),
        lambda: _port(port),
        lambda: _package("nicegui", needed=True, remedy="pip install nicegui"),
        lambda: _package(
            "onnxruntime", needed=False, remedy="only for --backend onnx: pip install 'kerbwatch[onnx]'"
        ),
        lambda: _package("torch", needed=False, remedy="only for training: pip install 'kerbwatch[train]'"),
        lambda: _package(
            "ultralytics", needed=False, remedy="only for training: pip install 'kerbwatch[train]'"
        ),
        lambda: _program("chromium", "the browser tests"),
    )
    return [look() for look in looks]
