"""Stage 4: see stage.py; converters/ holds what onnx2torch lacks."""

from ..onnx2torch_import import import_onnx2torch

import_onnx2torch()

from .stage import Import, imported  # noqa: E402 - with what is imported above

__all__ = ["Import", "imported"]
