"""What a stored architecture may name: Keras' own classes and those that the job names, nothing else that runs code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import RefusedError, TorchgraftError, UnsupportedError

# Python of the file's author: runs where the job trusts the file.
_RUNS_CODE = {
    "Lambda": "a Lambda layer holds Python code that would run while the file is loaded",
    "__lambda__": "a Python lambda in the file would run while it is loaded",
    "TFSMLayer": "a TFSMLayer loads and runs a SavedModel",
    "TorchModuleWrapper": "a TorchModuleWrapper unpickles a torch module",
    "JaxLayer": "a JaxLayer runs a function of the file's author",
    "FlaxLayer": "a FlaxLayer runs a module of the file's author",
    "TensorFlowOpLayer": "a TensorFlowOpLayer holds a TensorFlow operation of the file's author",
}
# What a TFOpLambda of tf.keras 2 may call: it names any public TensorFlow function, `io.write_file` too.
_ARITHMETIC = ("math.", "nn.", "__operators__.", "linalg.", "image.", "signal.", "keras.activations.", "keras.backend.")
_REARRANGING = (
    *("abs", "add", "cast", "clip_by_value", "concat", "convert_to_tensor", "cumsum", "divide", "einsum", "exp"),
    *("expand_dims", "fill", "gather", "gather_nd", "identity", "matmul", "maximum", "minimum", "multiply", "one_hot"),
    *("ones", "ones_like", "pad", "pow", "rank", "reduce_max", "reduce_mean", "reduce_min", "reduce_sum", "repeat"),
    *("reshape", "reverse", "roll", "round", "shape", "sigmoid", "sign", "slice", "split", "sqrt", "square"),
    *("squeeze", "stack", "stop_gradient", "strided_slice", "subtract", "tanh", "tensordot", "tile", "transpose"),
    *("unstack", "where", "zeros", "zeros_like"),
)
# Packages whose classes Keras itself looks up by module (keras/src/saving/serialization_lib.py); tf_keras' own files
# name its modules, and are read by name and not by import.
KERAS_PACKAGES = ("keras", "keras_hub", "keras_nlp", "tf_keras", "builtins")
FACTORY = "give a factory 'file.py:function' that builds the model in your own code and loads its weights"
_TRUST = "set `trust: true` under `model` if you know who wrote the file"


@dataclass(frozen=True)
class Violation:
    """One object of the architecture that is not loaded, and why.

    Attributes:
        layer: path of the layer that holds it, by names ("encoder/scale").
        class_name: as the file has it.
        reason: a sentence without a subject.
        refused: forbidden by policy (exit 3) or merely unknown (exit 5).
        fix: what would let it be loaded.
    """

    layer: str
    class_name: str
    reason: str
    refused: bool
    fix: str = FACTORY

    def __str__(self) -> str:
        return f"layer {self.layer!r} ({self.class_name}): {self.reason}"


def violations(config: Mapping[str, Any], known: Iterable[str] = (), *, trust: bool = False) -> Iterator[Violation]:
    """Every object of the architecture that torchgraft does not let Keras build, outermost first.

    Args:
        config: ``{"class_name": …, "config": …}``.
        known: names of classes and functions that the job's own code gives (``custom_objects``).
        trust: whether the file's own code may run.
    """
    own = {*known, *(name.rpartition(">")[2] for name in known)}
    name = config["config"].get("name", "") if isinstance(config.get("config"), Mapping) else ""
    found = [*(_judged(config, name) if isinstance(config.get("class_name"), str) else ())]
    found += _walk(config.get("config"), "")
    for one in found:
        if one.class_name.rpartition(">")[2] not in own and not (trust and one.class_name in _RUNS_CODE):
            yield one


def check_policy(config: Mapping[str, Any], where: str, known: Iterable[str] = (), *, trust: bool = False) -> None:
    """Raise for all violations at once.

    Raises:
        RefusedError: something would run code, or is a class outside Keras that the job does not name.
        UnsupportedError: something that no Keras knows.
    """
    found = tuple(violations(config, known, trust=trust))
    if not found:
        return
    kind: type[TorchgraftError] = RefusedError if any(one.refused for one in found) else UnsupportedError
    first = next(one for one in found if one.refused or kind is UnsupportedError)
    more = tuple(f"also {one}" for one in found if one is not first)
    raise kind(str(first), where=where, fix=first.fix, details=more)


def _walk(node: Any, layer: str) -> Iterator[Violation]:
    if isinstance(node, (list, tuple)):
        for entry in node:
            yield from _walk(entry, layer)
    elif isinstance(node, Mapping):
        if isinstance(node.get("class_name"), str):
            layer = _path(node, layer)
            yield from _judged(node, layer)
        for key, value in node.items():
            if key not in ("compile_config", "build_config"):
                yield from _walk(value, layer)


def _path(node: Mapping[str, Any], outer: str) -> str:
    inner = node["config"] if isinstance(node.get("config"), Mapping) else {}
    name = inner.get("name") if "class_name" in node else None
    is_layer = isinstance(name, str) and ("inbound_nodes" in node or "trainable" in inner or "layers" in inner)
    return "/".join(part for part in (outer, name) if part) if is_layer else outer


def _judged(node: Mapping[str, Any], layer: str) -> Iterator[Violation]:
    class_name, module, registered = node["class_name"], node.get("module"), node.get("registered_name")
    if class_name in _RUNS_CODE:
        yield Violation(layer, class_name, _RUNS_CODE[class_name], refused=True, fix=f"{_TRUST}, or {FACTORY}")
        return
    inner = node.get("config")
    if isinstance(inner, Mapping) and isinstance(inner.get("vocabulary"), str):
        reason = "its vocabulary is a path, whose content would be read into the model"
        yield Violation(layer, class_name, reason, refused=True)
    if class_name == "TFOpLambda":
        function = str((node.get("config") or {}).get("function"))
        if not function.startswith(_ARITHMETIC) and function not in _REARRANGING:
            reason = f"it calls tf.{function}, which is no arithmetic on tensors"
            yield Violation(layer, class_name, reason, refused=True)
        return
    # A function stands under its name, {"class_name": "function", "config": "package>name"}.
    given = node.get("config") if class_name == "function" else registered
    name = given if isinstance(given, str) and ">" in given else class_name
    foreign = isinstance(module, str) and module.split(".")[0] not in KERAS_PACKAGES
    if foreign or (">" in name and name.split(">")[0] not in KERAS_PACKAGES):
        whose = f"of module {module!r}" if foreign else f"registered as {name!r}"
        reason = f"it is {whose}; a model file never makes torchgraft import a module"
        yield Violation(layer, name, reason, refused=True, fix=custom_line(name))


def custom_line(name: str) -> str:
    """The config line that names a class."""
    attribute = name.rpartition(">")[2]
    return f"name it in the config, `custom_objects: {{{name}: file.py:{attribute}}}` under `model`"
