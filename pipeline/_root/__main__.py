"""``python -m torchgraft``."""

from .pipeline.cli import main

main()
