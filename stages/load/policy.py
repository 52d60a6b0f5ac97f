"""What a stored architecture may name: Keras' own classes, nothing that runs code of the file's author."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import RefusedError, TorchgraftError, UnsupportedError

_RUNS_CODE = {
    "Lambda": "a Lambda layer holds Python code that would run while the file is loaded",
    "__lambda__": "a Python lambda in the file would run while it is loaded",
    "TFSMLayer": "a TFSMLayer loads and runs a SavedModel",
    "TorchModuleWrapper": "a TorchModuleWrapper unpickles a torch module",
    "JaxLayer": "a JaxLayer runs a function of the file's author",
}
_TF_KERAS_ONLY = {
    "TFOpLambda": "was written by tf.keras 2 for a plain TensorFlow operation, which Keras 3 cannot load",
    "SlicingOpLambda": "was written by tf.keras 2 for a slice, which Keras 3 cannot load",
    "TensorFlowOpLayer": "was written by tf.keras 2 for a plain TensorFlow operation, which Keras 3 cannot load",
}
_FACTORY = "give a factory 'file.py:function' that builds the model in your own code and loads its weights"


@dataclass(frozen=True)
class Violation:
    """One object of the architecture that is not loaded, and why.

    Attributes:
        layer: path of the layer that holds it, by names ("encoder/scale").
        class_name: as the file has it.
        reason: a sentence without a subject.
        refused: forbidden by policy (exit 3) or merely unknown (exit 5).
    """

    layer: str
    class_name: str
    reason: str
    refused: bool

    def __str__(self) -> str:
        return f"layer {self.layer!r} ({self.class_name}): {self.reason}"


def violations(config: Mapping[str, Any]) -> Iterator[Violation]:
    """Every object of the architecture that torchgraft does not let Keras build, outermost first."""
    name = config["config"].get("name", "") if isinstance(config.get("config"), Mapping) else ""
    if isinstance(config.get("class_name"), str):
        yield from _judged(config, name)
    yield from _walk(config.get("config"), "")


def check_policy(config: Mapping[str, Any], where: str) -> None:
    """Raise for all violations at once.

    Raises:
        RefusedError: something would run code, or names a module outside Keras.
        UnsupportedError: something that Keras 3 does not know.
    """
    found = tuple(violations(config))
    if not found:
        return
    kind: type[TorchgraftError] = RefusedError if any(one.refused for one in found) else UnsupportedError
    first = next(one for one in found if one.refused or kind is UnsupportedError)
    more = tuple(f"also {one}" for one in found if one is not first)
    raise kind(str(first), where=where, fix=_FACTORY, details=more)


def _walk(node: Any, layer: str) -> Iterator[Violation]:
    if isinstance(node, (list, tuple)):
        for entry in node:
            yield from _walk(entry, layer)
    elif isinstance(node, Mapping):
        if isinstance(node.get("class_name"), str):
            layer = _path(node, layer)
            yield from _judged(node, layer)
        for key, value in node.items():
            if key != "compile_config":
                yield from _walk(value, layer)


def _path(node: Mapping[str, Any], outer: str) -> str:
    inner = node["config"] if isinstance(node.get("config"), Mapping) else {}
    name = inner.get("name") if "class_name" in node else None
    is_layer = isinstance(name, str) and ("inbound_nodes" in node or "trainable" in inner or "layers" in inner)
    return "/".join(part for part in (outer, name) if part) if is_layer else outer


def _judged(node: Mapping[str, Any], layer: str) -> Iterator[Violation]:
    class_name, module = node["class_name"], node.get("module")
    if class_name in _RUNS_CODE:
        yield Violation(layer, class_name, _RUNS_CODE[class_name], refused=True)
    elif class_name in _TF_KERAS_ONLY:
        yield Violation(layer, class_name, _TF_KERAS_ONLY[class_name], refused=False)
    elif isinstance(module, str) and module.split(".")[0] not in ("keras", "builtins"):
        reason = f"its class is of module {module!r}; a model file never makes torchgraft import a module"
        yield Violation(layer, class_name, reason, refused=True)
