"""Measures how well the encoder and its heads do on labelled data. Knows no model and no store."""
