"""What the job names becomes objects: a Keras model, the user's module, inputs and labels.

Nothing here loads TensorFlow or torch before a function needs it: ``inspect`` and every gate are static.
"""

from .arrays import LABELS, checked_inputs, checked_labels, inputs, labels
from .generate import InputSpec, generated_inputs, input_specs
from .model import keras_model, load_model, model_in_memory
from .module import seed_torch, torch_module
from .source import LoadedModel, ModelSource
from .stored import StoredWeights, stored_model
from .summary import LayerSummary, ModelSummary, inspect

__all__ = [
    "LABELS",
    "InputSpec",
    "LayerSummary",
    "LoadedModel",
    "ModelSource",
    "ModelSummary",
    "StoredWeights",
    "checked_inputs",
    "checked_labels",
    "generated_inputs",
    "input_specs",
    "inputs",
    "inspect",
    "keras_model",
    "labels",
    "load_model",
    "model_in_memory",
    "seed_torch",
    "stored_model",
    "torch_module",
]
