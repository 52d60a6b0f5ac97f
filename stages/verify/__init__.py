"""Stage 3: ONNX Runtime, raw and normalised graph, against Keras."""
