"""The command line: one verb per line, each importing its package only when called."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable

VERBS: dict[str, tuple[str, str]] = {
    "demo": (
        "ingest.cli:demo",
        "run the shipped model on the demo clip (or your own video) and open the page",
    ),
    "run": ("ingest.cli:run", "analyse one source and print its cases"),
    "serve": ("ingest.cli:serve", "serve the API and the page, analyse every camera of a site"),
    "top": ("ingest.fleet.top:top", "how the cameras of a running serve are doing, what is wrong first"),
    "detect": ("detector.cli:detect", "boxes of pictures"),
    "dataset": (
        "training.dataset.cli:dataset",
        "labelled pictures: import, check, stats, split, show, export",
    ),
    "evaluate": ("training.cli:evaluate", "accuracy of a model on a labelled data set"),
    "train": ("training.cli:train", "fine-tune a model from a TOML config"),
    "export": ("training.cli:export", "turn trained weights into the files the runtime reads"),
    "publish": ("training.cli:publish", "put trained weights, card and metrics into models/"),
    "promote": ("training.cli:promote", "point an alias such as street@production at a version"),
    "doctor": ("ingest.cli:doctor", "say what is missing on this machine, one line each"),
    "sandbox": ("api.cli:sandbox", "a receiver that answers and calls back like a city platform"),
}


def usage() -> str:
    """Give the text of `kerbwatch --help`."""
    lines = [f"  {verb:<10}{text}" for verb, (_, text) in VERBS.items()]
    return "\n".join(
        ("usage: kerbwatch VERB [options]     (kerbwatch VERB --help for its options)", "", *lines, "")
    )


def resolve(target: str) -> Callable[[list[str]], int]:
    """Import `module:function` and give the function."""
    module, _, name = target.partition(":")
    function: Callable[[list[str]], int] = getattr(importlib.import_module(module), name)
    return function


def main(argv: list[str] | None = None) -> int:
    """Run one verb; give its exit code: 0 ok, 1 failed, 2 wrong use."""
    from detector.errors import Failure

    args = sys.argv[1:] if argv is None else argv
    if not args or args[0] in {"-h", "--help"}:
        print(usage())
        return 0 if args else 2
    if args[0] == "--version":
        from importlib.metadata import version

        print(f"kerbwatch {version('kerbwatch')}")
        return 0
    if args[0] not in VERBS:
        print(f"kerbwatch: there is no verb {args[0]!r}; kerbwatch --help lists them.", file=sys.stderr)
        return 2
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    for chatty in ("httpx2", "httpcore2"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        return resolve(VERBS[args[0]][0])(args[1:])
    except Failure as failure:
        print(f"kerbwatch {args[0]}: {failure}", file=sys.stderr)
        return failure.exit_code
    except KeyboardInterrupt:
        print(f"kerbwatch {args[0]}: stopped.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
