"""The verifier's arithmetic in PyTorch, with weights that can be fitted: what `encoder.graph` builds, again.

Only low-rank factors of matrices, biases and layer norms change; embeddings do not. Owns the forward pass and
what is fitted; knows nothing of data.
"""

from collections.abc import Mapping
from math import sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import gelu, layer_norm, linear

from router_extproc.encoder.adapter import DOWN, UP
from router_extproc.encoder.graph import HEAD_BIAS, HEAD_WEIGHT, Shape, Weights

ATTENTION = ("attention.self.query", "attention.self.key", "attention.self.value")
LINEAR = (*ATTENTION, "attention.output.dense", "intermediate.dense", "output.dense")
NORMS = ("attention.output.LayerNorm", "output.LayerNorm")
SCALE = 2.0
MASKED = -1e4
"""Added to the scores of padding: nothing is left of it after the softmax."""


class CrossEncoder:
    """`fitted` are the tensors to be optimised, by the names of the adapter's file."""

    def __init__(self, base: Weights, shape: Shape, rank: int, generator: torch.Generator) -> None:
        self._shape = shape
        self._base = {name: torch.from_numpy(np.array(value)) for name, value in base.items()}
        self._matrices: dict[str, Tensor] = {}
        self.fitted: dict[str, Tensor] = {
            HEAD_WEIGHT: torch.randn(shape.dimension, generator=generator) / sqrt(shape.dimension),
            HEAD_BIAS: torch.zeros(1),
        }
        for layer in range(shape.layers):
            for name in (f"encoder.layer.{layer}.{part}" for part in LINEAR):
                matrix = self._base[name + ".weight"]
                self._matrices[name] = matrix.bfloat16()
                self.fitted[name + DOWN] = torch.randn(rank, matrix.shape[1], generator=generator) / sqrt(
                    matrix.shape[1]
                )
                self.fitted[name + UP] = torch.zeros(matrix.shape[0], rank)
                self.fitted[name + ".bias"] = self._base[name + ".bias"].clone()
            for name in (f"encoder.layer.{layer}.{part}" for part in NORMS):
                for part in (".weight", ".bias"):
                    self.fitted[name + part] = self._base[name + part].clone()
        for tensor in self.fitted.values():
            tensor.requires_grad_(True)

    def start_from(self, tensors: Mapping[str, NDArray[np.floating]]) -> None:
        """Go on from what was fitted before, in the form of the adapter's file."""
        with torch.no_grad():
            for name, value in tensors.items():
                self.fitted[name].copy_(torch.from_numpy(np.array(value, np.float32)))

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        return {name: tensor.detach().numpy().copy() for name, tensor in self.fitted.items()}

    def logits(self, ids: Tensor, mask: Tensor) -> Tensor:
        """int64 (batch, sequence) and its bool mask to float32 (batch,)."""
        hidden = self._embeddings(ids)
        ignored = torch.zeros(mask.shape).masked_fill_(~mask, MASKED)[:, None, None, :]
        for layer in range(self._shape.layers):
            prefix = f"encoder.layer.{layer}."
            mixed = self._attention(prefix, hidden.bfloat16(), ignored)
            hidden = self._norm(prefix + NORMS[0], hidden + self._linear(prefix + LINEAR[3], mixed))
            inner = gelu(self._linear(prefix + LINEAR[4], hidden.bfloat16()))
            hidden = self._norm(prefix + NORMS[1], hidden + self._linear(prefix + LINEAR[5], inner))
        return hidden[:, 0] @ self.fitted[HEAD_WEIGHT] + self.fitted[HEAD_BIAS]

    def _embeddings(self, ids: Tensor) -> Tensor:
        name = "embeddings."
        places = self._base[name + "position_embeddings.weight"][: ids.shape[1]]
        places = places + self._base[name + "token_type_embeddings.weight"][0]
        words = self._base[name + "word_embeddings.weight"][ids]
        weight, bias = (self._base[f"{name}LayerNorm.{part}"] for part in ("weight", "bias"))
        return layer_norm(words + places, weight.shape, weight, bias, self._shape.epsilon)

    def _linear(self, name: str, value: Tensor) -> Tensor:
        down, up = self.fitted[name + DOWN].bfloat16(), self.fitted[name + UP].bfloat16()
        whole = linear(value, self._matrices[name], self.fitted[name + ".bias"].bfloat16())
        return whole + SCALE * linear(linear(value, down), up)

    def _attention(self, prefix: str, value: Tensor, ignored: Tensor) -> Tensor:
        """Written out: the fused operator's gradient takes longer than all the rest at these lengths."""
        batch, length, width = value.shape
        heads = self._shape.attention_heads
        query, key, content = (
            self._linear(prefix + part, value).view(batch, length, heads, -1).transpose(1, 2)
            for part in ATTENTION
        )
        scores = (query @ key.transpose(2, 3)).float() / sqrt(width // heads) + ignored
        mixed = torch.softmax(scores, dim=-1).bfloat16() @ content
        return mixed.transpose(1, 2).reshape(batch, length, width)

    def _norm(self, name: str, value: Tensor) -> Tensor:
        weight, bias = self.fitted[name + ".weight"], self.fitted[name + ".bias"]
        return layer_norm(value, weight.shape, weight, bias, self._shape.epsilon)
