"""Converts every whole model and writes the table into README.md beside this file.

    python tests/whole_models/table.py [NAME ...]

With names, prints the rows of those models alone.
"""

from __future__ import annotations

import gc
import sys
from datetime import date
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import keras

from whole_models.entry import Row, surveyed
from whole_models.models import MODELS

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
LIBRARIES = ("tensorflow", "keras", "keras-hub", "tf2onnx", "onnx", "onnxruntime", "onnx2torch", "torch")
HEAD = (
    "| model | parameters | values compared | Transposes before | after | allowed | ONNX Runtime | torch |",
    "|---|---|---|---|---|---|---|---|",
)


def line(row: Row) -> str:
    mark = "" if row.holds else " **fails**"
    return (
        f"| {row.name}{mark} | {row.parameters:,} | {row.compared} | {row.before} | {row.after} | {row.allowed} "
        f"| {row.onnx:.1e} | {row.torch:.1e} |"
    )


def table(rows: list[Row]) -> str:
    versions = ", ".join(f"{library} {version(library)}" for library in LIBRARIES)
    reasons = dict.fromkeys(row.why for row in rows if row.why)
    why = [f"Allowed in {', '.join(row.name for row in rows if row.why == reason)}: {reason}." for reason in reasons]
    return "\n".join(
        [f"{date.today().isoformat()}, {versions}.", "", *HEAD, *map(line, rows), "", *why]  # noqa: DTZ011
    )


def measured(names: list[str]) -> list[Row]:
    rows = []
    for entry in MODELS:
        if names and entry.name not in names:
            continue
        rows.append(surveyed(entry))
        print(line(rows[-1]), *rows[-1].different[:5], flush=True)
        keras.backend.clear_session()
        gc.collect()
    return rows


def main() -> None:
    names = sys.argv[1:]
    rows = measured(names)
    if not names:
        before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        README.write_text(f"{before}{BEGIN}\n{table(rows)}\n{END}{after}", encoding="utf-8")
    sys.exit(not all(row.holds for row in rows))


if __name__ == "__main__":
    main()
