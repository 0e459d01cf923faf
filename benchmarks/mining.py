"""Does mining find the pictures a model is wrong about? Errors per picture among those it would choose.

python benchmarks/mining.py [--model street@1] [--count 40] [--json FILE]

The pool is the val lists of cn_garbage_bins, taco_litter and in_street_vendor beside the checkout: labelled,
so that what is wrong with the model's boxes is known, and not used for choosing. An error is a labelled box
that is missed or a box that is none, at the operating threshold and IoU 0.5. Chance: 2000 random choices.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from detector.detector import Detector, open_detector
from detector.types import Detections, Image
from training.dataset.look import dhash
from training.evaluate import labels_of, read_picture
from training.labels import load_taxonomy
from training.metrics import LabelledPicture, score_classes
from training.mine import SCORE_FROM, of_classes
from training.mining.choose import Candidate, Weights, choose
from training.mining.value import disagreement, look, mirrored, uncertainty
from training.yolo_data import read_data_set

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
SETS = ("cn_garbage_bins", "taco_litter", "in_street_vendor")
CLASSES = frozenset({"litter", "garbage", "bin", "bin_overflow", "stall", "tricycle"})
REASONS = {
    "all three": Weights(),
    "uncertainty": Weights(1, 0, 0),
    "disagreement": Weights(0, 1, 0),
    "novelty": Weights(0, 0, 1),
}
DRAWS = 2000


def candidate(name: str, scene: str, image: Image, found: Detections, detector: Detector) -> Candidate:
    """Give what `kerbwatch dataset mine` would make of a picture."""
    mirror = of_classes(detector.detect(np.ascontiguousarray(image[:, ::-1]), SCORE_FROM), CLASSES)
    doubt = uncertainty(found, detector.spec.score_min)
    split = disagreement(found, mirrored(mirror, image.shape[1]))
    return Candidate(name, scene, doubt, split, look(image), dhash(image))


def errors_of(picture: LabelledPicture, names: Mapping[int, str], score_min: Mapping[str, float]) -> int:
    """Count missed and wrong boxes of one picture."""
    count = 0
    for name, score in score_classes([picture], names).items():
        kept = score.matches.score >= score_min[name]
        hits = int(score.matches.hit[kept].sum())
        count += score.n - hits + int(kept.sum()) - hits
    labelled = {names[int(index)] for index in picture.truth_class}
    for index, score in zip(picture.found_class, picture.found_score, strict=True):
        name = names.get(int(index), "")  # classes without a labelled box are not scored above
        count += name not in labelled and name != "" and score >= score_min[name]
    return count


def measure(model: str, count: int) -> dict[str, Any]:
    """Look at the pool once, then choose in several ways."""
    taxonomy = load_taxonomy()
    names = {taxonomy.names.index(name): name for name in CLASSES}
    candidates, errors = [], []
    with open_detector(model, threads=1) as detector:
        for name in SETS:
            data = read_data_set(SHARED / name / "data.yaml", "val")
            carried = [each if each in CLASSES else None for each in taxonomy.mapping(data.names, name)]
            for path in data.pictures:
                image = read_picture(path)
                found = of_classes(detector.detect(image, SCORE_FROM), CLASSES)
                candidates.append(candidate(str(path), name, image, found, detector))
                picture = labels_of(path, image, carried, taxonomy, found)
                errors.append(errors_of(picture, names, detector.spec.score_min))
        ref = detector.model_ref
    wrong = np.array(errors)
    random = np.random.default_rng(1)
    drawn = [float(wrong[random.permutation(len(wrong))[:count]].mean()) for _ in range(DRAWS)]
    low, high = np.percentile(drawn, (2.5, 97.5))
    rows = {"chance": {"errors": float(wrong.mean()), "errors_95": [float(low), float(high)]}}
    for reason, weights in REASONS.items():
        picks = choose(candidates, count, per_scene=count, weights=weights)
        rows[reason] = {"errors": float(wrong[[pick.index for pick in picks]].mean()), "n": len(picks)}
    return {"model": ref, "pool": len(wrong), "count": count, "errors_per_picture": rows}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="street@1")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if not all((SHARED / name / "data.yaml").is_file() for name in SETS):
        print(f"skipped: {', '.join(SETS)} are not beside the checkout")
        return
    result = measure(args.model, args.count)
    print(f"{result['model']}: {result['count']} of {result['pool']} pictures, errors per picture")
    for reason, row in result["errors_per_picture"].items():
        spread = "{:.2f} to {:.2f}".format(*row["errors_95"]) if "errors_95" in row else ""
        print(f"{reason:<14}{row['errors']:>6.2f}  {spread}")
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
