"""Stage 4: see stage.py; converters/ holds what onnx2torch lacks."""

from .stage import Import, imported

__all__ = ["Import", "imported"]
