"""What is done to a model: one folder a stage, none of which imports another."""
