"""`kerbwatch dataset mine | drift`, and the options of `kerbwatch dataset import verdicts`."""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from detector.errors import Failure, WrongUse


def add_verdict_options(parser: argparse.ArgumentParser) -> None:
    """Add what `import verdicts` takes besides."""
    group = parser.add_argument_group(
        "verdicts", "SOURCE is the address of an API, or its saved /v1/verdicts"
    )
    group.add_argument(
        "--evidence", type=Path, metavar="DATA", help="the server's data folder, where the originals lie"
    )
    _add_source_options(group)


def _add_source_options(parser: Any) -> None:
    parser.add_argument(
        "--token", default=os.environ.get("KERBWATCH_TOKEN", ""), help="of the API (or KERBWATCH_TOKEN)"
    )
    parser.add_argument(
        "--since", metavar="TIME", help="decisions from then on, such as 2026-11-01T00:00+08:00"
    )


def verdict_importer(args: argparse.Namespace) -> Any:
    """Give an importer with these options, None for another format.

    Raises:
        WrongUse: the options belong to verdicts, the format is another.
    """
    if args.kind != "verdicts":
        for option in ("evidence", "since"):
            if getattr(args, option):
                raise WrongUse(f"--{option} belongs to `import verdicts`, not to `import {args.kind}`.")
        return None
    from training.dataset.formats.verdicts import VerdictImporter

    return VerdictImporter(args.evidence, args.token, _time(args.since))


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise WrongUse(f"--since {text}: wanted a time with its offset, such as 2026-11-01T00:00+08:00.")
    return at


def add_drift(verbs: Any) -> None:
    """Add `kerbwatch dataset drift`."""
    parser = verbs.add_parser("drift", help="this month's decisions and scores beside the model's promise")
    parser.add_argument("source", metavar="VERDICTS", help="address of an API, or its saved /v1/verdicts")
    parser.add_argument("--model", default="street@production", help="name@version, alias or folder")
    parser.add_argument("--days", type=float, default=30.0, help="back from the newest event (default: 30)")
    _add_source_options(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=_drift)


def _drift(args: argparse.Namespace) -> int:
    from detector.registry import resolve
    from training.drift import measure_drift, table
    from training.verdicts.rows import read_verdicts

    if not args.days > 0:
        raise WrongUse(f"--days {args.days:g}: wanted more than 0.")
    spec = resolve(args.model)
    path = spec.folder / "metrics.json"
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Failure(f"{path}: cannot be read ({error}); `kerbwatch publish` writes it.") from error
    rows = read_verdicts(args.source, args.token, _time(args.since))
    report = measure_drift(rows, spec.ref, metrics, args.days)
    if report is None:
        models = ", ".join(sorted({row.model for row in rows})) or "none"
        raise Failure(f"{args.source}: holds no decision about {spec.ref}; models in it: {models}.")
    print(json.dumps(_plain(asdict(report)), indent=1) if args.json else table(report))
    return 0


def _plain(value: Any) -> Any:
    """Give JSON's own types: times as text, None for what is not a number."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 6)
    return value


def add_mine(verbs: Any) -> None:
    """Add `kerbwatch dataset mine`."""
    parser = verbs.add_parser("mine", help="the next pictures to label, or false alarms")
    parser.add_argument("folder", type=Path, metavar="DIR", help="pictures and clips")
    parser.add_argument("--out", type=Path, required=True, help="new folder for list, sheet and frames")
    parser.add_argument("--model", default="street@production", help="name@version, alias or folder")
    parser.add_argument(
        "--second", help="a second model, for its opinion; without it the mirror image is asked"
    )
    parser.add_argument("--known", type=Path, help="pictures that are labelled already")
    parser.add_argument("--count", type=int, default=50, help="pictures wanted (default: 50)")
    parser.add_argument(
        "--every", type=float, default=1.0, help="seconds between frames of a clip (default: 1)"
    )
    parser.add_argument(
        "--classes", default="", help="whose boxes count, such as stall,litter (default: all)"
    )
    parser.add_argument("--per-scene", type=int, help="most pictures of one clip or folder")
    for reason in ("uncertainty", "disagreement", "novelty"):
        parser.add_argument(f"--{reason}", type=float, default=1.0, help="weight (default: 1)")
    parser.add_argument("--hard-negatives", action="store_true", help="list false alarms of --absent classes")
    parser.add_argument("--absent", default="", help="classes that are not there, such as stall,flying_wire")
    parser.add_argument("--licence", default="", help="of the pictures, for the set of --hard-negatives")
    parser.add_argument("--json", action="store_true", help="print the list")
    parser.set_defaults(run=_mine)


def _mine(args: argparse.Namespace) -> int:
    if args.hard_negatives:
        rows = _false_alarms(args)
    elif args.absent:
        raise WrongUse("--absent belongs to --hard-negatives.")
    else:
        rows = _to_label(args)
    if args.json:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
    else:
        print(f"{args.out}: {len(rows)} pictures")
    return 0


def _to_label(args: argparse.Namespace) -> list[dict[str, Any]]:
    from contextlib import ExitStack

    from detector.detector import open_detector
    from training.mine import SCORE_FROM, Request, mine
    from training.mining.choose import Weights

    with ExitStack() as stack:
        first = stack.enter_context(open_detector(args.model))
        second = stack.enter_context(open_detector(args.second)) if args.second else None
        return mine(
            Request(
                args.folder,
                args.out,
                lambda image: first.detect(image, SCORE_FROM),
                first.spec.score_min,
                (lambda image: second.detect(image, SCORE_FROM)) if second else None,
                count=args.count,
                every_s=args.every,
                per_scene=args.per_scene,
                known=args.known,
                weights=Weights(args.uncertainty, args.disagreement, args.novelty),
                classes=_names(args.classes, first.names),
            )
        )


def _names(text: str, known: Sequence[str]) -> frozenset[str]:
    names = [name for name in text.split(",") if name]
    for name in names:
        if name not in known:
            raise WrongUse(f"--classes {name}: the model knows no such class; it has {', '.join(known)}.")
    return frozenset(names)


def _false_alarms(args: argparse.Namespace) -> list[dict[str, Any]]:
    from detector.detector import open_detector
    from training.labels import load_taxonomy
    from training.mining.false_alarms import Request, hard_negatives

    if not args.licence:
        raise WrongUse("--licence is missing: say under which one these pictures may be used.")
    with open_detector(args.model) as detector:
        return hard_negatives(
            Request(
                args.folder,
                args.out,
                detector.detect,
                detector.spec.score_min,
                tuple(name for name in args.absent.split(",") if name),
                load_taxonomy().names,
                args.licence,
                args.count,
                args.every,
            )
        )
