"""``torchgraft inspect``: what is in a model file, as a table or as JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..stages.load import inspect
from .summary import WIDTH


def show_model(path: Path, *, as_json: bool) -> None:
    """Print what the file holds; nothing of it is run, and neither TensorFlow nor torch is loaded."""
    model = inspect(path)
    if as_json:
        print(json.dumps({**asdict(model), "path": str(model.path)}, indent=1))  # noqa: T201 - the program's own output
        return
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    console.print(Text(f"{model.path}: {model.class_name} {model.name!r}, {model.format}, Keras {model.keras_version}"))
    console.print(Text(f"sha256 {model.sha256}"))
    for entry in model.inputs:
        axes = ", ".join("any" if size is None else str(size) for size in entry.shape)
        console.print(Text(f"input {entry.name}: {entry.dtype} ({axes})"))
    table = Table(title=f"{len(model.layers)} layers, {model.parameters:,} parameters", title_justify="left")
    table.add_column("layer", overflow="fold")
    table.add_column("class")
    table.add_column("parameters", justify="right")
    for layer in model.layers:
        table.add_row(Text(layer.path), Text(layer.class_name), f"{layer.parameters:,}")
    console.print(table)
    for refusal in model.refusals:
        console.print(Text(f"torchgraft would not load it: {refusal}", style="red"))
