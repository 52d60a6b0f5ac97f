"""How fast what torchgraft makes runs: its ONNX graph beside tf2onnx's, its imported module beside a hand-written one.

    python tests/benchmarks/speed.py [--rounds 16] [--repeats 8] [--batch 4] [--models ResNet50 …]

Both sides of a ratio run in turn in one process on one thread (see ``paired.py``). The graphs are run as a user would
run them: all optimisations of ONNX Runtime, weights inside.

- **graph**: seconds of the normalised graph over those of what ``tf2onnx.convert.from_function`` makes; at most 1.
- **module**: seconds of the imported module over those of torchvision's or timm's; at most 1.1.

A limit is missed where the whole 99 % interval of the ratio is beyond it, or where the interval is too wide to tell.
"""

from __future__ import annotations

import argparse
import copy
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import onnx
import onnxruntime
import torch
from first_stages import first_stages
from keras_models import inputs_for
from paired import Ratio, Run, ratio_of
from speed_models import PAIRS
from torchgraft.stages.base import Artifacts, ExportedGraph, ImportedModule, NormalizedGraph
from torchgraft.stages.deliver import write_onnx

LIMITS = {"graph": 1.0, "module": 1.1}


def bare_graph(model: Any) -> onnx.ModelProto:
    """What tf2onnx alone makes; constants of layers, which it leaves as inputs, put inside."""
    import tensorflow as tf
    import tf2onnx

    signature = [tf.TensorSpec((None, *model.inputs[0].shape[1:]), tf.float32, name="x")]
    function = tf.function(lambda x: model(x, training=False))
    proto = tf2onnx.convert.from_function(function, input_signature=signature, opset=17)[0]
    held = function.get_concrete_function(*signature).graph.captures
    constants = {inner.name: outer.numpy() for outer, inner in held if inner.dtype != tf.resource}
    for value in [value for value in proto.graph.input if value.name in constants]:
        proto.graph.initializer.append(onnx.numpy_helper.from_array(constants[value.name], value.name))
        proto.graph.input.remove(value)
    return proto


def graph_ratio(model: Any, artifacts: Artifacts, array: np.ndarray, rounds: int, repeats: int) -> Ratio:
    (port,) = artifacts[NormalizedGraph].inputs
    laid = np.ascontiguousarray(port.from_keras(array))
    with tempfile.TemporaryDirectory() as folder:
        write_onnx(artifacts[NormalizedGraph], artifacts[ExportedGraph], Path(folder))
        onnx.save(bare_graph(model), Path(folder) / "bare.onnx")

        def ours() -> Run:
            return _running(Path(folder) / "model.onnx", laid.copy())

        def theirs() -> Run:
            return _running(Path(folder) / "bare.onnx", array.copy())

        np.testing.assert_allclose(ours()(), theirs()(), rtol=1e-3, atol=1e-4)
        return ratio_of(ours, theirs, rounds, repeats)


def _running(path: Path, array: np.ndarray) -> Run:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: array})[0]


def module_ratio(artifacts: Artifacts, twin: torch.nn.Module, array: np.ndarray, rounds: int, repeats: int) -> Ratio:
    (port,) = artifacts[NormalizedGraph].inputs
    module = artifacts[ImportedModule].module
    laid = torch.from_numpy(np.ascontiguousarray(port.from_keras(array)))
    other = torch.from_numpy(np.ascontiguousarray(np.moveaxis(array, -1, 1)))

    def running(one: torch.nn.Module, given: torch.Tensor) -> Run:
        one, given = copy.deepcopy(one).eval(), given.clone()
        return lambda: one(given)

    with torch.inference_mode():
        return ratio_of(lambda: running(module, laid), lambda: running(twin, other), rounds, repeats)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=8)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--models", nargs="+", choices=list(PAIRS), default=list(PAIRS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    missed = False
    print(f"{'':18} {'what':8} {'torchgraft':>11} {'other':>9} {'ratio':>7} {'99 % interval':>16} {'limit':>6}")
    for name in options.models:
        model, twin = (make() for make in PAIRS[name])
        (array,) = inputs_for(model, options.batch).values()
        artifacts = first_stages(model, {model.inputs[0].name: array[:1]})
        measured = (array, options.rounds, options.repeats)
        figures = {
            "graph": graph_ratio(model, artifacts, *measured),
            "module": module_ratio(artifacts, twin, *measured),
        }
        for what, ratio in figures.items():
            (ours, theirs), (low, high), verdict = ratio.seconds, ratio.interval, ratio.verdict(LIMITS[what])
            missed |= verdict != "within"
            print(
                f"{name:18} {what:8} {ours:9.3f} s {theirs:7.3f} s {ratio.median:7.3f} {low:7.3f} to {high:.3f} "
                f"{LIMITS[what]:6.1f} {verdict}",
                flush=True,
            )
    sys.exit(missed)


if __name__ == "__main__":
    main()
