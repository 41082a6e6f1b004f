"""The sentence vector's type."""

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
"""Shape (dimension,), unit length: a dot product of two is their cosine."""
