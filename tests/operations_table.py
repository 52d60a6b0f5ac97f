"""Writes the table of ``keras.ops`` into stages/README.md, out of the cases that the tests run.

python tests/operations_table.py
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import keras
import operations
import operations_rest as rest

README = Path(__file__).parents[1] / "stages" / "README.md"
BEGIN, END = "<!-- operations: begin (python tests/operations_table.py) -->", "<!-- operations: end -->"


def public_functions() -> set[str]:
    """Those of ``keras.ops`` and ``keras.ops.image``; ``ops.numpy``, ``ops.nn`` and ``ops.linalg`` hold them again."""
    found = set()
    for prefix, module in (("", keras.ops), ("image.", keras.ops.image)):
        found |= {f"{prefix}{name}" for name, value in vars(module).items() if inspect.isfunction(value)}
    return {name for name in found if not name.startswith("_")}


def verified_functions() -> set[str]:
    """Each that a verified case calls, under all its names."""
    text = Path(operations.__file__).read_text(encoding="utf-8")
    called = {*operations.ELEMENTWISE, *re.findall(r"ops\.((?:image\.)?\w+)", text), *rest.VERIFIED}
    called -= {*operations.REFUSED, *rest.REFUSED, *rest.WITHOUT_SAMPLES, *rest.RANDOM, *rest.NO_VALUES}
    return called | {name for name, other in rest.SAME.items() if other in called or other == "getitem"}


def document() -> str:
    public, verified = public_functions(), verified_functions()
    groups = {
        "verified": sorted(public & verified),
        "refused: no operator of ONNX or PyTorch's computes it, or its size depends on values": sorted(
            {*rest.NO_FORM, *operations.REFUSED, *(name for name, other in rest.SAME.items() if other in rest.NO_FORM)}
        ),
        "refused: a loop or a branch of TensorFlow's": sorted(rest.CONTROL_FLOW),
        "refused: TensorFlow's own code fails where the size of the batch is free": sorted(rest.NOT_TRACEABLE),
        "refused as an output: it joins the samples of a batch": sorted(rest.WITHOUT_SAMPLES),
        "refused: it draws random numbers": sorted(rest.RANDOM),
        "computes nothing of a model's values": sorted(rest.NO_VALUES),
    }
    lines = [f"`keras.ops` of Keras {keras.version()}: {len(public)} functions.", "", "| | keras.ops |", "|---|---|"]
    return "\n".join([*lines, *(f"| {what} ({len(names)}) | {', '.join(names)} |" for what, names in groups.items())])


def written(text: str, readme: str) -> str:
    before, _, after = readme.partition(BEGIN)
    return f"{before}{BEGIN}\n{text}\n{END}{after.partition(END)[2]}"


if __name__ == "__main__":
    README.write_text(written(document(), README.read_text(encoding="utf-8")), encoding="utf-8")
