"""The models folder: "street@production" -> ModelSpec, and weights whose hash is right."""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from pathlib import Path

from detector.errors import Failure, WrongUse
from detector.spec import SPEC_FILE, ModelFile, ModelSpec, Stored, read_spec

MODELS_ENV = "KERBWATCH_MODELS"
ALIAS_FILE = "registry.toml"


def models_root() -> Path:
    """Give the models folder: $KERBWATCH_MODELS, else `models/` of this checkout."""
    named = os.environ.get(MODELS_ENV)
    return Path(named) if named else Path(__file__).resolve().parents[1] / "models"


def resolve(ref: str, root: Path | None = None) -> ModelSpec:
    """Find a model by alias ("street@production"), version ("street@1") or path of its folder.

    Raises:
        Failure: there is no such model, alias or folder.
        WrongUse: `ref` is none of the three forms, or the model's files contradict themselves.
    """
    if _is_path(ref):
        path = Path(ref)
        return read_spec(path.parent if path.name == SPEC_FILE else path)
    root = models_root() if root is None else root
    target = ref if re.fullmatch(r"[\w.-]+@\d+", ref) else _aliased(ref, root)
    name, _, version = target.partition("@")
    folder = root / name / str(int(version))
    if not (folder / SPEC_FILE).is_file():
        raise Failure(f"there is no model {target} in {root}{_known(root)}; {_advice(root)}.")
    spec = read_spec(folder)
    if (spec.name, spec.version) != (name, int(version)):
        raise WrongUse(
            f"{folder / SPEC_FILE} calls itself {spec.ref}, its folder says {target}; make them agree."
        )
    return spec


def aliases(root: Path) -> dict[str, str]:
    """Read the table of aliases, "street@production" to "street@1"; no file is an empty table.

    Raises:
        WrongUse: it is not TOML, or an alias does not point at a version.
    """
    path = root / ALIAS_FILE
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WrongUse(f"{path} is not valid TOML: {error}.") from error
    found = table.pop("alias", {})
    table.pop("history", None)  # what was done to the aliases: for people and `kerbwatch promote --rollback`
    if table or not isinstance(found, dict):
        raise WrongUse(
            f"{path}: wanted one table [alias], got {', '.join(map(repr, table)) or 'something else'}."
        )
    for alias, target in found.items():
        if not (isinstance(target, str) and re.fullmatch(r"[\w.-]+@\d+", target)):
            raise WrongUse(
                f"{path}: {alias!r} must point at a version such as 'street@1', not at {target!r}."
            )
    return found


def weights(spec: ModelSpec, *backends: str, precision: Stored = "f32") -> Path:
    """Give the file of the first of `backends` that the model has one for, its hash checked.

    Every file listed for that backend and precision is checked (an OpenVINO .xml has its .bin beside it).

    Raises:
        Failure: the model has no file for these backends in this precision, it is missing, or its hash is
            not the one in model.toml.
    """
    for backend in backends:
        files = spec.files_of(backend, precision)
        for file in files:
            _check(spec, file)
        if files:
            return spec.folder / files[0].path
    wanted = backends[0] if precision == "f32" else f"{backends[0]} in {precision}"
    had = {file.backend if file.precision == "f32" else f"{file.backend} in int8" for file in spec.files}
    raise Failure(
        f"model {spec.ref} has no file for the backend {wanted}; it has {', '.join(sorted(had))}: "
        "choose one of these or export it again."
    )


def _check(spec: ModelSpec, file: ModelFile) -> None:
    path = spec.folder / file.path
    try:
        with path.open("rb") as stream:
            got = hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        raise Failure(
            f"{path} of model {spec.ref} is missing (wanted sha256 {file.sha256}); "
            "check out models/ again or publish it."
        ) from None
    except OSError as error:
        raise Failure(f"{path} of model {spec.ref} cannot be read: {error.strerror}.") from error
    if got != file.sha256:
        raise Failure(
            f"{path} of model {spec.ref} is not the published file: wanted sha256 {file.sha256}, got {got}; "
            "check out models/ again or publish the new weights as a new version."
        )


def _is_path(ref: str) -> bool:
    return "/" in ref or os.sep in ref or ref in {".", ".."} or ref.endswith(".toml") or "@" not in ref


def _aliased(ref: str, root: Path) -> str:
    if not re.fullmatch(r"[\w.-]+@[\w.-]+", ref):
        raise WrongUse(
            f"{ref!r} is no model: write name@version (street@1), name@alias or the path of a folder."
        )
    table = aliases(root)
    if ref not in table:
        known = f" (it has {', '.join(sorted(table))})" if table else ""
        raise Failure(f"there is no model alias {ref} in {root / ALIAS_FILE}{known}; {_advice(root)}.")
    return table[ref]


def _known(root: Path) -> str:
    found = sorted(f"{path.parent.parent.name}@{path.parent.name}" for path in root.glob(f"*/*/{SPEC_FILE}"))
    return f" (it has {', '.join(found)})" if found else ""


def _advice(root: Path) -> str:
    if not root.is_dir():
        return f"the folder {root} does not exist: set {MODELS_ENV} or run from a checkout"
    return "`kerbwatch publish` adds a version, `kerbwatch promote` an alias"
