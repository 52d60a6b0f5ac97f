"""Stage 2: see stage.py; driver.py tells how it works, rules/ what it knows of each operator."""

from .stage import Normalize, normalized

__all__ = ["Normalize", "normalized"]
