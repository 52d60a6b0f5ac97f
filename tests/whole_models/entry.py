"""One whole model of the table, and what stages 1 to 4 make of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import onnx_ir as ir
from first_stages import first_stages, imported_rows
from keras_models import inputs_for
from torchgraft.stages.base import ExportedGraph, NormalizedGraph, Verification

UNUSED = "no output of the model depends on it"


@dataclass(frozen=True)
class Entry:
    """A whole model.

    Attributes:
        name: unique.
        make: the model, its weights random and not trivial.
        allowed: how many Transposes that move data a hand-written PyTorch model of this architecture has, from the
            Keras model.
        why: where it has them; empty where it has none.
        inputs: (model, samples) → its inputs.
    """

    name: str
    make: Callable[[], keras.Model]
    allowed: Callable[[keras.Model], int] = lambda model: 0
    why: str = ""
    inputs: Callable[[keras.Model, int], dict[str, np.ndarray]] = inputs_for


@dataclass(frozen=True)
class Row:
    """What came out for one model: counts of Transposes that move data, and how far the runtimes are from Keras.

    Attributes:
        compared: how many layer and output values were compared, of each of the three runtimes' pairs.
        onnx, torch: the largest ``max|ours - theirs| / max|theirs|`` of ONNX Runtime (both graphs) and of the imported
            module over all layers and outputs.
        different: names that do not agree, and those that are kept nowhere although an output depends on them.
    """

    name: str
    parameters: int
    before: int
    after: int
    allowed: int
    why: str
    compared: int
    onnx: float
    torch: float
    different: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return self.after <= self.allowed and not self.different


def surveyed(entry: Entry) -> Row:
    """Run stages 1 to 4, compare every boundary, count."""
    model = entry.make()
    artifacts = first_stages(model, entry.inputs(model, 2))
    verification, graph = artifacts[Verification], artifacts[NormalizedGraph]
    rows = imported_rows(artifacts)
    different = [row.name for row in (*verification.agreements, *rows) if not row.agrees]
    return Row(
        entry.name,
        model.count_params(),
        before=moving_transposes(artifacts[ExportedGraph].model.graph),
        after=moving_transposes(graph.model.graph),
        allowed=entry.allowed(model),
        why=entry.why,
        compared=len(rows),
        onnx=max(row.max_rel for row in verification.agreements),
        torch=max(row.max_rel for row in rows),
        different=(*different, *(name for name, why in graph.unkept.items() if why != UNUSED)),
    )


def moving_transposes(graph: ir.Graph) -> int:
    """Transposes after which the elements stand in another order in memory, and Gathers that put features in order."""
    return sum(
        (node.op_type == "Transpose" and _moves(node)) or (node.op_type == "Gather" and "/reorder" in (node.name or ""))
        for node in graph
    )


def _moves(node: ir.Node) -> bool:
    value = node.inputs[0]
    assert value is not None
    if value.shape is None or "torchgraft.variable" in value.metadata_props:
        return value.shape is None
    perm = list(node.attributes["perm"].as_ints())
    longer = [axis for axis in perm if value.shape[axis] != 1]
    return longer != sorted(longer)
