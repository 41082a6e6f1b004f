"""The encoder's arithmetic in PyTorch, with weights that can be fitted: what `encoder.graph` builds, again.

Only low-rank factors of matrices, biases and layer norms change; embeddings do not. Owns the forward pass and
what is fitted; knows nothing of data or of what is read from the states.
"""

from collections.abc import Mapping
from math import sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import dropout, gelu, layer_norm, linear

from router_extproc.encoder.adapter import DOWN, UP
from router_extproc.encoder.graph import Shape, Weights

ATTENTION = ("attention.self.query", "attention.self.key", "attention.self.value")
LINEAR = (*ATTENTION, "attention.output.dense", "intermediate.dense", "output.dense")
NORMS = ("attention.output.LayerNorm", "output.LayerNorm")
SCALE = 2.0
MASKED = -1e4
"""Added to the scores of padding: nothing is left of it after the softmax."""


class LowRankBert:
    """`fitted` are the tensors to be optimised, by the names of the adapter's file; linear units over the
    states may be added to it."""

    def __init__(
        self, base: Weights, shape: Shape, rank: int, generator: torch.Generator, first: int = 0
    ) -> None:
        """Layers before the `first` stay the base's."""
        self._shape = shape
        self._first = first
        self._base = {name: torch.from_numpy(np.array(value)) for name, value in base.items()}
        self._matrices: dict[str, Tensor] = {}
        self.fitted: dict[str, Tensor] = {}
        for layer in range(shape.layers):
            for name in (f"encoder.layer.{layer}.{part}" for part in LINEAR):
                matrix = self._base[name + ".weight"]
                self._matrices[name] = matrix.bfloat16()
                if layer < first:
                    continue
                self.fitted[name + DOWN] = torch.randn(rank, matrix.shape[1], generator=generator) / sqrt(
                    matrix.shape[1]
                )
                self.fitted[name + UP] = torch.zeros(matrix.shape[0], rank)
                self.fitted[name + ".bias"] = self._base[name + ".bias"].clone()
            for name in (f"encoder.layer.{layer}.{part}" for part in NORMS if layer >= first):
                for part in (".weight", ".bias"):
                    self.fitted[name + part] = self._base[name + part].clone()
        for tensor in self.fitted.values():
            tensor.requires_grad_(True)

    def add_unit(self, name: str, outputs: int, inputs: int, generator: torch.Generator) -> None:
        """A linear unit of `outputs` rows, `name`.weight and `name`.bias."""
        weight = torch.randn(outputs, inputs, generator=generator) / sqrt(inputs)
        self.fitted[name + ".weight"] = weight.requires_grad_(True)
        self.fitted[name + ".bias"] = torch.zeros(outputs).requires_grad_(True)

    def unit(self, name: str, value: Tensor) -> Tensor:
        return linear(value, self.fitted[name + ".weight"], self.fitted[name + ".bias"])

    def start_from(self, tensors: Mapping[str, NDArray[np.floating]]) -> None:
        """Go on from what was fitted before, in the form of the adapter's file. Factors of a lower rank take
        the first places of these: the others add nothing before the first step."""
        with torch.no_grad():
            for name, value in tensors.items():
                whole = self.fitted[name]
                part = whole[: len(value)] if name.endswith(DOWN) else whole
                part = whole[:, : value.shape[1]] if name.endswith(UP) else part
                part.copy_(torch.from_numpy(np.array(value, np.float32)))

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        return {name: tensor.detach().numpy().copy() for name, tensor in self.fitted.items()}

    def states(self, ids: Tensor, mask: Tensor, dropped: float = 0.0) -> list[Tensor]:
        """int64 (batch, sequence) and its bool mask to the output of every layer, float32 (batch, sequence,
        dimension), the embeddings first. `dropped` is the share of what a fitted layer adds that is left out
        at random (Srivastava et al. 2014)."""
        hidden = self._embeddings(ids)
        ignored = torch.zeros(mask.shape).masked_fill_(~mask, MASKED)[:, None, None, :]
        found = [hidden]
        for layer in range(self._shape.layers):
            prefix = f"encoder.layer.{layer}."
            share = dropped if layer >= self._first else 0.0
            mixed = self._linear(prefix + LINEAR[3], self._attention(prefix, hidden.bfloat16(), ignored))
            hidden = self._norm(prefix + NORMS[0], hidden + dropout(mixed, share, share > 0))
            inner = gelu(self._linear(prefix + LINEAR[4], hidden.bfloat16()))
            outer = self._linear(prefix + LINEAR[5], inner)
            hidden = self._norm(prefix + NORMS[1], hidden + dropout(outer, share, share > 0))
            found.append(hidden)
        return found

    def _embeddings(self, ids: Tensor) -> Tensor:
        name = "embeddings."
        places = self._base[name + "position_embeddings.weight"][: ids.shape[1]]
        places = places + self._base[name + "token_type_embeddings.weight"][0]
        words = self._base[name + "word_embeddings.weight"][ids]
        weight, bias = (self._base[f"{name}LayerNorm.{part}"] for part in ("weight", "bias"))
        return layer_norm(words + places, weight.shape, weight, bias, self._shape.epsilon)

    def _linear(self, name: str, value: Tensor) -> Tensor:
        """The changed matrix is made once a call: multiplying by the thin factors themselves takes longer."""
        matrix, bias = self._matrices[name], self._current(name + ".bias").bfloat16()
        if name + DOWN in self.fitted:
            down, up = self.fitted[name + DOWN], self.fitted[name + UP]
            matrix = matrix + SCALE * (up.bfloat16() @ down.bfloat16())
        return linear(value, matrix, bias)

    def _current(self, name: str) -> Tensor:
        """The fitted tensor, or the base's where none is fitted."""
        return self.fitted[name] if name in self.fitted else self._base[name]

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
        weight, bias = self._current(name + ".weight"), self._current(name + ".bias")
        return layer_norm(value, weight.shape, weight, bias, self._shape.epsilon)
