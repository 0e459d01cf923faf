"""Where a version comes from, for its card: training, labels, pictures and their licences. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Lay rows out as a Markdown table.

    >>> print(table(["class", "AP50"], [["car", "0.5"]]))
    | class | AP50 |
    |---|---|
    | car | 0.5 |
    """
    lines = [list(header), *rows]
    text = [f"| {' | '.join(str(cell) for cell in line)} |" for line in lines]
    return "\n".join([text[0], "|" + "---|" * len(header), *text[1:]])


def making(metrics: Mapping[str, Any], dataset: Mapping[str, Any]) -> str:
    """Give the section of the card about training and labels."""
    stages = "\n".join(_stage(stage) for stage in metrics["stages"])
    return f"""## How it was made

Fine-tuned from {metrics["base"]["weights"]} (COCO-80, not the official release), sha256
`{metrics["base"]["sha256"]}`, by `kerbwatch train` with the `config.toml` beside this card{_start(metrics)}:

{stages}

{_labels(dataset)} See `datasets/{metrics["dataset"]}`.
"""


def _start(metrics: Mapping[str, Any]) -> str:
    """Say which weights the first stage began with, where they were not the base's own."""
    start = metrics.get("start", {})
    if not start.get("start"):
        return ""
    averaged = "".join(f", {share:.0%} {name}" for name, share in start.get("start_average", {}).items())
    share = f", {start['start_blend']:.0%} of the base blended in" if "start_blend" in start else ""
    return f"; it began with the weights of {start['start']}{averaged}{share}"


def _labels(dataset: Mapping[str, Any]) -> str:
    """Say what this project added to the labels, as far as the description of the data set counts it."""
    said = []
    for key, verb in (
        ("pseudo", "completed with the base model's own confident boxes"),
        ("completed", "completed by a model"),
    ):
        boxes = dataset.get(key, {}).get("boxes")
        if boxes:
            listed = ", ".join(f"{count} {name}" for name, count in boxes.items())
            said.append(f"Sets that do not label everything were {verb} ({listed}).")
    added = dataset.get("added", {}).get("train_boxes")
    if added:
        said.append(f"{added} boxes were added by hand.")
    ignored = sum(dataset.get("train", {}).get("ignored", {}).values())
    if ignored:
        said.append(f"{ignored} regions that nobody can be sure about count as neither.")
    return " ".join(said)


def _stage(stage: Mapping[str, Any]) -> str:
    """Give the line of the card about one stage."""
    epochs = f"{stage['epochs']} epoch{'' if stage['epochs'] == 1 else 's'}"
    text = (
        f"- {stage['name']}: {epochs} at {stage['side_px']} px, the first "
        f"{stage['freeze_layers']} layers frozen, AdamW {stage['lr']:g}, {stage['pictures']} pictures listed"
    )
    if stage.get("synthetic"):
        text += f", {stage['synthetic']} of them rendered"
    if stage.get("take_epoch"):
        text += f"; the weights after epoch {stage['take_epoch']} were taken"
    if stage.get("average_with"):
        text += f"; weights averaged with the last ones of stage {stage['average_with']}"
    if stage.get("blend_with"):
        shares = ", ".join(f"{share:.0%} {name}" for name, share in stage["blend_with"].items())
        text += f"; averaged with {shares}"
    if stage.get("blend_start"):
        text += f"; averaged with the weights it started from ({stage['blend_start']:.0%} of those)"
    if stage.get("blend_base"):
        text += f"; {stage['blend_base']:.0%} of the base model's weights blended back in"
    return text


def sources(dataset: Mapping[str, Any]) -> str:
    """Give the section of the card about pictures and their licences."""
    rows = [
        [
            f"[{source['folder']}]({source['url']})" if source["url"] else source["folder"],
            source["title"], source["licence"],
            f"{source['pictures']['train']} / {source['pictures']['val']}", source["used_for"],
        ]
        for source in dataset["source"]
    ]  # fmt: skip
    return f"""## Data and licences

No picture is kept in the repository.

{table(["set", "source", "licence", "train / val", "for"], rows)}
"""
