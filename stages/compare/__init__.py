"""Stage 6: Keras, ONNX Runtime and the user's module on identical inputs."""

from .compare import Compare

__all__ = ["Compare"]
