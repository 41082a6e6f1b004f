"""A sequence classification model of the user's own, in a folder.

Owns how a long text's windows count and how logits become probabilities under the names that the user gives
the labels. How the folder is opened is `folder`'s. Knows nothing of what the labels lead to.

Windows are run one at a time and never padded: the result for a text must not depend on what else is run.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding

from router_extproc.base.errors import ModelError
from router_extproc.encoder.folder import ModelFolder, check, open_folder

MAX_WINDOWS: Final = 8
"""A text is read up to the end of this many windows: what a request costs has a bound."""

CHARACTERS_PER_TOKEN: Final = 20

Combine = Literal["max", "mean"]


@dataclass(frozen=True, slots=True)
class ClassifierOptions:
    """`max_tokens` is a window's size, special tokens included; less where the model has less. `combine`: a
    long text's probability of a label is the highest over its windows or their mean, by default the highest
    for models of which several labels may hold, and the mean for others. `threads` are onnxruntime's.
    `labels` gives labels of the model other names; several may get the same."""

    max_tokens: int = 256
    combine: Combine | None = None
    threads: int = 1
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SequenceClassifier:
    """A loaded model. Any thread may ask. With `multi_label`, several labels may hold of a text, and the
    probabilities do not sum to 1. `names` has a name for each label of the model, in its order."""

    model: ModelFolder
    names: tuple[str, ...]
    combine: Combine

    @property
    def labels(self) -> tuple[str, ...]:
        """The names, each once."""
        return tuple(dict.fromkeys(self.names))

    @property
    def multi_label(self) -> bool:
        return self.model.multi_label

    @property
    def max_tokens(self) -> int:
        return self.model.max_tokens

    def probabilities(self, text: str) -> Mapping[str, float]:
        """Label to probability, in the order of `labels`; each in [0, 1]. Costs up to MAX_WINDOWS runs."""
        row = np.stack([self._shares(window) for window in self._windows(text)])
        combined = row.max(axis=0) if self.combine == "max" else row.mean(axis=0)
        if not self.multi_label:
            combined = combined / combined.sum()
        return dict(zip(self.labels, combined.tolist(), strict=True))

    def rows(self, text: str) -> NDArray[np.float64]:
        """The probabilities in each window of the whole text, (windows, labels). The cost is linear in the
        length of `text`: bound it."""
        return np.stack([self._shares(window) for window in self.model.windows(text)])

    def as_bytes(self) -> bytes:
        """Everything that decides what the head says."""
        names = json.dumps(self.names)
        return f"{self.model.digest} {self.max_tokens} {self.combine} {names}".encode()

    def _windows(self, text: str) -> list[Encoding]:
        return self.model.windows(text[: self.max_tokens * MAX_WINDOWS * CHARACTERS_PER_TOKEN])[:MAX_WINDOWS]

    def _shares(self, window: Encoding) -> NDArray[np.float64]:
        """(labels,): of labels with one name the sum, or the highest where several may hold."""
        shares = self._scaled(self.model.logits(window))
        joined = np.zeros(len(self.labels))
        into = [self.labels.index(name) for name in self.names]
        (np.maximum if self.multi_label else np.add).at(joined, into, shares)
        return joined

    def _scaled(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """tanh is the sigmoid that cannot overflow."""
        if self.multi_label:
            sigmoid: NDArray[np.float64] = 0.5 * (1.0 + np.tanh(0.5 * logits))
            return sigmoid
        powers = np.exp(logits - logits.max())
        softmax: NDArray[np.float64] = powers / powers.sum()
        return softmax


def open_classifier(folder: Path, options: ClassifierOptions) -> SequenceClassifier:
    """Load and test the model in `folder`. Takes up to seconds. Raises ModelError naming the folder, what is
    wrong and the cure."""
    model = open_folder(folder, "text classification", options.max_tokens, options.threads)
    check(model, lambda window: (len(model.labels),), "test", "")
    return SequenceClassifier(
        model=model,
        names=_named(model, options.labels),
        combine=options.combine or ("max" if model.multi_label else "mean"),
    )


def _named(model: ModelFolder, given: Mapping[str, str]) -> tuple[str, ...]:
    if absent := sorted(given.keys() - set(model.labels)):
        raise ModelError(
            f"{model.folder}: labels: {absent[0]!r} is none of the model's ({', '.join(model.labels)}); "
            "correct it"
        )
    names = tuple(given.get(label, label) for label in model.labels)
    if len(set(names)) < 2:
        raise ModelError(f"{model.folder}: labels: every label is called {names[0]!r}; give them two names")
    return names
