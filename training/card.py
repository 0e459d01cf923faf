# ruff: noqa: E501 - Markdown tables
"""The model card of a published version, from metrics.json and the data set's description. Needs no torch.

Every sentence about accuracy depends on the figures: what is weak, what was measured on rendered pictures only,
what INT8 costs. Sections without figures are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.origins import making, sources, table
from training.outlook import by_epochs
from training.release import LICENCE
from training.shortfall import section as shortfall

WEAK_BELOW = 0.6
FEW_BOXES = 30
BEHIND_BASE = 0.02

Metrics = Mapping[str, Any]


def card(metrics: Metrics, dataset: Mapping[str, Any]) -> str:
    """Give the text of the model card."""
    sections = [
        _head(metrics),
        _use(metrics),
        _figures(metrics),
        _rendered(metrics),
        _against_base(metrics),
        _completed(metrics),
        _slices(metrics),
        _calibration(metrics),
        _precision(metrics),
        _ablations(metrics),
        _learning(metrics),
        by_epochs(metrics),
        shortfall(metrics, dataset),
        making(metrics, dataset),
        sources(dataset),
        _weaknesses(metrics, dataset),
    ]
    return "\n".join(section for section in sections if section)


def _head(metrics: Metrics) -> str:
    files = (
        "`street.onnx` is for the backends openvino, onnx and ultralytics (torch, GPU), and training can start from it: its "
        "metadata hold the network of the checkpoint"
    )
    if metrics.get("int8", {}).get("published"):
        preferred = "and are" if metrics["precision"] == "int8" else "but are not"
        files = (
            f"`street-int8.xml` and `.bin` are for the backend openvino {preferred} what it takes where nobody asks "
            f"(`--precision`); {files}"
        )
    return f"""# {metrics["model"]}

Licence: {LICENCE}

Detects, in pictures of streets: {", ".join(metrics["classes"])}. {metrics["parameters"]:,} parameters, input
{metrics["side_px"]} px on the longest side.

{files}. Thresholds per class are in `model.toml`, every figure below in `metrics.json`; both were written by
`kerbwatch publish`, none by hand.
"""


def _use(_: Metrics) -> str:
    return """## What it is for

To draw a person's attention to a place in a street: the boxes go through a tracker, rules with dwell times and zones, and
a person confirms or rejects each case with its pictures. It is not for automatic penalties, not for deciding about
people, and not for recognising who is in a picture: it has no class for that, and what it finds is wrong often enough
(precision below) that nobody may be fined on it alone. Before it watches a new kind of camera, measure it there.
"""


def _interval(row: Mapping[str, Any], key: str) -> str:
    if f"{key}_low" not in row:
        return f"{row[key]:.2f}"
    return f"{row[key]:.2f} ({row[f'{key}_low']:.2f} to {row[f'{key}_high']:.2f})"


def _figures(metrics: Metrics) -> str:
    rows = [
        [
            name, f"{row['ap50']:.3f}", f"{row['ap50_low']:.3f} to {row['ap50_high']:.3f}", f"{row['ap5095']:.3f}",
            f"{row['score_min']:.2f}", _interval(row, "precision"), _interval(row, "recall"), row["n"],
            row["pictures"], ", ".join(row["sets"]),
        ]
        for name, row in metrics["classes"].items()
    ]  # fmt: skip
    header = [
        "class",
        "AP50",
        "95 % interval",
        "AP50-95",
        "threshold",
        "precision",
        "recall",
        "boxes",
        "pictures",
        "val list",
    ]
    stated = metrics.get("precision_min")
    chosen = (
        f"The thresholds were chosen on these same val lists (best F1 where precision reaches {stated:g}; `basis` in "
        "metrics.json says where it could not, or where a class had too few boxes)"
        if stated
        else "The thresholds were chosen on these same val lists"
    )
    return f"""## Figures

On the val lists of {metrics["dataset"]} with the labels as their sources give them, at {metrics["side_px"]} px, in {metrics["precision"]}
on OpenVINO (pycocotools), {metrics["machine"]}, {metrics["date"]}. Intervals are 95 %, a bootstrap over the pictures
({metrics["bootstrap_rounds"]} rounds). Precision and recall hold at the class's threshold and IoU 0.5.

{table(header, rows)}

{chosen}, so precision and recall are a little flattering. The val lists also served to compare training runs: expect a
few hundredths less on new pictures.
"""


def _rendered(metrics: Metrics) -> str:
    made = metrics.get("rendered_set")
    names = rendered_only(metrics)
    if not names:
        return ""
    rows = [
        [place, part["pictures"], name, part["classes"][name]["boxes"], part["classes"][name]["pictures"]]
        for place, part in metrics["look_alikes"].items()
        for name in names
    ]
    return f"""## Measured on rendered pictures only: {", ".join(names)}

There is no public set of real pictures for {", ".join(names)}. It was learnt and measured on scenes composed from real
street pictures (training/scenes); those of the val list `{made}` use façades, cables and bikes that no training
scene uses. The figure above says how well such scenes are told apart, not how many real ones are found. What real
pictures can show is how often it cries wolf: real pictures that show none, at the threshold of {", ".join(names)}.

{table(["real pictures", "how many", "class", "false boxes", "pictures with one"], rows)}

Pictures held out were kept out of training; those learnt from were not.
"""


def rendered_only(metrics: Metrics) -> list[str]:
    """Give the classes that were measured on nothing but rendered pictures."""
    made = metrics.get("rendered_set")
    return [name for name, row in metrics["classes"].items() if made and row["sets"] == [made]]


def _against_base(metrics: Metrics) -> str:
    base = metrics["base"]
    rows = [
        [
            name, f"{row['ap50']:.3f}", f"{base['base'][name]['ap50']:.3f}",
            f"{row['ap50'] - base['base'][name]['ap50']:+.3f}", f"{row['ap5095']:.3f}",
            f"{base['base'][name]['ap5095']:.3f}", f"{row['ap5095'] - base['base'][name]['ap5095']:+.3f}", row["n"],
        ]
        for name, row in base["model"].items()
        if name in base["base"]
    ]  # fmt: skip
    header = ["class", "AP50", "base", "difference", "AP50-95", "base", "difference", "boxes"]
    return f"""## Against the base model

People and vehicles on the val list of {base["set"]}, this model and the one it was fine-tuned from (in f32), measured
the same way.

{table(header, rows)}
"""


def _completed(metrics: Metrics) -> str:
    done = metrics.get("completed")
    if not done:
        return ""
    rows = [
        [
            name, f"{metrics['classes'][name]['ap50']:.3f}", metrics["classes"][name]["n"], f"{row['ap50']:.3f}",
            row["n"], row["added"], row["ignored"],
        ]
        for name, row in done.items()
    ]  # fmt: skip
    return f"""## Labels completed

Some val pictures show things that their source did not label. With the boxes that we added by looking at the pictures,
and regions nobody can be sure about left out of the count:

{table(["class", "AP50 as given", "boxes", "AP50 completed", "boxes", "added", "regions left out"], rows)}
"""


def _slices(metrics: Metrics) -> str:
    slices = metrics.get("slices")
    if not slices:
        return ""
    parts = [
        table(
            [kind, *(name for name in metrics["classes"])],
            [
                [
                    value,
                    *(
                        f"{rows[name]['ap50']:.2f} ({rows[name]['n']})" if name in rows else ""
                        for name in metrics["classes"]
                    ),
                ]
                for value, rows in values.items()
            ],
        )
        for kind, values in slices.items()
        if kind != "set"
    ]
    return f"""## Slices

AP50 and, in brackets, boxes; intervals and recall are in metrics.json. `light` is the picture's mean luminance, which stands
for day and night where no clock was recorded.{_of_places(slices)}{_of_contrast(slices)}

{(chr(10) * 2).join(parts)}
"""


def _of_contrast(slices: Mapping[str, Any]) -> str:
    if "contrast" not in slices:
        return ""
    return " `contrast` is by how much a rendered cable differs from what is behind it: the faint ones a person has to search for."


def _of_places(slices: Mapping[str, Any]) -> str:
    if "place" not in slices:
        return ""
    return (
        " `place` tells val pictures apart whose street corner a train picture shows too (of the sets in which that was looked "
        "for): a figure that is better there is partly memory."
    )


def _calibration(metrics: Metrics) -> str:
    curve = metrics.get("calibration", {}).get("all")
    if not curve or curve["ece"] is None:
        return ""
    rows = [
        [f"{one['low']:.1f} to {one['high']:.1f}", f"{one['score']:.2f}", f"{one['precision']:.2f}", one["n"]]
        for one in curve["bins"]
    ]
    return f"""## What a score means

Of the boxes of all classes in a range of scores, the share that is right (IoU 0.5); expected calibration error
{curve["ece"]:.3f}. Per class in metrics.json.

{table(["score", "mean score", "share right", "boxes"], rows)}
"""


def _precision(metrics: Metrics) -> str:
    forms = metrics.get("forms")
    if not forms:
        return ""
    names = list(forms["map50"])
    rows = [[name, *(f"{row[form]:.3f}" for form in names)] for name, row in forms["classes"].items()]
    rows.append(["mean", *(f"{forms['map50'][form]:.4f}" for form in names)])
    boxes = [
        [
            step, row["matched"], row["lost"], row["gained"], f"{row['iou_mean']:.3f}", f"{row['iou_min']:.2f}",
            f"{row['score_mean']:.4f}", f"{row['score_max']:.3f}",
        ]
        for step, row in forms["boxes"].items()
    ]  # fmt: skip
    header = [
        "from, to",
        "matched",
        "lost",
        "gained",
        "IoU mean",
        "least",
        "score difference mean",
        "largest",
    ]
    return f"""## Parity of its forms

AP50 of the checkpoint (torch, f32), the ONNX file (OpenVINO, f32) and INT8 on the val lists:

{table(["class", *names], rows)}

Boxes at work with a score of 0.25 or more, matched by class and overlap:

{table(header, boxes)}

{_int8(metrics["int8"])}
{_outputs(metrics["parity"])}
"""


def _int8(report: Mapping[str, Any]) -> str:
    calibration, last = report["calibration"], report["tried"][-1]
    sets = ", ".join(f"{count} {name}" for name, count in calibration["sets"].items())
    outcome = (
        f"in floating point stay: {', '.join(last['kept'])}; mAP50 falls by {100 * last['drop_map50']:.2f} points (at most "
        f"{100 * report['drop_max']:g} are accepted)"
        if report["published"]
        else f"no attempt stayed within {100 * report['drop_max']:g} point of mAP50 (best {100 * min(one['drop_map50'] for one in report['tried']):.2f}), "
        "so none is published"
    )
    losers = ", ".join(f"{name} {100 * loss:.1f}" for name, loss in report.get("losers", {}).items())
    costly = (
        f" Classes with {FEW_BOXES} boxes and more that lose over a point by it: {losers}." if losers else ""
    )
    return (
        f"INT8 was made by NNCF {report['nncf']}, calibrated on {calibration['pictures']} pictures of the train lists ({sets}); "
        f"{outcome}.{costly}"
    )


def _outputs(parity: Mapping[str, Any]) -> str:
    return (
        f"The ONNX file stores its weights as fp16. Its raw output against the checkpoint's, on {parity['pictures']} pictures and "
        f"{parity['boxes']} places with a score of {parity['score_min']:g} or more: a box edge moves by {parity['box_px_mean']:.3f} px on "
        f"average and {parity['box_px_max']:.2f} px at most, a score by {parity['score_max']:.4f} at most."
    )


def _ablations(metrics: Metrics) -> str:
    runs = metrics.get("ablations")
    if not runs:
        return ""
    names = list(dict.fromkeys(name for run in runs for name in run["classes"]))
    rows = [
        [
            run["name"], run["change"], _sides(run), run["epochs"], f"{run['map50']:.3f}",
            *(f"{run['classes'][name]['ap50']:.3f}" if name in run["classes"] else "" for name in names),
            run.get("note", ""),
        ]
        for run in runs
    ]  # fmt: skip
    return f"""## What each part brings

Short trainings that differ in one thing each, on the same val lists; their figures are below those of this version, which
trained longer. Only the differences between rows speak, and for classes with few boxes not even those.

{table(["run", "change", "side px", "epochs", "mAP50", *names, "note"], rows)}
"""


def _sides(run: Mapping[str, Any]) -> str:
    """Give the side a run was trained at, and the one it was measured at where that is another.

    >>> _sides({"side_px": 512, "measured_at": 640}), _sides({"side_px": 640})
    ('512, measured at 640', '640')
    """
    at = run.get("measured_at", run["side_px"])
    return str(run["side_px"]) if at == run["side_px"] else f"{run['side_px']}, measured at {at}"


def _learning(metrics: Metrics) -> str:
    points = metrics.get("learning_curve")
    if not points:
        return ""
    names = list(dict.fromkeys(point["class"] for point in points))
    counts = sorted({point["pictures"] for point in points})
    at = {(point["pictures"], point["class"]): point["ap50"] for point in points}
    rows = [
        [count, *(f"{at[count, name]:.3f}" if (count, name) in at else "" for name in names)]
        for count in counts
    ]
    return f"""## More pictures, better figures?

AP50 after the same training on a share of the pictures:

{table(["pictures", *names], rows)}
"""


def _weaknesses(metrics: Metrics, dataset: Mapping[str, Any]) -> str:
    items = [*_measured_weaknesses(metrics), *dataset.get("weaknesses", ())]
    return "## Weaknesses\n\n" + "".join(f"- {item}\n" for item in items)


def _measured_weaknesses(metrics: Metrics) -> list[str]:
    rows, base = metrics["classes"], metrics["base"]
    weak = [f"{name} ({row['ap50']:.2f})" for name, row in rows.items() if row["ap50"] < WEAK_BELOW]
    few = [f"{name} ({row['n']})" for name, row in rows.items() if row["n"] < FEW_BOXES]
    behind = [
        f"{name} ({100 * (row['ap50'] - base['base'][name]['ap50']):+.1f} points)"
        for name, row in base["model"].items()
        if name in base["base"] and row["ap50"] < base["base"][name]["ap50"] - BEHIND_BASE
    ]
    made = rendered_only(metrics)
    items = [
        f"AP50 below {WEAK_BELOW}: {', '.join(weak) or 'none'}.",
        f"Too few labelled boxes in val to trust the figure: {', '.join(few) or 'none'}.",
    ]
    if behind:
        items.append(f"Found less well than by the base model, by more than 2 points: {', '.join(behind)}.")
    if made:
        items.append(
            f"{', '.join(made)}: learnt from composed scenes alone, because no public picture set exists; no real one was "
            "available to measure on. Treat its alarms as a hint until a city's own pictures have been labelled."
        )
    if any(stage.get("synthetic") for stage in metrics["stages"]):
        items.append(
            "Rendered scenes took part in training. What it finds in rendered clips (the demo) says little about real streets."
        )
    return items
