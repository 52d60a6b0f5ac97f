"""What a SavedModel holds, read from its files alone: nothing of it is run, and TensorFlow is not loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import CorruptInputError, RefusedError
from ..plan import Shape
from . import wire

GRAPH = "saved_model.pb"
KERAS_METADATA = "keras_metadata.pb"
VARIABLES = "variables/variables"
_LIMIT = 1 << 31
_DTYPES = {1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 7: "string", 9: "int64"}
_DTYPES |= {10: "bool", 14: "bfloat16", 17: "uint16", 19: "float16", 22: "uint32", 23: "uint64"}
# They reach out of the graph: to files, to Python, to the network. Saving and restoring is what every SavedModel has
# functions for (SaveV2, RestoreV2, MergeV2Checkpoints, ShardedFilename), which only its own loader calls.
_OUTSIDE = (
    *("WriteFile", "ReadFile", "MatchingFiles", "PyFunc", "PyFuncStateless", "EagerPyFunc", "Save", "SaveSlices"),
    *("WholeFileReader", "WholeFileReaderV2", "TextLineReader", "TextLineReaderV2", "FixedLengthRecordReader"),
    *("TFRecordReader", "TFRecordReaderV2", "TFRecordDataset", "TextLineDataset", "FixedLengthRecordDataset"),
    *("PrintV2", "RpcCall", "SendTPUEmbeddingGradients", "WriteSummary", "CreateSummaryFileWriter", "DebugIdentityV2"),
)


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a signature: None in ``shape`` where free; ``shape`` None where its rank is."""

    name: str
    shape: tuple[int | None, ...] | None
    dtype: str


@dataclass(frozen=True)
class SavedModelFile:
    """A SavedModel's folder.

    Attributes:
        path: the folder.
        writer: version of the TensorFlow that wrote it.
        operations: names of all operations in it.
        signatures: name → its inputs.
        variables: name and shape of each.
        keras: the config of its Keras model, where it has Keras 2's metadata; else empty.
    """

    path: Path
    writer: str
    operations: frozenset[str]
    signatures: Mapping[str, tuple[TensorInfo, ...]]
    variables: tuple[tuple[str, Shape], ...]
    keras: Mapping[str, Any]

    @property
    def outside(self) -> tuple[str, ...]:
        """Operations that reach out of the graph."""
        return tuple(sorted(self.operations.intersection(_OUTSIDE)))


def is_saved_model(path: Path) -> bool:
    """Whether the folder looks like one."""
    return (path / GRAPH).is_file()


def saved_model_file(path: Path) -> SavedModelFile:
    """Read a folder.

    Raises:
        CorruptInputError: a file of it is damaged, or its variables are missing.
        RefusedError: it is larger than any protobuf.
    """
    try:
        message = _read(path / GRAPH)
        graphs = list(wire.below(message, 2))
        if not graphs:
            raise ValueError("it has no graph")
        graph = graphs[0]
        described = SavedModelFile(
            path=path,
            writer=wire.first_text(graph, 1, 5),
            operations=frozenset(_operations(graph)),
            signatures=dict(_signature(entry) for entry in wire.below(graph, 5)),
            variables=tuple(_variable(entry) for entry in wire.below(graph, 7, 1, 7)),
            keras=_keras_config(path),
        )
    except (ValueError, OSError) as error:
        what = f"truncated or damaged SavedModel ({error})"
        raise CorruptInputError(what, where=str(path), fix="save or copy the whole folder again") from error
    if described.variables and not (path / f"{VARIABLES}.index").is_file():
        raise CorruptInputError(
            "the SavedModel has variables, but no variables/variables.index",
            where=str(path),
            fix="copy the whole folder",
        )
    return described


def _read(path: Path) -> bytes:
    if path.stat().st_size > _LIMIT:
        raise RefusedError("it is larger than a protobuf can be", where=str(path), fix="save the model again")
    return path.read_bytes()


def _operations(graph: bytes) -> list[str]:
    """tensorflow/core/framework: MetaGraphDef.graph_def = 2; GraphDef.node = 1, .library = 2; FunctionDef.node = 3."""
    nodes = [*wire.below(graph, 2, 1), *wire.below(graph, 2, 2, 1, 3)]
    return [wire.first_text(node, 2) for node in nodes]


def _signature(entry: bytes) -> tuple[str, tuple[TensorInfo, ...]]:
    """A map entry of SignatureDef: key = 1, value = 2; its inputs = 1, again a map, of TensorInfo."""
    inputs = []
    for pair in wire.below(entry, 2, 1):
        info = next(wire.below(pair, 2), b"")
        inputs.append(TensorInfo(wire.first_text(pair, 1), _shape(info, 3), _dtype(wire.first_integer(info, 2))))
    return wire.first_text(entry, 1), tuple(sorted(inputs, key=lambda one: one.name))


def _variable(message: bytes) -> tuple[str, Shape]:
    """SavedVariable (saved_object_graph.proto): shape = 2, name = 6."""
    shape = _shape(message, 2) or ()
    return wire.first_text(message, 6), tuple(size or 0 for size in shape)


def _shape(message: bytes, number: int) -> tuple[int | None, ...] | None:
    """TensorShapeProto: dim = 2 with size = 1, unknown_rank = 3."""
    for shape in wire.below(message, number):
        if wire.first_integer(shape, 3):
            return None
        sizes = [wire.signed(wire.first_integer(dimension, 1)) for dimension in wire.below(shape, 2)]
        return tuple(None if size < 0 else size for size in sizes)
    return None


def _dtype(number: int) -> str:
    return _DTYPES.get(number, f"DataType {number}")


def _keras_config(path: Path) -> Mapping[str, Any]:
    """Of the root object: SavedMetadata.nodes = 1; SavedObject.node_path = 3, .metadata = 5, a JSON text."""
    file = path / KERAS_METADATA
    if not file.is_file():
        return {}
    for node in wire.below(_read(file), 1):
        if wire.first_text(node, 3) == "root":
            metadata = json.loads(wire.first_text(node, 5))
            return {"class_name": metadata.get("class_name", "unknown"), "config": metadata.get("config") or {}}
    return {}
