"""Every figure of a model's card again, from the committed weights, where the pictures are present.

python benchmarks/model.py [--model street@production] [--data ../shared/data] [--scenes DIR] [--json FILE]

Exit code 1 where a figure does not come out within the tolerance (see training/evaluation/reproduce.py),
0 otherwise: what cannot be measured here is named as skipped, with the reason.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from detector.errors import Failure
from detector.registry import resolve
from training.evaluation.reproduce import TOLERANCE, Outcome, reproduce
from training.labels import load_taxonomy

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"


def main() -> int:
    """Measure, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="street@production", help="name@version, alias or folder")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the labelled sets")
    parser.add_argument("--scenes", type=Path, help="the rendered set that the card names, if it names one")
    parser.add_argument("--json", type=Path, help="write what came out")
    args = parser.parse_args()
    try:
        spec = resolve(args.model)
        outcome = reproduce(spec, load_taxonomy(), args.data, args.scenes)
    except Failure as failure:
        print(f"bench-model: {failure}", file=sys.stderr)
        return failure.exit_code
    show(spec.ref, outcome)
    if args.json:
        report = {
            "model": spec.ref,
            "same": outcome.same,
            "different": outcome.different,
            "skipped": outcome.skipped,
        }
        args.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 1 if outcome.different else 0


def show(ref: str, outcome: Outcome) -> None:
    """Print what was skipped, what differs, and the sum."""
    for name, why in outcome.skipped:
        print(f"skipped    {name}: {why}")
    for name, stated, found in outcome.different:
        print(f"DIFFERENT  {name}: stated {stated}, found {found}")
    print(
        f"{ref}: {len(outcome.same)} figures reproduce (within {TOLERANCE} or one box of the class; "
        f"the furthest is {outcome.furthest:.4f} off), {len(outcome.different)} do not, "
        f"{len(outcome.skipped)} parts skipped"
    )


if __name__ == "__main__":
    sys.exit(main())
