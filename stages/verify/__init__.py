"""Stage 3: ONNX Runtime, raw and normalised graph, against Keras."""

from .difference import difference_error
from .stage import Verify

__all__ = ["Verify", "difference_error"]
