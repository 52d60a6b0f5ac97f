"""The whole models of the table, by where they come from."""

from __future__ import annotations

from .applications import ENTRIES as APPLICATIONS
from .backbones import ENTRIES as BACKBONES

MODELS = (*APPLICATIONS, *BACKBONES)
