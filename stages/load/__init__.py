"""What the job names becomes objects: a Keras model, the user's module, inputs and labels.

Nothing here loads TensorFlow or torch before a function needs it: ``inspect`` and every gate are static.
"""

from .arrays import LABELS, checked_inputs, checked_labels, inputs, labels
from .generate import InputSpec, generated_inputs, input_specs
from .model import keras_model
from .module import torch_module
from .stored import StoredModel, stored_model
from .summary import LayerSummary, ModelSummary, inspect

__all__ = [
    "LABELS",
    "InputSpec",
    "LayerSummary",
    "ModelSummary",
    "StoredModel",
    "checked_inputs",
    "checked_labels",
    "generated_inputs",
    "input_specs",
    "inputs",
    "inspect",
    "keras_model",
    "labels",
    "stored_model",
    "torch_module",
]
