"""The verbs of this room: evaluate, train, export, publish, promote."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import sys
from collections.abc import Mapping
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
    parser.add_argument(
        "--precision",
        choices=("f32", "bf16", "f16", "int8"),
        help="arithmetic (what model.toml says, else f32)",
    )
    parser.add_argument(
        "--decoding",
        default="best-class",
        choices=("best-class", "every-class"),
        help="whether a place of the network gives one box, as `detect` does (default), or one per class, "
        "as in the figures of ultralytics; `detect --every-class` gives those boxes",
    )
    parser.add_argument(
        "--report",
        type=Path,
        metavar="DIR",
        help="write intervals, slices, calibration, plots and the worst cases into a new folder",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args(argv)
    from detector.detector import open_detector
    from training.evaluate import carried_of, score, table
    from training.evaluation.lists import look_at_list
    from training.evaluation.report import check_folder
    from training.labels import load_taxonomy
    from training.yolo_data import read_data_set

    data, taxonomy = read_data_set(args.data, args.split), load_taxonomy()
    carried_of(data, taxonomy)
    if args.report:
        check_folder(args.report)
    with open_detector(args.model, args.backend, precision=args.precision) as detector:
        spec, every_class = detector.spec, args.decoding == "every-class"
        looked = look_at_list(
            args.data.resolve().parent.name, data, detector, taxonomy, every_class=every_class
        )
    evaluation = score(data, taxonomy, looked.pictures, looked.at_work, spec.ref, spec.score_min)
    result = evaluation.as_json() | {"decoding": args.decoding}
    if args.report:
        result |= _report(args.report, result, looked, taxonomy, spec.score_min)
    print(json.dumps(result, indent=1) if args.json else table(result))
    return 0


def _report(
    folder: Path, result: dict[str, Any], looked: Any, taxonomy: Any, score_min: Mapping[str, float]
) -> dict[str, Any]:
    """Write the report; give what it adds to the JSON object."""
    from training.evaluation.measure import measure_model
    from training.evaluation.report import write_report

    parts = measure_model((looked,), taxonomy, score_min)
    title = f"{result['model']} on {looked.folder}, {result['images']} pictures"
    page = write_report(folder, title, (looked,), taxonomy, parts)
    print(f"report: {page}", file=sys.stderr)
    return {key: parts[key] for key in ("operating_points", "slices", "calibration", "confusion")}


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
        help="base checkpoint (.pt, or a version's ONNX file): completes labels, teaches, is started from",
    )
    parser.add_argument(
        "--start",
        type=Path,
        help="checkpoint or ONNX file to start from instead, such as street.onnx of an earlier version",
    )
    parser.add_argument(
        "--data", type=Path, help="folder of the foreign sets; without it the built set is used"
    )
    parser.add_argument("--work", type=Path, default=Path("runs"), help="scratch folder (default: runs)")
    parser.add_argument("--resume", action="store_true", help="go on from the last saved epoch")
    parser.add_argument(
        "--device",
        metavar="D",
        help="auto, cpu or cuda:N (default: what the config says, else auto)",
    )
    args = parser.parse_args(argv)
    with contextlib.redirect_stdout(sys.stderr):  # ultralytics logs and draws its progress bar on stdout
        training = _with_torch("training.train")
        weights = training.train(
            args.config,
            args.base,
            args.data,
            args.work,
            start=args.start,
            resume=args.resume,
            device=args.device,
        )
    print(weights)
    return 0


def export(argv: list[str]) -> int:
    """Run `kerbwatch export`."""
    parser = argparse.ArgumentParser(
        prog="kerbwatch export", description="Write a checkpoint as ONNX, and as INT8 for OpenVINO."
    )
    parser.add_argument("weights", type=Path, help="trained checkpoint (.pt), or the ONNX file of a version")
    parser.add_argument("--output", type=Path, help="default: the checkpoint's name with .onnx")
    parser.add_argument("--side", type=int, default=640, help="input size the checkpoint was trained for, px")
    parser.add_argument("--pictures", type=Path, help="folder of pictures to compare the forms on")
    parser.add_argument(
        "--int8", type=Path, metavar="DIR", help="write INT8 too, calibrated on pictures of this folder"
    )
    args = parser.parse_args(argv)
    if args.side < 32 or args.side % 32:
        raise WrongUse(f"--side {args.side}: wanted a positive multiple of 32.")
    target = args.output or args.weights.with_suffix(".onnx")
    if target == args.weights:
        raise WrongUse(f"{target}: would be written over; say where to with --output.")
    with contextlib.redirect_stdout(sys.stderr):
        report = _with_torch("training.export").export_all(
            args.weights, target, args.side, _files_in(args.pictures), _files_in(args.int8)
        )
    print(json.dumps(report, indent=1))
    return 0


def _files_in(folder: Path | None) -> list[Path]:
    if folder is None:
        return []
    from training.yolo_data import PICTURE_SUFFIXES

    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
    if not files:
        raise WrongUse(f"{folder}: there is no picture in it; give a folder with pictures.")
    return files


def publish(argv: list[str]) -> int:
    """Run `kerbwatch publish`."""
    parser = argparse.ArgumentParser(
        prog="kerbwatch publish", description="Export, measure and describe trained weights as a new version."
    )
    parser.add_argument("weights", type=Path, help="trained checkpoint (.pt), or the ONNX file of a version")
    parser.add_argument("--run", type=Path, required=True, help="folder of the run, with config.toml")
    parser.add_argument("--base", type=Path, required=True, help="checkpoint it was fine-tuned from")
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of the foreign sets, for their val lists"
    )
    parser.add_argument("--scenes", type=Path, metavar="DIR", help="rendered set with a val list")
    parser.add_argument(
        "--precision",
        choices=("int8", "f32"),
        help="what runs by default (default: int8 if no class with 30 boxes loses over a point by it)",
    )
    parser.add_argument("--name", default="street", help="family (default: street)")
    parser.add_argument("--version", type=int, help="default: the next free one")
    parser.add_argument("--replace", action="store_true", help="write over a version that exists")
    parser.add_argument(
        "--size-max",
        type=float,
        default=12.0,
        metavar="MB",
        help="what a version may have, for it ends up in git (default: 12; a larger student needs more)",
    )
    args = parser.parse_args(argv)
    with contextlib.redirect_stdout(sys.stderr):
        publishing = _with_torch("training.publish")
        folder = publishing.publish(
            publishing.Request(
                args.weights,
                args.run,
                args.base,
                args.data,
                scenes=args.scenes,
                name=args.name,
                version=args.version,
                precision=args.precision,
                replace=args.replace,
                size_max=round(args.size_max * 1e6),
            )
        )
    print(folder)
    return 0


def promote(argv: list[str]) -> int:
    """Run `kerbwatch promote`."""
    parser = argparse.ArgumentParser(
        prog="kerbwatch promote",
        description="Point an alias at a version: one line of models/registry.toml, and a line of history. "
        "production takes no version that is worse in a class; a canary may be anything that is whole. "
        "Servers that run take the change when they are started again.",
    )
    parser.add_argument("model", nargs="?", help="name@version, such as street@1; with --rollback the name")
    parser.add_argument("--alias", default="production", help="production (default), canary or another word")
    parser.add_argument("--reason", default="", help="why; kept in the registry's history")
    parser.add_argument("--force", default="", metavar="REASON", help="promote although it is worse, and why")
    parser.add_argument("--rollback", action="store_true", help="take the alias's last change back")
    args = parser.parse_args(argv)
    if args.rollback and (args.force or "@" in (args.model or "")):
        raise WrongUse("--rollback takes no version and no --force: it goes back to the one before.")
    if not args.rollback and args.model is None:
        raise WrongUse("say which version: kerbwatch promote street@1, or --rollback for the one before.")
    from training.promote import promote as point
    from training.promote import roll_back

    if args.rollback:
        change = roll_back(args.model or "street", args.alias, reason=args.reason)
    else:
        found = point(args.model, args.alias, reason=args.reason, force=args.force)
        if found is None:
            print(f"{args.model.partition('@')[0]}@{args.alias} = {args.model} already")
            return 0
        change = found
    print(f"{change.alias} = {change.after}" + (f" (was {change.before})" if change.before else ""))
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
