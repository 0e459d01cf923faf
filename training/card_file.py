"""A version's card.md, written from its metrics.json: by `kerbwatch publish`, and again when it says more.

`python -m training.card_file models/street/4`
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from detector.errors import Failure
from training.card import card
from training.labels import CLASSES_FILE

DATASETS = CLASSES_FILE.parent


def write_card(folder: Path, datasets: Path = DATASETS) -> Path:
    """Write a version's card.md from its metrics.json and the description of its data set; give its path.

    Raises:
        Failure: one of the two cannot be read, or the card cannot be written.
    """
    path = folder / "metrics.json"
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
        path = datasets / metrics["dataset"] / "dataset.toml"
        described = tomllib.loads(path.read_text(encoding="utf-8"))
        text, path = card(metrics, described), folder / "card.md"
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Failure(f"{path}: cannot be read or written ({error.strerror}).") from error
    except (ValueError, KeyError, TypeError) as error:
        raise Failure(f"{path}: is damaged, so there is no card ({error!r}).") from error
    return path


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and write the card; give the exit status."""
    parser = argparse.ArgumentParser(description="Write the card of a version again, from its metrics.json.")
    parser.add_argument("version", type=Path, metavar="DIR", help="such as models/street/4")
    try:
        path = write_card(parser.parse_args(argv).version)
    except Failure as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
