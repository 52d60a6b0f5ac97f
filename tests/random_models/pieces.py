"""All pieces that random models are made of."""

from __future__ import annotations

from collections.abc import Mapping

from .activating import activating, reducing
from .description import Piece
from .features import features
from .shaping import shaping
from .windows import windows

PIECES: Mapping[str, Piece] = {
    piece.name: piece for pieces in (features, windows, activating, reducing, shaping) for piece in pieces()
}
