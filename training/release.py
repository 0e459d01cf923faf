# ruff: noqa: E501 - Markdown tables
"""What a published version says about itself: model.toml, metrics.json and the card. Needs no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LICENCE = "AGPL-3.0-or-later"

BACKEND_FILES = (("onnx", "street.onnx"), ("ultralytics", "street.pt"))
"""The openvino backend reads the onnx file too."""


def model_toml(
    folder: Path, name: str, version: int, labels: Sequence[str], score_min: Mapping[str, float], dataset: str
) -> str:
    """Give the text of model.toml for the files in `folder`."""
    lines = [
        f"name = {json.dumps(name)}",
        f"version = {version}",
        'decoder = "yolo_dfl_free"      # raw (B, 4 + classes, N): centre x, y, width, height in px, then scores',
        "side_px = 640",
        "stride_px = 32",
        f"labels = [{', '.join(json.dumps(label) for label in labels)}]",
        "iou_max = 0.6",
        f"licence = {json.dumps(LICENCE)}",
        f"dataset = {json.dumps(dataset)}",
        "",
        "[score_min]                    # chosen on the val lists by `kerbwatch publish`, see card.md",
        *(f"{json.dumps(label)} = {score_min[label]:.2f}" for label in labels),
    ]
    for backend, file in BACKEND_FILES:
        digest = hashlib.sha256((folder / file).read_bytes()).hexdigest()
        lines += ["", "[[file]]", f'backend = "{backend}"', f'path = "{file}"', f'sha256 = "{digest}"']
    return "\n".join(lines) + "\n"


def card(metrics: Mapping[str, Any], dataset: Mapping[str, Any]) -> str:
    """Give the text of the model card, from the figures of the same run and the description of the data set."""
    parts = [
        _head(metrics),
        _figures(metrics),
        _against_base(metrics),
        _stalls(metrics),
        _making(metrics, dataset),
        _sources(dataset),
        _weaknesses(metrics),
    ]
    return "\n".join(parts)


def _head(metrics: Mapping[str, Any]) -> str:
    return f"""# {metrics["model"]}

Licence: {LICENCE}

Detects, in pictures of streets: {", ".join(metrics["classes"])}. A YOLO11n network with {metrics["parameters"]:,}
parameters, input 640 px on the longest side.

`street.onnx` is for the backends openvino and onnx, `street.pt` for ultralytics (torch, GPU). Thresholds per class are
in `model.toml`, every figure below in `metrics.json`; both were written by `kerbwatch publish`, none by hand.
"""


def _figures(metrics: Mapping[str, Any]) -> str:
    rows = [
        f"| {name} | {row['ap50']:.3f} | {row['ap50_low']:.3f} to {row['ap50_high']:.3f} | {row['ap5095']:.3f} "
        f"| {row['score_min']:.2f} | {row['precision']:.2f} | {row['recall']:.2f} | {row['n']} | {row['pictures']} "
        f"| {', '.join(row['sets'])} |"
        for name, row in metrics["classes"].items()
    ]
    return f"""## Figures

On the val lists of {metrics["dataset"]} with the labels as their sources give them, at 640 px, by
`kerbwatch evaluate` (pycocotools), {metrics["machine"]}, {metrics["date"]}. The interval is a 95 % bootstrap over the
pictures ({metrics["bootstrap_rounds"]} rounds). Precision and recall hold at the class's threshold and IoU 0.5.

| class | AP50 | 95 % interval | AP50-95 | threshold | precision | recall | boxes | pictures | val list |
|---|---|---|---|---|---|---|---|---|---|
{chr(10).join(rows)}

The thresholds were chosen on these same val lists (best F1 where precision reaches 0.8, else best F1; between 0.15 and
0.45; a class with fewer than 30 boxes takes the one chosen on all vehicles or two-wheelers, else 0.30), so precision and recall are a little flattering. The val lists also
served to compare training runs, and to choose which weights were averaged and how much of the base model was blended
in: expect a few hundredths less on new pictures. A set kept apart is still to come.
"""


def _against_base(metrics: Mapping[str, Any]) -> str:
    base = metrics["base"]
    rows = [
        f"| {name} | {row['ap50']:.3f} | {base['base'][name]['ap50']:.3f} | {row['ap5095']:.3f} "
        f"| {base['base'][name]['ap5095']:.3f} | {row['n']} |"
        for name, row in base["model"].items()
        if name in base["base"]
    ]
    return f"""## Against the base model

People and vehicles on the val list of {base["set"]}, this model and the one it was fine-tuned from, measured the same
way.

| class | AP50 | base | AP50-95 | base | boxes |
|---|---|---|---|---|---|
{chr(10).join(rows)}
"""


def _stalls(metrics: Mapping[str, Any]) -> str:
    done = metrics["stalls_completed"]
    given = metrics["classes"]["stall"]
    return f"""## Stalls, labels completed

The val list of {done["set"]} shows stalls that its source did not label. With the {done["added"]} boxes that we
added by looking at the pictures, stall has AP50 {done["ap50"]:.3f} (AP50-95 {done["ap5095"]:.3f}, {done["n"]} boxes);
with the labels as given {given["ap50"]:.3f} ({given["n"]} boxes). Both counts are too small for a figure to lean on.
"""


def _making(metrics: Mapping[str, Any], dataset: Mapping[str, Any]) -> str:
    stages = [_stage(stage) for stage in metrics["stages"]]
    pseudo = ", ".join(f"{count} {name}" for name, count in dataset["pseudo"]["boxes"].items())
    parity = metrics["parity"]
    return f"""## How it was made

Fine-tuned from {metrics["base"]["weights"]} (COCO-80, not the official release), sha256
`{metrics["base"]["sha256"]}`, by `kerbwatch train` with the `config.toml` beside this card:

{chr(10).join(stages)}

Sets that do not label people and vehicles were completed with the base model's own confident boxes ({pseudo});
{dataset["added"]["train_boxes"]} stalls were added by hand. See `datasets/{metrics["dataset"]}`.

The ONNX file stores its weights as fp16. Against the checkpoint, on {parity["pictures"]} pictures and {parity["boxes"]}
boxes with a score of {parity["score_min"]:g} or more, a box edge moves by {parity["box_px_mean"]:.3f} px on average and
{parity["box_px_max"]:.2f} px at most, a score by {parity["score_max"]:.4f} at most.
"""


def _stage(stage: Mapping[str, Any]) -> str:
    """Give the line of the card about one stage."""
    text = (
        f"- {stage['name']}: {stage['epochs']} epochs at {stage['side_px']} px, the first "
        f"{stage['freeze_layers']} layers frozen, AdamW {stage['lr']:g}, {stage['pictures']} pictures listed"
    )
    if stage.get("synthetic"):
        text += f", {stage['synthetic']} of them rendered"
    if stage.get("average_with"):
        text += f"; weights averaged with the last ones of stage {stage['average_with']}"
    if stage.get("blend_base"):
        text += f"; {stage['blend_base']:.0%} of the base model's weights blended back in"
    return text


def _sources(dataset: Mapping[str, Any]) -> str:
    rows = [
        f"| [{source['folder']}]({source['url']}) | {source['title']} | {source['licence']} "
        f"| {source['pictures']['train']} / {source['pictures']['val']} | {source['used_for']} |"
        for source in dataset["source"]
    ]
    return f"""## Data and licences

No picture is kept in the repository.

| set | source | licence | train / val | for |
|---|---|---|---|---|
{chr(10).join(rows)}
"""


def _weaknesses(metrics: Mapping[str, Any]) -> str:
    rows = metrics["classes"]
    weak = [name for name, row in rows.items() if row["ap50"] < 0.6]
    few = [f"{name} ({row['n']})" for name, row in rows.items() if row["n"] < 30]
    synthetic = sum(stage.get("synthetic", 0) for stage in metrics["stages"])
    rendered = (
        "\n- Rendered scenes took part in the later stages. What it finds in rendered clips (the demo) says little about"
        " real streets."
        if synthetic
        else ""
    )
    return f"""## Weaknesses

- AP50 below 0.6: {", ".join(weak) or "none"}. Small litter at a distance is mostly missed.
- Too few labelled boxes in val to trust the figure: {", ".join(few) or "none"}.
- Stalls and tricycles were learnt from Indian streets and web pictures, not from Chinese ones; Chinese e-tricycles,
  breakfast carts and cloths on the ground are not covered.
- Garbage and bins come from close phone pictures, some of them from the web: a surveillance camera's height, distance
  and compression are not in the training set, night only a little.
- Motorcycles outside COCO are dealers' pictures of petrol scooters; e-bikes in dense rows are not labelled anywhere.
- People and vehicles are found less well than by the base model (table above): the price of learning from sets that
  label them only by guesses.
- A half-full bin with a bag on its lid is where bin and bin_overflow are confused.{rendered}
- Flying-wire charging is not detected by this version.
"""
