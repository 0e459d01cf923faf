"""The verbs of this room: evaluate, train, export, publish, promote."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from detector.errors import Failure, WrongUse


def evaluate(argv: list[str]) -> int:
    """Run `kerbwatch evaluate`."""
    parser = argparse.ArgumentParser(
        prog="kerbwatch evaluate", description="Accuracy of a model on a labelled data set in YOLO layout."
    )
    parser.add_argument(
        "data", type=Path, metavar="DATA.yaml", help="names, path, and a list or folder per split"
    )
    parser.add_argument("--model", default="street@production", help="name@version, alias or folder")
    parser.add_argument("--split", default="val", help="which list of the data set (default: val)")
    parser.add_argument("--backend", default="openvino", help="openvino, onnx or ultralytics")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args(argv)
    from detector.detector import open_detector
    from training.evaluate import SCORE_MIN, table
    from training.evaluate import evaluate as measure
    from training.labels import load_taxonomy
    from training.yolo_data import read_data_set

    data, taxonomy = read_data_set(args.data, args.split), load_taxonomy()
    with open_detector(args.model, args.backend) as detector:
        result = measure(
            data,
            taxonomy,
            lambda image: detector.detect(image, SCORE_MIN),
            detector.model_ref,
            detector.spec.score_min,
        ).as_json()
    print(json.dumps(result, indent=1) if args.json else table(result))
    return 0


def train(argv: list[str]) -> int:
    """Run `kerbwatch train`."""
    parser = argparse.ArgumentParser(
        prog="kerbwatch train", description="Fine-tune a model from a TOML config."
    )
    parser.add_argument("config", type=Path, help="training config, such as training/configs/street-2.toml")
    parser.add_argument(
        "--base",
        type=Path,
        required=True,
        help="base checkpoint: it completes labels, teaches, and is started from",
    )
    parser.add_argument(
        "--start", type=Path, help="checkpoint to start from instead, such as an earlier version"
    )
    parser.add_argument(
        "--data", type=Path, help="folder of the foreign sets; without it the built set is used"
    )
    parser.add_argument("--work", type=Path, default=Path("runs"), help="scratch folder (default: runs)")
    parser.add_argument("--resume", action="store_true", help="go on from the last saved epoch")
    args = parser.parse_args(argv)
    with contextlib.redirect_stdout(sys.stderr):  # ultralytics logs and draws its progress bar on stdout
        training = _with_torch("training.train")
        weights = training.train(
            args.config, args.base, args.data, args.work, start=args.start, resume=args.resume
        )
    print(weights)
    return 0


def export(argv: list[str]) -> int:
    """Run `kerbwatch export`."""
    parser = argparse.ArgumentParser(prog="kerbwatch export", description="Write a checkpoint as ONNX.")
    parser.add_argument("weights", type=Path, help="trained checkpoint (.pt)")
    parser.add_argument("--output", type=Path, help="default: the checkpoint's name with .onnx")
    parser.add_argument("--side", type=int, default=640, help="input size the checkpoint was trained for, px")
    parser.add_argument("--pictures", type=Path, help="folder of pictures to compare the two on")
    args = parser.parse_args(argv)
    if args.side < 32 or args.side % 32:
        raise WrongUse(f"--side {args.side}: wanted a positive multiple of 32.")
    target = args.output or args.weights.with_suffix(".onnx")
    with contextlib.redirect_stdout(sys.stderr):
        exporting = _with_torch("training.export")
        exporting.export_onnx(args.weights, target, args.side)
    report: dict[str, Any] = {"onnx": str(target), "size_bytes": target.stat().st_size}
    if args.pictures:
        files = sorted(path for path in args.pictures.rglob("*") if path.is_file())
        report["parity"] = asdict(exporting.measure_parity(args.weights, target, files, args.side))
    print(json.dumps(report, indent=1))
    return 0


def publish(argv: list[str]) -> int:
    """Run `kerbwatch publish`."""
    parser = argparse.ArgumentParser(
        prog="kerbwatch publish", description="Export, measure and describe trained weights as a new version."
    )
    parser.add_argument("weights", type=Path, help="trained checkpoint (.pt)")
    parser.add_argument("--run", type=Path, required=True, help="folder of the run, with config.toml")
    parser.add_argument("--base", type=Path, required=True, help="checkpoint it was fine-tuned from")
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of the foreign sets, for their val lists"
    )
    parser.add_argument("--name", default="street", help="family (default: street)")
    parser.add_argument("--version", type=int, help="default: the next free one")
    parser.add_argument("--replace", action="store_true", help="write over a version that exists")
    args = parser.parse_args(argv)
    with contextlib.redirect_stdout(sys.stderr):
        publishing = _with_torch("training.publish")
        folder = publishing.publish(
            publishing.Request(
                args.weights, args.run, args.base, args.data, args.name, args.version, replace=args.replace
            )
        )
    print(folder)
    return 0


def promote(argv: list[str]) -> int:
    """Run `kerbwatch promote`."""
    parser = argparse.ArgumentParser(
        prog="kerbwatch promote", description="Point an alias at a version: one line of models/registry.toml."
    )
    parser.add_argument("model", help="name@version, such as street@1")
    parser.add_argument("--alias", default="production", help="default: production")
    args = parser.parse_args(argv)
    from training.promote import promote as point

    print(f"{point(args.model, args.alias)} = {args.model}")
    return 0


def _with_torch(module: str) -> Any:
    """Import a module that needs the extra [train].

    Raises:
        Failure: the extra is not installed.
    """
    try:
        importlib.import_module("training.torchvision_shim").install()
        return importlib.import_module(module)
    except ImportError as error:
        name = (error.name or str(error)).partition(".")[0]
        raise Failure(f"{name} is not installed; this verb needs: pip install 'kerbwatch[train]'.") from error
