"""The verbs of this room: evaluate, train, export, publish, promote."""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import sys
from pathlib import Path
from typing import Any

from detector.errors import Failure

log = logging.getLogger(__name__)


def train(argv: list[str]) -> int:
    """Run `kerbwatch train`."""
    parser = argparse.ArgumentParser(prog="kerbwatch train", description="Fine-tune a model from a TOML config.")
    parser.add_argument("config", type=Path, help="training config, such as training/configs/street-1.toml")
    parser.add_argument("--base", type=Path, required=True, help="checkpoint to start from")
    parser.add_argument("--data", type=Path, help="folder of the foreign sets; without it the built set is used")
    parser.add_argument("--work", type=Path, default=Path("runs"), help="scratch folder (default: runs)")
    parser.add_argument("--resume", action="store_true", help="go on from the last saved epoch")
    args = parser.parse_args(argv)
    training = _with_torch("training.train")
    weights = training.train(args.config, args.base, args.data, args.work, resume=args.resume)
    print(weights)
    return 0


def _with_torch(module: str) -> Any:
    """Import a module that needs the extra [train].

    Raises:
        Failure: the extra is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = (error.name or str(error)).partition(".")[0]
        raise Failure(f"{name} is not installed; this verb needs: pip install 'kerbwatch[train]'.") from error
