"""Pairs of PyTorch modules for the extract stage, without Keras: one plays the imported module, the other the user's.

The reference's parameters are called as Keras would (``conv1/weight``), so that a Plan over them can be checked
tensor by tensor, in milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir
import torch
from torch import fx, nn
from torchgraft.stages.base import (
    Artifacts,
    Boundary,
    ExportedGraph,
    Extraction,
    ImportedModule,
    Job,
    NormalizedGraph,
    Port,
    Silent,
)
from torchgraft.stages.extract import Extract
from torchgraft.stages.plan import Fill, Recipe, Transpose, Variable

CHANNELS_FIRST = {3: (0, 2, 1), 4: (0, 2, 3, 1), 5: (0, 2, 3, 4, 1)}


def randomized(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module with every parameter and statistic random, variances positive and small enough for eps to matter."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=generator) - 0.4)
                if name.endswith("running_var"):
                    tensor.copy_(torch.rand(tensor.shape, generator=generator) * 0.02 + 1e-4)
    return module.eval()


def artifacts(
    reference: nn.Module, module: nn.Module | None, inputs: Mapping[str, np.ndarray], *, as_keras: bool = False
) -> Artifacts:
    """What stages 1 to 4 would have given, had the Keras model been ``reference`` with channels-last inputs.

    ``as_keras``: the reference takes them so, too (a sequence network).
    """
    traced = fx.symbolic_trace(reference.eval())
    arrays = {name: np.asarray(array) for name, array in inputs.items()}
    moves = {
        name: (Transpose(CHANNELS_FIRST[a.ndim]),)
        if a.ndim in CHANNELS_FIRST and a.dtype.kind == "f" and not as_keras
        else ()
        for name, a in arrays.items()
    }
    ports = tuple(Port(name, name, (None, *a.shape[1:]), str(a.dtype), moves[name]) for name, a in arrays.items())
    recipes, variables = {}, {}
    paths: dict[int, str] = {}  # a tied tensor is one variable
    for key, tensor in traced.state_dict().items():
        if not tensor.is_floating_point():  # a counter, or indices that the trace has made a constant
            recipes[key] = Recipe(Fill(0, tuple(tensor.shape), "int64"))
            continue
        path = paths.setdefault(tensor.data_ptr(), key.replace(".", "/"))
        variables[path] = tensor.numpy().copy()
        recipes[key] = Recipe(Variable(path, tuple(tensor.shape)))
    outputs, boundaries, places = [], [], {}
    for node in traced.graph.nodes:
        if node.op == "call_module":
            path = str(node.target).replace(".", "/")
            name = path if path not in places else f"{path}#1"
            places[name] = node.name
            boundaries.append(Boundary(name, node.name, (), "float32", (), path, "Layer"))
    with torch.no_grad():
        result = reference(
            *(torch.from_numpy(np.array(port.from_keras(arrays[port.name]), order="C")) for port in ports)
        )
    for position, value in enumerate(result if isinstance(result, tuple) else (result,)):
        moved = tuple(range(value.dim())) if value.dim() < 4 else CHANNELS_FIRST[value.dim()]
        shape = (None, *(value.shape[axis] for axis in moved[1:]))
        turn = () if value.dim() < 4 else (Transpose(moved),)
        outputs.append(Port(f"output{position}", f"output{position}", shape, "float32", turn))
    empty = onnx_ir.Model(onnx_ir.Graph([], [], nodes=[], opset_imports={"": 17}), ir_version=8)
    exported = ExportedGraph(empty, {}, ports, (), (), variables=variables)
    normalized = NormalizedGraph(empty, {}, ports, tuple(outputs), tuple(boundaries))
    imported = ImportedModule(traced, recipes, places)
    # keras.Model is never looked at after stage 1
    job = Job(model=None, module=module, inputs=arrays, probe_samples=3)  # type: ignore[arg-type]
    return Artifacts(job, exported, normalized, imported)


def extract(
    reference: nn.Module, module: nn.Module | None, *, as_keras: bool = False, **inputs: np.ndarray
) -> Extraction:
    """Stage 5 alone on such a pair; inputs as Keras would take them (NHWC)."""
    return Extract().run(artifacts(reference, module, inputs, as_keras=as_keras), Silent())


def images(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def run(module: nn.Module, extraction: Extraction, *inputs: np.ndarray) -> torch.Tensor:
    """The user's module with the grafted state_dict, loaded strictly."""
    module.load_state_dict({key: torch.from_numpy(np.array(a)) for key, a in extraction.state.items()}, strict=True)
    with torch.no_grad():
        made: torch.Tensor = module.eval()(*(torch.from_numpy(a) for a in inputs))
    return made


def assert_grafted(reference: nn.Module, module: nn.Module, **inputs: np.ndarray) -> dict[str, str]:
    """All placed without a finding of weight, and the module computes what the reference does; key → recipe."""
    extraction = extract(reference, module, **inputs)
    assert [str(finding) for finding in extraction.findings if finding.severity == "error"] == []
    first = [
        np.ascontiguousarray(np.moveaxis(a, -1, 1)) if a.ndim in (3, 4, 5) and a.dtype.kind == "f" else a
        for a in inputs.values()
    ]
    ours = run(module, extraction, *first)
    with torch.no_grad():
        theirs = reference(*(torch.from_numpy(a) for a in first))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-5 * float(theirs.abs().max()))
    return {key: str(recipe) for key, recipe in extraction.plan.recipes.items()}
