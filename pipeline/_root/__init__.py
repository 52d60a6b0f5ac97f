"""torchgraft."""
