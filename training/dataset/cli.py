"""`kerbwatch dataset import | export | check | stats | split | show`."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from detector.errors import Failure, WrongUse
from training.dataset.formats import EXPORTERS, IMPORTERS
from training.dataset.scenes import NEAR_BITS_MAX
from training.dataset.types import Split
from training.verdicts.cli import add_drift, add_mine, add_verdict_options, verdict_importer

_ABOUT = """Labelled pictures as versions: a folder with images/, labels/, data.yaml, lists and dataset.toml.

  import KIND SOURCE   a folder, file or archive (.zip, .tar, .tar.gz) in another format becomes a new version
  export KIND DIR      the other way round
  check DIR            every fault, one line each; exits 1 if there are errors
  stats DIR            classes, sizes, shapes, lists, sources; --report DIR writes a page with bars and faults
  split DIR            draws train and val anew by scene: near-duplicates never straddle
  show DIR             a contact sheet: pictures with their boxes drawn, ignored regions hatched
  mine DIR             the next pictures to label, or (--hard-negatives) the false alarms in them
  drift VERDICTS       this month's decisions and scores beside what the model promised
"""


def dataset(argv: list[str]) -> int:
    """Run `kerbwatch dataset`."""
    parser = argparse.ArgumentParser(
        prog="kerbwatch dataset", description=_ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for add in (_add_import, _add_export, _add_check, _add_stats, _add_split, _add_show, add_mine, add_drift):
        add(verbs)
    args = parser.parse_args(argv)
    run: Callable[[argparse.Namespace], int] = args.run
    return run(args)


def _add_import(verbs: Any) -> None:
    parser = verbs.add_parser("import", help="another format becomes a new version")
    parser.add_argument("kind", choices=sorted(IMPORTERS), metavar="KIND", help=", ".join(sorted(IMPORTERS)))
    parser.add_argument("source", metavar="SOURCE", help="folder, file, archive or address")
    parser.add_argument("--out", type=Path, required=True, help="folder of the new version; must not exist")
    parser.add_argument("--name", required=True, help="of the version, such as street-3")
    parser.add_argument(
        "--licence", default="", help="of the pictures and labels; needed unless stated in it"
    )
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="FOREIGN=OURS",
        help="class; nothing after = leaves it out",
    )
    parser.add_argument("--parent", type=Path, help="version to grow from: its pictures and lists are kept")
    parser.add_argument("--title", default="", help="of the source, for dataset.toml")
    parser.add_argument("--url", default="", help="of the source, for dataset.toml")
    add_verdict_options(parser)
    parser.add_argument(
        "--split-by-scene", action="store_true", help="draw lists anew instead of keeping the source's own"
    )
    _add_split_options(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=_import)


def _add_split_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--val", type=float, default=0.15, help="share of the pictures (default: 0.15)")
    parser.add_argument("--test", type=float, default=0.0, help="share of the pictures (default: none)")
    parser.add_argument("--seed", type=int, default=1, help="of the draw (default: 1)")
    parser.add_argument(
        "--places",
        action="store_true",
        help="pictures of one place, by local features, are one scene; minutes",
    )
    parser.add_argument(
        "--scene-pattern",
        default="",
        metavar="REGEX",
        help="groups of it in the file name are the scene, as in '^(cam[0-9]+)_'",
    )
    parser.add_argument(
        "--scene-bits",
        type=int,
        default=NEAR_BITS_MAX,
        metavar="BITS",
        help=f"pictures whose dHashes differ in so many bits at most are one scene ({NEAR_BITS_MAX})",
    )


def _import(args: argparse.Namespace) -> int:
    from training.dataset.intake import Request, import_set

    done = import_set(
        Request(
            kind=args.kind,
            source=args.source,
            out=args.out,
            name=args.name,
            licence=args.licence,
            overrides=_overrides(args.map),
            split=_wish(args) if args.split_by_scene else None,
            unlisted=_wish(args),
            parent=args.parent,
            title=args.title,
            url=args.url,
            importer=verdict_importer(args),
        )
    )
    manifest = done.manifest
    if args.json:
        answer = {"folder": str(args.out)} | manifest.model_dump(mode="json", exclude_defaults=True)
        print(
            json.dumps(answer | {"warnings": [asdict(fault) for fault in done.warnings]}, ensure_ascii=False)
        )
        return 0
    for fault in done.warnings:
        print(fault, file=sys.stderr)
    boxes = sum(len(sample.boxes) for sample in done.samples)
    print(
        f"{args.out}: {manifest.name}, {manifest.train_pictures} train, {manifest.val_pictures} val, "
        f"{manifest.test_pictures} test, {boxes} boxes, {len(done.warnings)} warnings"
    )
    return 0


def _overrides(pairs: list[str]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        foreign, equals, ours = pair.rpartition("=")
        if not equals or not foreign:
            raise WrongUse(f"--map {pair}: wanted FOREIGN=OURS, such as garbage_bin=bin.")
        found[foreign.strip()] = ours.strip()
    return found


def _wish(args: argparse.Namespace, *, keep: bool = False) -> Any:
    from training.dataset.intake import SplitWish

    if not 0 <= args.scene_bits <= 16:
        raise WrongUse(f"--scene-bits {args.scene_bits}: wanted 0 to 16.")
    for option in ("val", "test"):
        share = getattr(args, option)
        if not (0 < share < 1 or (option == "test" and share == 0)):
            raise WrongUse(f"--{option} {share:g}: wanted a share between 0 and 1, such as 0.15.")
    if args.val + args.test >= 1:
        raise WrongUse(f"--val {args.val:g} and --test {args.test:g} leave nothing for train.")
    shares: dict[Split, float] = {"train": 1 - args.val - args.test, "val": args.val}
    if args.test:
        shares["test"] = args.test
    return SplitWish(shares, args.seed, args.scene_pattern, args.scene_bits, keep, args.places)


def _add_export(verbs: Any) -> None:
    parser = verbs.add_parser("export", help="a set in another format")
    parser.add_argument("kind", choices=sorted(EXPORTERS), metavar="KIND", help=", ".join(sorted(EXPORTERS)))
    parser.add_argument("dir", type=_folder, metavar="DIR", help="folder of a set")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; must not exist")
    parser.set_defaults(run=_export)


def _export(args: argparse.Namespace) -> int:
    from training.dataset.formats import exporter
    from training.dataset.store import read_set, scratch_beside

    stored = read_set(args.dir)
    with scratch_beside(args.out) as scratch, _writing(args.out):
        (scratch / "set").mkdir()
        exporter(args.kind).write(stored.samples, stored.names, scratch / "set")
        if stored.manifest and (unredacted := stored.manifest.unredacted):
            (scratch / "set").chmod(0o700)
            print(f"{args.out}: {unredacted} pictures show people unblurred: keep it here.", file=sys.stderr)
        (scratch / "set").rename(args.out)
    print(f"{args.out}: {len(stored.samples)} pictures as {args.kind}")
    return 0


def _add_check(verbs: Any) -> None:
    parser = verbs.add_parser("check", help="every fault, one line each; exits 1 if there are errors")
    parser.add_argument("dir", type=_folder, metavar="DIR", help="folder with a data.yaml")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--places", action="store_true", help="warn of places that are on two lists, too; takes minutes"
    )
    parser.set_defaults(run=_check)


def _check(args: argparse.Namespace) -> int:
    from training.dataset.check import check, tally

    faults = check(args.dir, places=args.places)
    errors = sum(fault.level == "error" for fault in faults)
    if args.json:
        found = {"errors": errors, "warnings": len(faults) - errors, "kinds": tally(faults)}
        print(
            json.dumps(found | {"faults": [asdict(fault) for fault in faults]}, ensure_ascii=False, indent=1)
        )
    else:
        for fault in faults:
            print(fault)
        print(f"{args.dir}: {errors} errors, {len(faults) - errors} warnings", file=sys.stderr)
    return 1 if errors else 0


def _add_stats(verbs: Any) -> None:
    parser = verbs.add_parser("stats", help="classes, sizes, shapes, lists, sources")
    parser.add_argument("dir", type=_folder, metavar="DIR", help="folder with a data.yaml")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--report", type=Path, metavar="FOLDER", help="write index.html with bars, faults and a contact sheet"
    )
    parser.set_defaults(run=_stats)


def _stats(args: argparse.Namespace) -> int:
    from training.dataset.stats import stats_of, table
    from training.dataset.store import read_set

    stored = read_set(args.dir, lenient=True)
    stats = stats_of(stored.samples, stored.names)
    if args.report:
        _write_report(args.report, args.dir, stored, stats)
    print(json.dumps(stats.as_json(), ensure_ascii=False, indent=1) if args.json else table(stats))
    return 0


def _write_report(folder: Path, source: Path, stored: Any, stats: Any) -> None:
    from detector.draw import encode_jpeg
    from training.dataset.check import check
    from training.dataset.report import html_report
    from training.dataset.show import choose, class_colours, contact_sheet
    from training.dataset.store import scratch_beside

    title = stored.manifest.name if stored.manifest else source.resolve().name
    colours = class_colours()
    faults = check(source)
    with scratch_beside(folder) as scratch, _writing(folder):
        made = scratch / "report"
        made.mkdir()
        if stored.samples:
            sheet = contact_sheet(choose(stored.samples, 24, seed=1), colours)
            (made / "sheet.jpg").write_bytes(encode_jpeg(sheet))
        page = html_report(title, stats, faults, colours, "sheet.jpg" if stored.samples else "")
        (made / "index.html").write_text(page, encoding="utf-8")
        numbers = stats.as_json() | {"faults": [asdict(fault) for fault in faults]}
        (made / "stats.json").write_text(json.dumps(numbers, ensure_ascii=False, indent=1), encoding="utf-8")
        made.rename(folder)
    print(f"{folder / 'index.html'}", file=sys.stderr)


def _add_split(verbs: Any) -> None:
    parser = verbs.add_parser("split", help="draw train and val anew by scene")
    parser.add_argument("dir", type=_folder, metavar="DIR", help="folder of a set; its lists are replaced")
    _add_split_options(parser)
    parser.add_argument("--keep", action="store_true", help="what is on a list stays; only the rest is dealt")
    parser.set_defaults(run=_split)


def _split(args: argparse.Namespace) -> int:
    from training.dataset.intake import split_set

    samples = split_set(args.dir, _wish(args, keep=args.keep))
    counts = {split: sum(sample.split == split for sample in samples) for split in get_args(Split)}
    print(f"{args.dir}: {', '.join(f'{count} {split}' for split, count in counts.items() if count)}")
    return 0


def _add_show(verbs: Any) -> None:
    parser = verbs.add_parser("show", help="a contact sheet with the boxes drawn")
    parser.add_argument("dir", type=_folder, metavar="DIR", help="folder with a data.yaml")
    parser.add_argument(
        "--out", type=Path, default=Path("sheet.jpg"), help="picture to write (default: sheet.jpg)"
    )
    parser.add_argument("--class", dest="label", default="", help="only pictures that show this class")
    parser.add_argument("--split", choices=get_args(Split), help="only this list")
    parser.add_argument("--n", type=int, default=16, help="how many pictures (default: 16)")
    parser.add_argument("--columns", type=int, default=4, help="pictures in a row (default: 4)")
    parser.add_argument("--seed", type=int, default=1, help="of the draw (default: 1)")
    parser.set_defaults(run=_show)


def _show(args: argparse.Namespace) -> int:
    import cv2

    from training.dataset.show import choose, class_colours, contact_sheet
    from training.dataset.store import read_set

    if args.n < 1 or args.n > 400 or args.columns < 1:
        raise WrongUse(
            f"--n {args.n} --columns {args.columns}: wanted 1 to 400 pictures and 1 or more columns."
        )
    if args.out.suffix.lower() not in {".jpg", ".jpeg", ".png", ".webp"}:
        raise WrongUse(f"--out {args.out}: wanted a name that ends in .jpg, .png or .webp.")
    stored = read_set(args.dir, lenient=True)
    if args.label and args.label not in stored.names:
        raise WrongUse(f"--class {args.label}: {args.dir} has {', '.join(stored.names)}.")
    chosen = choose(stored.samples, args.n, args.seed, args.label, args.split)
    data = cv2.imencode(args.out.suffix.lower(), contact_sheet(chosen, class_colours(), args.columns))[1]
    with _writing(args.out):
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_bytes(data.tobytes())
    print(f"{args.out}: {len(chosen)} pictures")
    return 0


def _folder(text: str) -> Path:
    """Give the folder of a set; its data.yaml may be named instead."""
    path = Path(text)
    return path.parent if path.name == "data.yaml" and path.is_file() else path


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Say in one sentence that something cannot be written: full disk, no permission, no such folder."""
    try:
        yield
    except OSError as error:
        raise Failure(f"{path}: cannot be written ({error.strerror}).") from error
