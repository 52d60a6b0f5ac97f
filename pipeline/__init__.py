"""How it runs: knows stages, no tensors."""
