"""Who teaches: the base model what it knows, earlier versions of our own what they had learnt.

A version that is trained on for one class forgets others, those with few pictures first. The one before it
can hold them: it says at every place of every picture, rendered ones too, what it would have said.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from detector.errors import WrongUse
from detector.registry import resolve
from detector.registry import weights as stored
from training.export import as_checkpoint, load_checkpoint
from training.labels import load_taxonomy
from training.network import Teacher


def teachers_of(base: Path, more: Mapping[str, Sequence[str]], run: Path) -> list[Teacher]:
    """Open the teachers: published versions for their classes, and the base for all others that it knows.

    Args:
        base: checkpoint of the base model.
        more: a published version ("street@4") to the classes that it teaches.
        run: folder that keeps their checkpoints.

    Raises:
        WrongUse: `more` is no such table, a version does not know a class that it is to teach, or two are to
            teach the same.
    """
    if not isinstance(more, Mapping) or not all(isinstance(classes, list) for classes in more.values()):
        raise WrongUse(
            f'teachers: {more!r} is no table of versions; write {{ "street@4" = ["bin", "stall"] }}.'
        )
    named = [name for classes in more.values() for name in classes]
    if twice := sorted({name for name in named if named.count(name) > 1}):
        raise WrongUse(f"teachers: {twice[0]} is taught by two versions; leave it to one.")
    ours = [_teacher(published(version, run), version, classes) for version, classes in more.items()]
    return [_teacher(base, base.name, None, but=named), *ours]


def published(version: str, run: Path) -> Path:
    """Give a published version ("street@1") as a checkpoint, made in `run` where it has only an ONNX file."""
    return as_checkpoint(stored(resolve(version), "ultralytics", "onnx"), run / f"{version}-of-onnx.pt")


def _teacher(weights: Path, called: str, classes: Sequence[str] | None, but: Collection[str] = ()) -> Teacher:
    """Open a model as a teacher of `classes`; with None of all that it shares with ours, `but` some."""
    taxonomy = load_taxonomy()
    model = load_checkpoint(weights).model
    meant = {name: taxonomy.class_of(name) for name in model.names.values() if taxonomy.knows(name)}
    if missing := sorted(set(classes or ()) - set(meant.values())):
        raise WrongUse(f"teachers: {called} cannot teach {missing[0]}: it has no such class.")
    wanted = set(meant.values()) - set(but) if classes is None else set(classes)
    taught = {name: ours for name, ours in meant.items() if ours and ours in wanted}
    return Teacher(model, taxonomy.names, taught)
