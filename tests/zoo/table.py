"""Tries every pair of the zoo and writes the table into the README beside this.

    python tests/zoo/table.py [--full] [--only WORDS]

Each pair runs in a process of its own, so that the seconds are those of a first conversion and memory is given back;
its row is written at once, over what stood there.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
LIBRARIES = ("tensorflow", "keras", "keras-hub", "torch", "torchvision", "timm", "transformers")
HEADERS = (
    "pair",
    "keys",
    "placed",
    "exact",
    "verified",
    "findings",
    "seconds",
    "values",
    "structure",
    "names",
    "stated",
    "date",
)
BEGIN, END = "<!-- {} table: written by table.py -->", "<!-- end of the {} table -->"


TOLD = ", told"


def names(*, full: bool) -> list[str]:
    """The rows of a table: every pair, and those again to which is applied what their findings told."""
    from zoo.families import PAIRS

    chosen = [pair for pair in PAIRS if pair.full == full]
    return [name for pair in chosen for name in (pair.name, *([pair.name + TOLD] if pair.told else []))]


def row(name: str) -> list[str]:
    """One pair, tried in this process."""
    from torchgraft.stages.errors import TorchgraftError
    from zoo.families import PAIRS
    from zoo.trial import Trial

    pair = next(pair for pair in PAIRS if pair.name == name.removesuffix(TOLD))
    trial = Trial(pair, told=name.endswith(TOLD))
    try:
        conversion = trial.conversion
    except TorchgraftError as error:
        return [name, "", "", "", f"exit {error.exit_code}: {error.what}"[:120], *[""] * 6]
    keys = len(trial.plan["keys"])
    exact = keys - len(trial.kept) - len(trial.wrong_tensors(conversion.state_dict))
    if conversion.verified and trial.difference(conversion.state_dict) <= pair.tolerance:
        verdict = "yes"
    else:
        verdict = "refused, exit 7" if pair.differs and not trial.told else "NO"
    evidence = trial.evidence()
    counted = [str(evidence[kind]) for kind in ("values", "structure", "names", "stated")]
    lines = len({finding.fix for finding in conversion.findings})
    return [
        name,
        str(keys),
        str(keys - len(trial.kept)),
        str(exact),
        verdict,
        str(lines),
        f"{trial.seconds:.1f}",
        *counted,
    ]


def tried(name: str) -> list[str]:
    """One pair, tried in a process of its own."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, __file__, "--row", name]
    child = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    if child.returncode:
        lines = child.stderr.strip().splitlines() or [f"ended by signal {-child.returncode}"]
        return [name, "", "", "", f"failed: {lines[-1][:100]}", *[""] * 6, today]
    made: list[str] = json.loads(child.stdout.splitlines()[-1])
    return [*made, today]


def write(kind: str, rows: dict[str, list[str]], order: list[str]) -> None:
    """Put these rows into the table between its marks in the README; those of pairs that are no more go."""
    readme = HERE / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN.format(kind))
    table, _, after = rest.partition(END.format(kind))
    cells = [line[2:-2].split(" | ") for line in table.splitlines() if line.startswith("| ")]
    rows = {row[0]: row for row in cells} | rows
    shown = (HEADERS, ["---"] * len(HEADERS), *(rows[name] for name in order if name in rows))
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    text = "\n".join(f"| {' | '.join(row)} |" for row in shown)
    whole = f"{before}{BEGIN.format(kind)}\n{versions}.\n\n{text}\n{END.format(kind)}{after}"
    readme.write_text(whole, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="the full-size pairs instead of the small ones")
    parser.add_argument("--only", default="", help="pairs whose name has these words")
    parser.add_argument("--row", default="", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.row:
        print(json.dumps(row(chosen.row)))
        return
    order = names(full=chosen.full)
    for name in order:
        if chosen.only in name:
            made = tried(name)
            print(" | ".join(made), flush=True)
            write("full" if chosen.full else "small", {name: made}, order)


if __name__ == "__main__":
    main()
