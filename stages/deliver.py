"""The files of a conversion: tensors, plan, comparison, and the ONNX graph on request.

Written into a folder that is given; putting them where they belong, atomically, is the pipeline's work.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .base import Agreement, Comparison, ExportedGraph, Extraction, NormalizedGraph, Tolerance, Verification
from .errors import ResourceError

if TYPE_CHECKING:
    import onnx_ir
    import torch

    from .plan import Array, Recipe

SAFETENSORS = "state_dict.safetensors"
PICKLE = "state_dict.pt"
PLAN = "plan.json"
COMPARISON = "comparison.json"
EVIDENCE = "evidence.json"
ONNX = "model.onnx"
ONNX_DATA = "model.onnx.data"
# Protobuf ends at 2 GiB, and is slow to read long before.
EXTERNAL_DATA_BYTES = 10**9
# What is read back at once; a file's pages are memory as long as they are mapped.
READ_BYTES = 128 * 2**20


def write_state_dict(state_dict: Mapping[str, torch.Tensor], folder: Path) -> None:
    """``state_dict.safetensors`` and ``state_dict.pt``; the latter loads with ``torch.load(weights_only=True)``.

    Raises:
        ResourceError: the disk is full, or refuses.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file(_unshared(state_dict), folder / SAFETENSORS)
        torch.save(dict(state_dict), folder / PICKLE)
    except (SafetensorError, RuntimeError) as error:
        # Neither library passes on the OSError that it met.
        what = f"the tensors cannot be written: {str(error).splitlines()[0]}"
        raise ResourceError(what, where=str(folder), fix="free disk space or choose another output folder") from None
    # safetensors makes its file for the owner alone; the umask has spoken for the other.
    (folder / SAFETENSORS).chmod((folder / PICKLE).stat().st_mode)


def _unshared(state_dict: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A tied pair as two tensors: safetensors refuses keys that share memory."""
    seen: set[int] = set()
    unshared = {}
    for key, tensor in state_dict.items():
        unshared[key] = tensor.clone() if tensor.data_ptr() in seen else tensor
        seen.add(tensor.data_ptr())
    return unshared


def check_state_dict(state_dict: Mapping[str, torch.Tensor], folder: Path) -> None:
    """Read both files back, as a user will, and compare every tensor bit by bit.

    Raises:
        ResourceError: a file does not give back what was written into it.
    """
    for name, read in ((SAFETENSORS, _from_safetensors), (PICKLE, _from_pickle)):
        for keys in _portions(state_dict):
            names, found = read(folder / name, keys)
            wrong = [key for key in keys if key not in found or not _same_bits(state_dict[key], found[key])]
            wrong += sorted(names - state_dict.keys())
            if wrong:
                raise ResourceError(
                    f"{name} does not read back what was written, first at {wrong[0]}",
                    where=str(folder),
                    fix="check the disk, then run again",
                )


def _portions(state_dict: Mapping[str, torch.Tensor]) -> Iterator[set[str]]:
    """Keys, so many at once that what is read back never takes as much memory as all weights."""
    keys: set[str] = set()
    size = 0
    for key, tensor in state_dict.items():
        keys.add(key)
        size += tensor.numel() * tensor.element_size()
        if size > READ_BYTES:
            yield keys
            keys, size = set(), 0
    yield keys


def _from_safetensors(path: Path, keys: set[str]) -> tuple[set[str], dict[str, torch.Tensor]]:
    """(the keys that are there, the tensors of ``keys``)."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        names = set(file.keys())
        return names, {key: file.get_tensor(key) for key in keys & names}


def _from_pickle(path: Path, keys: set[str]) -> tuple[set[str], dict[str, torch.Tensor]]:
    """(the keys that are there, the tensors of ``keys``): what is not looked at is not read."""
    import torch

    found = torch.load(path, weights_only=True, mmap=True)
    return set(found), {key: found[key] for key in keys & set(found)}


def _same_bits(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    """Also where both are NaN, which ``torch.equal`` calls different."""
    import torch

    if ours.dtype != theirs.dtype or ours.shape != theirs.shape:
        return False
    return torch.equal(ours.contiguous().flatten().view(torch.uint8), theirs.contiguous().flatten().view(torch.uint8))


def write_json(data: Mapping[str, Any], path: Path) -> None:
    """Strict JSON: a NaN is ``null``."""
    path.write_text(json.dumps(_strict(data), indent=1, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")


def _strict(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def comparison_json(comparison: Comparison, verification: Verification, tolerance: Tolerance) -> dict[str, Any]:
    """Everything that was compared: the user's module (stage 6) and the ONNX graphs (stage 3)."""
    return {
        "verified": comparison.verified and verification.verified,
        "tolerance": asdict(tolerance),
        "outputs": _rows(comparison.outputs),
        "layers": _rows(comparison.layers),
        "not_compared": dict(comparison.not_compared),
        "accuracy": dict(comparison.accuracy),
        "findings": [asdict(finding) for finding in comparison.findings],
        "graphs": _rows(verification.agreements),
    }


def left_over_json(extraction: Extraction) -> dict[str, Any]:
    """What takes no part: variables that no key takes, keys that keep the module's own value, outputs not given."""
    plan = extraction.plan
    return {
        "left_over": {
            "variables": {left.name: left.reason for left in plan.unused},
            "keys": {left.name: left.reason for left in plan.unmatched},
        },
        "not_given": dict(extraction.not_given),
    }


def evidence_json(extraction: Extraction) -> dict[str, Any]:
    """Key → why it holds what the Plan says, and the candidates that lost: what ``torchgraft explain`` reads."""
    return {key: asdict(placement) for key, placement in extraction.evidence.items()}


def _rows(agreements: tuple[Agreement, ...]) -> list[dict[str, Any]]:
    return [asdict(row) for row in agreements]


def write_onnx(graph: NormalizedGraph, variables: ExportedGraph, folder: Path) -> None:
    """``model.onnx``: the normalised graph with its weights as initializers, and layer names as node names.

    Above ``EXTERNAL_DATA_BYTES`` of weights they are in ``model.onnx.data``, which belongs beside it.
    """
    import onnx_ir

    model = onnx_ir.from_proto(onnx_ir.to_proto(graph.model))
    inputs = {value.name: value for value in model.graph.inputs}
    size = 0
    for name, recipe in graph.weights.items():
        value = inputs[name]
        value.const_value = _made_when_written(name, recipe, variables.variables)
        size += value.const_value.nbytes
        model.graph.inputs.remove(value)
        model.graph.initializers[name] = value
    external = ONNX_DATA if size > EXTERNAL_DATA_BYTES else None
    onnx_ir.save(model, folder / ONNX, external_data=external)


def _made_when_written(name: str, recipe: Recipe, variables: Mapping[str, Array]) -> onnx_ir.LazyTensor:
    import numpy as np
    import onnx_ir

    return onnx_ir.LazyTensor(
        lambda: onnx_ir.tensor(recipe.apply(variables), name=name),
        dtype=onnx_ir.DataType.from_numpy(np.dtype(recipe.dtype)),
        shape=onnx_ir.Shape(recipe.shape),
        name=name,
    )
