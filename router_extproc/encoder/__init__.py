"""The sentence encoder and its heads: fetching, building, verifying and running. Sole user of onnxruntime."""
