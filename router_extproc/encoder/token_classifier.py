"""Personal data by a token classification model of the user's own, in a folder.

Owns how the labels of tokens become spans of characters. How the folder is opened is `folder`'s, what its
labels mean `labels`'. Knows nothing of which finds count.

Windows are put together before anything is decided: of a token that stands in two of them, the window counts
in which more stands around it. So a span may lie across a border, and be longer than a window.
"""

import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from router_extproc.base.errors import ModelError
from router_extproc.encoder.folder import ModelFolder, check, open_folder
from router_extproc.encoder.labels import Role, roles_of
from router_extproc.encoder.passage import Passage
from router_extproc.screening.spans import PiiSpan, Source

SUREST: Final = 0.999
"""A model is never as sure as a check digit, whose finds have the score 1."""

_UNSPACED: Final = ((0x0E00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF))
"""Thai, Lao, Tibetan, Burmese, Khmer: like the wide characters of East Asia, written without spaces."""

Shares = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TokenOptions:
    """`max_tokens` is a window's size, special tokens included; less where the model has less. `labels` maps
    labels to types of personal data, as `labels.roles_of` has it. `threads` are onnxruntime's."""

    max_tokens: int = 256
    labels: Mapping[str, str] = field(default_factory=dict)
    threads: int = 1


class Token(NamedTuple):
    """`text[begin:end]`, without white space around it, of the tokeniser's word number `word`."""

    begin: int
    end: int
    word: int | None


@dataclass(frozen=True, slots=True)
class Scheme:
    """The labels of a model as matrices of 0 and 1, (labels, types): `data` has those of each type,
    `begins` and `ends` those with which a span does."""

    types: tuple[str, ...]
    data: Shares = field(repr=False)
    begins: Shares = field(repr=False)
    ends: Shares = field(repr=False)

    @classmethod
    def of(cls, roles: Sequence[Role | None]) -> "Scheme":
        types = tuple(sorted({role.type for role in roles if role is not None}))
        data, begins, ends = (np.zeros((len(roles), len(types))) for _ in range(3))
        for row, role in enumerate(roles):
            if role is not None:
                column = types.index(role.type)
                data[row, column], begins[row, column], ends[row, column] = 1, role.begins, role.ends
        return cls(types, data, begins, ends)


@dataclass(frozen=True, slots=True)
class TokenClassifier:
    """A loaded model, one of the screener's taggers. Any thread may ask; the runs are linear in the length of
    the text."""

    model: ModelFolder
    scheme: Scheme
    roles: tuple[Role | None, ...]

    def spans(self, passage: Passage) -> list[PiiSpan]:
        """In the order of the text, disjoint, with offsets in the larger one. A span's score is the mean
        probability that its tokens are of its type."""
        tokens, shares = self._read(passage.text)
        kinds = shares @ self.scheme.data
        words = _words(passage.text, tokens)
        found = [(word, kind) for word in words if (kind := _kind(kinds[word.start : word.stop])) is not None]
        return [
            PiiSpan(
                passage.start + tokens[first].begin,
                passage.start + tokens[last].end,
                self.scheme.types[kind],
                min(SUREST, float(kinds[first : last + 1, kind].mean())),
                Source.HEAD,
            )
            for first, last, kind in self._joined(found, shares, kinds)
        ]

    def as_bytes(self) -> bytes:
        """Everything that decides what is found."""
        roles = json.dumps([role and (role.type, role.begins, role.ends) for role in self.roles])
        return f"{self.model.digest} {self.model.max_tokens} {roles}".encode()

    def _read(self, text: str) -> tuple[list[Token], Shares]:
        """The tokens of the text that are not empty, and the probability of each label for each."""
        tokens: list[Token] = []
        shares = [np.zeros((0, len(self.roles)))]
        windows = self.model.windows(text)
        # Of the tokens that two windows share, the first half counts in the earlier one.
        lead = (self.model.overlap + 1) // 2
        for number, window in enumerate(windows):
            special, offsets, words = window.special_tokens_mask, window.offsets, window.word_ids
            own = [place for place, other in enumerate(special) if not other]
            end = len(own) - (self.model.overlap - lead if number + 1 < len(windows) else 0)
            taken = [(at, _token(text, offsets[at], words[at])) for at in own[lead if number else 0 : end]]
            kept = [(at, token) for at, token in taken if token is not None]
            if kept:
                tokens += [token for _, token in kept]
                shares.append(_softmax(self.model.logits(window)[[at for at, _ in kept]]))
        return tokens, np.concatenate(shares)

    def _joined(
        self, words: Sequence[tuple[range, int]], shares: Shares, kinds: Shares
    ) -> Iterator[tuple[int, int, int]]:
        """First and last token and type of each span: neighbouring words of one type are one, unless the
        model says rather than not that a span ends before or begins with the second."""
        begins, ends = shares @ self.scheme.begins, shares @ self.scheme.ends
        first: int | None = None
        for number, (word, kind) in enumerate(words, 1):
            first, last = word.start if first is None else first, word.stop - 1
            if number < len(words) and words[number][0].start == word.stop and words[number][1] == kind:
                starts = 2 * begins[word.stop, kind] > kinds[word.stop, kind]
                if not (starts or 2 * ends[last, kind] > kinds[last, kind]):
                    continue
            yield first, last, kind
            first = None


def open_token_classifier(folder: Path, options: TokenOptions) -> TokenClassifier:
    """Load and test the model in `folder`. Takes up to seconds. Raises ModelError naming the folder, what is
    wrong and the cure."""
    model = open_folder(folder, "token classification", options.max_tokens, options.threads)
    try:
        roles = roles_of(model.labels, options.labels)
    except ModelError as error:
        raise ModelError(f"{folder}: {error}") from None
    check(model, lambda window: (len(window.ids), len(model.labels)), "test")
    return TokenClassifier(model, Scheme.of(roles), roles)


def _token(text: str, offsets: tuple[int, int], word: int | None) -> Token | None:
    """None for a token of white space, and one that stands for nothing in the text. Some tokenisers count
    the space before a word to it."""
    begin, end = offsets
    inside = text[begin:end]
    begin += len(inside) - len(inside.lstrip())
    end -= len(inside) - len(inside.rstrip())
    return Token(begin, end, word) if begin < end else None


def _words(text: str, tokens: Sequence[Token]) -> Iterator[range]:
    """The tokens of each word: the pieces of one are judged together, because many models were fitted on the
    first of them only, and say anything of the others."""
    first = 0
    for place in range(1, len(tokens) + 1):
        if place == len(tokens) or not _goes_on(text, tokens[place - 1], tokens[place]):
            if first < place:
                yield range(first, place)
            first = place


def _goes_on(text: str, before: Token, after: Token) -> bool:
    """Whether the token is a further piece of the word before it, or of its last character."""
    if after.begin < before.end:
        return True
    if after.begin > before.end or after.word != before.word:
        return False
    left, right = text[before.end - 1], text[after.begin]
    return left.isalnum() and right.isalnum() and not (_unspaced(left) or _unspaced(right))


def _unspaced(character: str) -> bool:
    if unicodedata.east_asian_width(character) in "WF":
        return True
    return any(first <= ord(character) <= last for first, last in _UNSPACED)


def _kind(kinds: Shares) -> int | None:
    """The type of a word with these probabilities of its pieces, (pieces, types); None for no type."""
    mean = kinds.mean(axis=0)
    best = int(mean.argmax())
    return best if mean[best] > 1 - mean.sum() else None


def _softmax(logits: NDArray[np.float64]) -> Shares:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Shares = powers / powers.sum(axis=1, keepdims=True)
    return shares
