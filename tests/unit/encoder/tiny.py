"""A BERT of eight dimensions and one layer, for tests of structure."""

import numpy as np
from numpy.typing import NDArray

from router_extproc.encoder.graph import TAGGER_BIAS, TAGGER_WEIGHT, Shape

SHAPE = Shape(dimension=8, layers=1, attention_heads=2, epsilon=1e-12)
VOCABULARY = 11
POSITIONS = 6
INNER = 16
TAGS = 5


def tiny_weights(seed: int) -> dict[str, NDArray[np.float32]]:
    """Random weights with the names and shapes of a PyTorch BERT."""
    width, layer = SHAPE.dimension, "encoder.layer.0."
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (VOCABULARY, width),
        "embeddings.position_embeddings.weight": (POSITIONS, width),
        "embeddings.token_type_embeddings.weight": (2, width),
        "embeddings.LayerNorm.weight": (width,),
        "embeddings.LayerNorm.bias": (width,),
        TAGGER_WEIGHT: (TAGS, width),
        TAGGER_BIAS: (TAGS,),
    }
    squares = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense")
    linear = dict.fromkeys(squares, (width, width))
    linear |= {"intermediate.dense": (INNER, width), "output.dense": (width, INNER)}
    for name, shape in linear.items():
        shapes[f"{layer}{name}.weight"] = shape
        shapes[f"{layer}{name}.bias"] = (shape[0],)
    for name in ("attention.output.LayerNorm", "output.LayerNorm"):
        shapes[f"{layer}{name}.weight"] = (width,)
        shapes[f"{layer}{name}.bias"] = (width,)
    generator = np.random.default_rng(seed)
    return {name: generator.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
