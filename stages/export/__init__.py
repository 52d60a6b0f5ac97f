"""Stage 1: Keras → ONNX by tf2onnx, the weights as inputs of the graph."""

from .stage import Export

__all__ = ["Export"]
