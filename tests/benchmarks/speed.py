"""How fast what torchgraft makes runs: its ONNX graph beside tf2onnx's, its imported module beside a hand-written one.

    python tests/benchmarks/speed.py [--repeats 30] [--batch 4] [--models ResNet50 …]

Both sides of a ratio run in turn in one process on one thread, first the one and then the other first. What is counted
are seconds of the processor, and of these the least: other work on the machine only ever adds to them (as ``timeit``
has it). The graphs are run as a user would run them: all optimisations of ONNX Runtime, weights inside.

- **graph**: seconds of the normalised graph over those of what ``tf2onnx.convert.from_function`` makes; at most 1.
- **module**: seconds of the imported module over those of torchvision's or timm's; at most 1.1.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
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
from speed_models import PAIRS
from torchgraft.stages.base import Artifacts, ExportedGraph, ImportedModule, NormalizedGraph
from torchgraft.stages.deliver import write_onnx

LIMITS = {"graph": 1.0, "module": 1.1}


def ratio_of(ours: Callable[[], Any], theirs: Callable[[], Any], repeats: int) -> tuple[float, float, float]:
    """(least seconds of ours, of theirs, their ratio), after a run of each that does not count."""
    seconds: dict[Callable[[], Any], list[float]] = {ours: [], theirs: []}
    for number in range(repeats + 1):
        for run in (ours, theirs) if number % 2 else (theirs, ours):
            start = time.process_time()
            run()
            if number:
                seconds[run].append(time.process_time() - start)
    first, second = min(seconds[ours]), min(seconds[theirs])
    return first, second, first / second


def session(proto: bytes | str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(proto, options, providers=["CPUExecutionProvider"])


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


def graph_ratio(model: Any, artifacts: Artifacts, array: np.ndarray, repeats: int) -> tuple[float, float, float]:
    with tempfile.TemporaryDirectory() as folder:
        write_onnx(artifacts[NormalizedGraph], artifacts[ExportedGraph], Path(folder))
        ours = session(str(Path(folder) / "model.onnx"))
    theirs = session(bare_graph(model).SerializeToString())
    (port,) = artifacts[NormalizedGraph].inputs
    laid = np.ascontiguousarray(port.from_keras(array))
    np.testing.assert_allclose(_run(ours, laid), _run(theirs, array), rtol=1e-3, atol=1e-4)
    return ratio_of(lambda: _run(ours, laid), lambda: _run(theirs, array), repeats)


def _run(one: onnxruntime.InferenceSession, array: np.ndarray) -> np.ndarray:
    return one.run(None, {one.get_inputs()[0].name: array})[0]


def module_ratio(artifacts: Artifacts, twin: torch.nn.Module, array: np.ndarray, repeats: int) -> Any:
    (port,) = artifacts[NormalizedGraph].inputs
    module = artifacts[ImportedModule].module
    ours = torch.from_numpy(np.ascontiguousarray(port.from_keras(array)))
    theirs = torch.from_numpy(np.ascontiguousarray(np.moveaxis(array, -1, 1)))
    with torch.inference_mode():
        return ratio_of(lambda: module(ours), lambda: twin.eval()(theirs), repeats)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--models", nargs="+", choices=list(PAIRS), default=list(PAIRS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    missed = False
    print(f"{'':18} {'what':8} {'torchgraft':>11} {'other':>9} {'ratio':>7} {'limit':>6}")
    for name in options.models:
        model, twin = (make() for make in PAIRS[name])
        (array,) = inputs_for(model, options.batch).values()
        artifacts = first_stages(model, {model.inputs[0].name: array[:1]})
        figures = {
            "graph": graph_ratio(model, artifacts, array, options.repeats),
            "module": module_ratio(artifacts, twin, array, options.repeats),
        }
        for what, (ours, theirs, ratio) in figures.items():
            missed |= ratio > LIMITS[what]
            print(f"{name:18} {what:8} {ours:9.3f} s {theirs:7.3f} s {ratio:7.2f} {LIMITS[what]:6.1f}", flush=True)
    sys.exit(missed)


if __name__ == "__main__":
    main()
