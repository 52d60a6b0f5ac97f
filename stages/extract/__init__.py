"""Stage 5: the user's module is aligned with the imported one, and the Plan is made."""

from .extract import Extract

__all__ = ["Extract"]
