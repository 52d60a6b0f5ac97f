"""The config of a model that Keras 1 or 2 wrote, in the words of Keras 3.

What Keras 3 itself does not read of them (tried on files of tf_keras 2.21 and Keras 2.0.5):

1. options that it no longer has. One that has no effect on inference, or none at the value that it has, is left out;
   any other stays, and Keras 3 refuses it.
2. ``{"class_name": "Policy"}`` as a dtype, a list as BatchNormalization's axis.
3. the modules of tf_keras in a .keras file.
4. calls of a nested model: Keras 2 counts them from 1, for its own graph is the first node. Keras 3 knows that of
   outputs that are a functional model's only (keras/src/models/functional.py, ``get_tensor``; not of a Sequential, and
   not in ``deserialize_node``).
5. ``hard_sigmoid``: 0.2 x + 0.5 between 0 and 1 in Keras 1 and 2 (keras/backend/tensorflow_backend.py), x / 6 + 0.5
   in Keras 3, under the same name; a GRU without ``reset_after``, which was False before there was the option.
6. all the words of Keras 1: classes, arguments, ``border_mode`` (docs of Keras 2.0.0's release notes).
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..errors import UnsupportedError

ANY = object()
HARD_SIGMOID = "hard_sigmoid_of_keras2"


def hard_sigmoid_of_keras2(x: Any) -> Any:
    """``clip(0.2 x + 0.5, 0, 1)``."""
    import keras

    return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)


#: For ``custom_objects``, wherever a translated config is read.
FUNCTIONS = {HARD_SIGMOID: hard_sigmoid_of_keras2}


class Inert(NamedTuple):
    """An option that Keras 3 does not have, and the values at which leaving it out changes nothing."""

    classes: tuple[str, ...]
    options: tuple[str, ...]
    values: tuple[object, ...] = (ANY,)


_RECURRENT = ("LSTM", "GRU", "SimpleRNN", "RNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "LSTMCell", "GRUCell")
_DEPTHWISE = ("SeparableConv1D", "SeparableConv2D", "DepthwiseConv1D", "DepthwiseConv2D")
# Of each: tf_keras/src/layers/…, its get_config, against keras/src/layers/…, its __init__.
INERT: tuple[Inert, ...] = (
    Inert(_DEPTHWISE, ("kernel_initializer", "kernel_regularizer", "kernel_constraint", "filters")),
    Inert((*_DEPTHWISE, "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), ("groups",), (1,)),
    Inert(_RECURRENT, ("time_major",), (False,)),
    Inert(_RECURRENT, ("implementation",)),
    Inert(("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"), ("noise_shape", "trainable")),
    Inert(("BatchNormalization",), ("renorm", "virtual_batch_size", "adjustment"), (False, None)),
    Inert(("BatchNormalization",), ("fused", "renorm_clipping", "renorm_momentum", "experimental_autocast")),
    Inert(("MultiHeadAttention",), ("query_shape", "key_shape", "value_shape")),
    Inert(("MultiHeadAttention",), ("softmax_robust_masking",), (False,)),
    Inert((), ("rng_type",)),
    Inert((), ("ragged", "sparse"), (False,)),
    Inert(("Embedding",), ("input_length",)),
    Inert((), ("batch_input_shape",), (None,)),
)
# Every model has these.
_UNTOLD = ("batch_input_shape", "ragged", "sparse", "implementation", "time_major", "groups", "filters")
# SeparableConv has filters of its own.
_FILTERS_OF_ITS_OWN = ("SeparableConv1D", "SeparableConv2D")
_MODELS = ("Functional", "Model", "Sequential")
_MODULES = {"tf_keras.src.engine.functional": "keras.src.models.functional"}

# Keras 1 → 2, from its own keras/legacy/interfaces.py.
KERAS1_CLASSES = {
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "AtrousConvolution2D": "Conv2D",
    "SeparableConvolution2D": "SeparableConv2D",
    "Deconvolution2D": "Conv2DTranspose",
}
KERAS1_OPTIONS = {
    "output_dim": "units",
    "nb_filter": "filters",
    "filter_length": "kernel_size",
    "border_mode": "padding",
    "subsample": "strides",
    "subsample_length": "strides",
    "atrous_rate": "dilation_rate",
    "bias": "use_bias",
    "p": "rate",
    "sigma": "stddev",
    "stride": "strides",
    "pool_length": "pool_size",
    "inner_activation": "recurrent_activation",
}
# They concern training, or the shape that the layer before has anyway.
KERAS1_DROPPED = (
    *("init", "inner_init", "forget_bias_init", "W_regularizer", "U_regularizer", "b_regularizer", "W_constraint"),
    *("b_constraint", "activity_regularizer", "input_dtype", "input_dim", "input_length", "dropout_W", "dropout_U"),
    *("gamma_init", "beta_init", "weights", "consume_less", "dropout"),
)
_MERGES = {"sum": "Add", "mul": "Multiply", "concat": "Concatenate", "ave": "Average", "max": "Maximum"}


def translated(config: Mapping[str, Any], version: str, where: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """(the config as Keras 3 has it, what was done to it: sentences).

    Raises:
        UnsupportedError: an option of Keras 1 that means something which Keras 3 has no word for.
    """
    counts: Counter[str] = Counter()
    made: dict[str, Any] = _model(copy.deepcopy(dict(config)), version.startswith("1."), where, counts)
    notes = tuple(f"{what}: {count} layers" if count > 1 else what for what, count in counts.items())
    return made, notes


def layer_config(class_name: str, config: dict[str, Any], counts: Counter[str]) -> dict[str, Any]:
    """The options of one layer of Keras 2, those of the layers that it wraps included (cases 1, 2 and 5)."""
    _leave_out(class_name, config, counts)
    axis = config.get("axis")
    if class_name == "BatchNormalization" and isinstance(axis, list | tuple) and len(axis) == 1:
        config["axis"] = axis[0]
    dtype = config.get("dtype")
    if isinstance(dtype, dict) and dtype.get("class_name") == "Policy":
        config["dtype"] = dtype["config"]["name"]
    if class_name == "GRU":
        config.setdefault("reset_after", False)
    for name, value in config.items():
        if value == "hard_sigmoid" and (name.endswith("activation") or class_name == "Activation"):
            counts[f"{name} hard_sigmoid of {class_name} is Keras 2's, 0.2 x + 0.5"] += 1
            config[name] = {
                "module": "builtins",
                "class_name": "function",
                "config": HARD_SIGMOID,
                "registered_name": "function",
            }
        elif isinstance(value, dict) and isinstance(value.get("config"), dict):
            config[name] = {**value, "config": layer_config(str(value.get("class_name")), value["config"], counts)}
        elif name == "cells" and isinstance(value, list):
            config[name] = [
                {**cell, "config": layer_config(cell["class_name"], cell["config"], counts)} for cell in value
            ]
    return config


def _leave_out(class_name: str, config: dict[str, Any], counts: Counter[str]) -> None:
    """Case 1."""
    for inert in INERT:
        if inert.classes and class_name not in inert.classes:
            continue
        for option in inert.options:
            if option == "filters" and class_name in _FILTERS_OF_ITS_OWN:
                continue
            if option in config and (inert.values == (ANY,) or config[option] in inert.values):
                if option not in _UNTOLD:
                    counts[f"left out {option} of {class_name}, which changes nothing here"] += 1
                del config[option]


def _model(node: dict[str, Any], old: bool, where: str, counts: Counter[str]) -> dict[str, Any]:
    if node.get("class_name") not in _MODELS or not _layers(node):
        return _layer(node, old, where, counts)
    if node.get("module") in _MODULES:
        node["module"] = _MODULES[node["module"]]
    if isinstance(node["config"], list):  # a Sequential before Keras 2.3
        node["config"] = {"name": node.get("name", "sequential"), "layers": node["config"]}
    inner = node["config"]
    inner["layers"] = [_model(layer, old, where, counts) for layer in inner["layers"]]
    for layer in inner["layers"]:
        layer.setdefault("name", layer["config"].get("name"))
    if node.get("class_name") == "Sequential":
        inner["layers"] = [*_input_of(inner["layers"][0]), *inner["layers"]]
        for layer in inner["layers"][1:]:
            layer["config"].pop("batch_input_shape", None)
    if node.get("class_name") == "Model":
        node["class_name"] = "Functional"
    nested = {layer["name"] for layer in inner["layers"] if layer.get("class_name") in _MODELS}
    if nested:
        for layer in inner["layers"]:
            layer["inbound_nodes"] = _counted_from_0(layer.get("inbound_nodes", []), nested)
        stacks = {layer["name"] for layer in inner["layers"] if layer.get("class_name") == "Sequential"}
        inner["output_layers"] = _counted_from_0(inner.get("output_layers", []), stacks)
    return node


def _input_of(first: Mapping[str, Any]) -> list[dict[str, Any]]:
    """An InputLayer for the shape that Keras 2 keeps with the first layer."""
    if first["class_name"] == "InputLayer" or first["config"].get("batch_input_shape") is None:
        return []
    shape = first["config"]["batch_input_shape"]
    config = {"batch_shape": shape, "dtype": "float32", "name": f"{first['config'].get('name')}_input"}
    module = {"module": "keras.layers", "registered_name": None} if "module" in first else {}
    return [{**module, "class_name": "InputLayer", "config": config, "name": config["name"]}]


def _layers(node: Mapping[str, Any]) -> list[Any]:
    inner = node.get("config")
    found = inner if isinstance(inner, list) else inner.get("layers", []) if isinstance(inner, Mapping) else []
    return found if isinstance(found, list) else []


def _counted_from_0(nodes: Any, nested: set[str]) -> Any:
    """Case 4: ``[name, node, tensor, kwargs]`` of a nested model refers to the node before, wherever it stands."""
    if isinstance(nodes, dict):
        return {key: _counted_from_0(value, nested) for key, value in nodes.items()}
    if not isinstance(nodes, list):
        return nodes
    is_reference = len(nodes) >= 3 and isinstance(nodes[0], str) and isinstance(nodes[1], int)
    moved = [_counted_from_0(entry, nested) for entry in nodes]
    if is_reference and nodes[0] in nested:
        moved[1] = nodes[1] - 1
    return moved


def _layer(node: dict[str, Any], old: bool, where: str, counts: Counter[str]) -> dict[str, Any]:
    if node.get("module") in _MODULES:
        node["module"] = _MODULES[node["module"]]
    if old:
        node = _from_keras1(node, where)
    if isinstance(node.get("config"), dict):
        node["config"] = layer_config(str(node.get("class_name")), node["config"], counts)
    return node


def _from_keras1(node: dict[str, Any], where: str) -> dict[str, Any]:
    """Case 6."""
    class_name, config = node["class_name"], node["config"]
    path = f"{where}, layer {config.get('name', class_name)!r}"
    if class_name == "Merge":
        return _merge(node, path)
    if class_name in ("LSTM", "GRU", "SimpleRNN", "Bidirectional", "TimeDistributed", "Highway", "MaxoutDense"):
        raise UnsupportedError(
            f"{class_name} of Keras 1 keeps its weights in another form",
            where=path,
            fix="load the model in Keras 2.0 to 2.2.4, save it again, and give that file",
        )
    if config.get("dim_ordering", "tf") != "tf":
        raise UnsupportedError(
            "dim_ordering 'th' has channels first, which TensorFlow does not compute on a CPU",
            where=path,
            fix="load it in Keras 2.0 to 2.2.4, build the same model with channels_last, copy the weights and save it",
        )
    if config.pop("mode", 0) not in (0, "fan_in"):
        raise UnsupportedError("BatchNormalization with mode 1 or 2", where=path, fix="train with mode=0")
    if "nb_row" in config:
        config["kernel_size"] = [config.pop("nb_row"), config.pop("nb_col")]
    depths = ("kernel_dim1", "kernel_dim2", "kernel_dim3")
    if depths[0] in config:
        config["kernel_size"] = [config.pop(name) for name in depths]
    if class_name == "Embedding":  # units of a Dense, but the width of an Embedding
        config["output_dim_"], size = config.pop("output_dim"), config.get("input_dim")
    for name in KERAS1_DROPPED:
        config.pop(name, None)
    if class_name == "Embedding":
        config["output_dim"], config["input_dim"] = config.pop("output_dim_"), size
    if config.pop("dim_ordering", None) == "tf":
        config["data_format"] = "channels_last"
    renamed = {} if class_name == "Embedding" else KERAS1_OPTIONS
    made = {renamed.get(name, name): value for name, value in config.items() if name != "output_shape"}
    return {**node, "class_name": KERAS1_CLASSES.get(class_name, class_name), "config": made}


def _merge(node: dict[str, Any], path: str) -> dict[str, Any]:
    config = node["config"]
    mode = config.get("mode")
    if mode not in _MERGES:
        raise UnsupportedError(f"Merge with mode {mode!r}", where=path, fix="save the model with Keras 2")
    made = {"name": config["name"]}
    if mode == "concat":
        made["axis"] = config.get("concat_axis", -1)
    return {**node, "class_name": _MERGES[mode], "config": made}
