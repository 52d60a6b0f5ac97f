"""What a job says of its Keras model, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from . import user_code

if TYPE_CHECKING:
    import keras

DEFAULT_SIGNATURE = "serving_default"


@dataclass(frozen=True)
class ModelSource:
    """Where the model comes from: exactly one of ``path``, ``factory`` and ``architecture``; paths relative to a base.

    Attributes:
        path: a .keras, .h5 or .hdf5 file, or the folder of a SavedModel.
        factory: "file.py:function".
        architecture: a JSON file, as ``model.to_json()`` writes it.
        weights: the file that fills what ``factory`` or ``architecture`` builds: every variable, or it is an error.
        sha256: of ``path``, or of ``weights`` where there is one; None: not checked.
        custom_objects: name in the file → "file.py:Class" or "package.module:Class".
        trust: whether code in the file may run: a Lambda layer, the graph of a SavedModel.
        signature: which one of a SavedModel.
    """

    path: str | None = None
    factory: str | None = None
    architecture: str | None = None
    weights: str | None = None
    sha256: str | None = None
    custom_objects: Mapping[str, str] = field(default_factory=dict)
    trust: bool = False
    signature: str = DEFAULT_SIGNATURE

    @classmethod
    def of(cls, text: str | Path) -> ModelSource:
        """A path or "file.py:function"."""
        return cls(factory=str(text)) if user_code.is_code(str(text)) else cls(path=str(text))

    def __str__(self) -> str:
        first = self.path or self.factory or self.architecture or ""
        return f"{first} + {self.weights}" if self.weights else first


@dataclass(frozen=True)
class LoadedModel:
    """The model, and how it was read ("by Keras 3, …"): sentences without full stop, for summary and manifest."""

    model: keras.Model
    notes: tuple[str, ...] = ()
