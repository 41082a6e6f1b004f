"""Fold an upstream's answer, one JSON body or an event stream, into its canonical form.

Owns the one rule of what can be replayed to another client without loss: a single complete text, and no
field that says something (`_says_something`) but those listed in the types below, which a replay either
reproduces or may make anew. A message's text fields are all reproduced, whatever their names. It reads
no status or header, and does not know whether anybody may store the result.

Reasons, the first that applies: MALFORMED or TOO_LARGE, whichever shows first (the rest is not read);
what the answer is: MULTIPLE_CHOICES, TOOL_CALLS, REFUSAL, LOGPROBS, UNKNOWN_FIELD (last, for the others
name what was found); how it ended: INCOMPLETE (no finish reason, or a stream without its `[DONE]`),
FINISH_REASON (not `stop`), MALFORMED (no model was named), EMPTY.
"""

from collections.abc import Iterator
from types import NoneType
from typing import Annotated, Any

import msgspec

from router_extproc.base.completion import Completion, Folded, Unfoldable, Usage
from router_extproc.base.refusals import Uncached
from router_extproc.llm.sse import MAX_EVENT_BYTES, EventStreamParser

MAX_TEXT_BYTES = 1 << 20
"""Default bound on an answer's text in UTF-8, content and other text fields together."""

_DONE = b"[DONE]"

_SIGNS = (
    Uncached.MULTIPLE_CHOICES,
    Uncached.TOOL_CALLS,
    Uncached.REFUSAL,
    Uncached.LOGPROBS,
    Uncached.UNKNOWN_FIELD,
)
"""Reasons that do not stop the reading, by precedence."""

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
"""Up to the largest integer that every JSON reader keeps exact (RFC 8259, section 6)."""

Fields = dict[str, Any]


class _Usage(msgspec.Struct, forbid_unknown_fields=True):
    prompt_tokens: _Count
    completion_tokens: _Count
    total_tokens: Any = None  # made anew: the sum
    prompt_tokens_details: Any = None  # counts about the run that made the text, not about a replay: dropped
    completion_tokens_details: Any = None  # the same
    prompt_cache_hit_tokens: Any = None  # DeepSeek; the same
    prompt_cache_miss_tokens: Any = None  # DeepSeek; the same
    queue_time: Any = None  # Groq: seconds of the run, as the next three
    prompt_time: Any = None
    completion_time: Any = None
    total_time: Any = None


class _Choice(msgspec.Struct, forbid_unknown_fields=True):
    """A field of type `None` is listed for servers that always send it; with a value it is unknown."""

    index: int
    message: Fields | None = None
    delta: Fields | None = None
    finish_reason: str | None = None
    logprobs: Any = None  # has its own reason
    stop_reason: None = None  # vLLM: the stop string or token id that ended the text
    token_ids: None = None  # vLLM: `return_token_ids`
    matched_stop: Any = None  # SGLang: the end-of-text token or stop string, sent with every answer
    content_filter_results: Any = None  # Azure: a judgement of the run, on every answer


class _Answer(msgspec.Struct, forbid_unknown_fields=True):
    """A `chat.completion` or a `chat.completion.chunk`. Fields of type `None` as in `_Choice`."""

    choices: list[_Choice]
    model: str = ""
    usage: _Usage | None = None
    error: Any = None  # makes it MALFORMED
    id: Any = None  # made anew: each replay is an answer of its own
    created: Any = None  # made anew
    object: Any = None  # made anew: a replay may have the other form
    system_fingerprint: Any = None  # names the server's build, which did not serve the replay
    service_tier: Any = None  # how the request was served, which says nothing about a replay
    obfuscation: Any = None  # OpenAI: random padding that hides a chunk's size; a replay's pieces are even
    timings: Any = None  # llama.cpp: milliseconds of the run
    x_groq: Any = None  # Groq: ids and counts of the run
    prompt_filter_results: Any = None  # Azure: a judgement of the prompt, on every answer
    prompt_logprobs: Any = None  # vLLM; has the reason of `logprobs`
    prompt_token_ids: None = None  # vLLM: `return_token_ids`
    kv_transfer_params: None = None  # vLLM: where another instance finds the prompt's key-value cache


_ANSWER = msgspec.json.Decoder(_Answer)
_WHOLE = msgspec.json.Decoder()


def _listed(kind: type[msgspec.Struct]) -> frozenset[str]:
    """Names of the fields that may say something."""
    return frozenset(field.name for field in msgspec.structs.fields(kind) if field.type is not NoneType)


_ANSWER_FIELDS, _CHOICE_FIELDS, _USAGE_FIELDS = _listed(_Answer), _listed(_Choice), _listed(_Usage)


def _says_something(value: object) -> bool:
    """Not null, empty or false. A number always does: 0 is a token id or a score."""
    return bool(value) or type(value) in (int, float)


def _parts(whole: object) -> Iterator[tuple[object, frozenset[str]]]:
    """The parts of an answer that have a list of fields, and that list. Any may be of a wrong type."""
    if not isinstance(whole, dict):
        return
    yield whole, _ANSWER_FIELDS
    yield whole.get("usage"), _USAGE_FIELDS
    choices = whole.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        yield choice, _CHOICE_FIELDS


def _read(data: bytes) -> tuple[_Answer, bool]:
    """The answer, and whether an unlisted field of it says something. Messages are not looked into.

    Known servers' answers take one pass of the decoder and no look at names here; others, and one with
    such a field, take a second pass.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: it is no answer.
    """
    try:
        return _ANSWER.decode(data), False
    except msgspec.ValidationError:  # an unlisted field, or a listed one of a wrong type
        whole = _WHOLE.decode(data)
    unknown = False
    for part, listed in _parts(whole):
        if isinstance(part, dict):
            for name in part.keys() - listed:
                unknown |= _says_something(part.pop(name))
    return msgspec.convert(whole, _Answer), unknown


def fold_json(body: bytes, max_text_bytes: int = MAX_TEXT_BYTES) -> Folded:
    """The canonical form of a whole `chat.completion` body."""
    fold = _Fold(max_text_bytes)
    fold.take(body, streamed=False)
    return fold.result(ended=True)


class StreamFold:
    """The same for an event stream of `chat.completion.chunk`s that arrives in pieces of any size.

    Only a comment may follow `[DONE]`: clients stop reading there, so another event makes the stream
    MALFORMED rather than giving us an answer nobody else saw. Holds at most `max_text_bytes` of text and
    `max_event_bytes` of an unfinished event; beyond either the answer is TOO_LARGE.
    """

    __slots__ = ("_ended", "_fold", "_parser")

    def __init__(self, max_text_bytes: int = MAX_TEXT_BYTES, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._parser = EventStreamParser(max_event_bytes)
        self._fold = _Fold(max_text_bytes)
        self._ended = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream. Never raises on what they say."""
        if self._fold.failed:
            return
        for event in self._parser.feed(data):
            if self._ended:
                self._fold.fail(Uncached.MALFORMED)
            elif event == _DONE:
                self._ended = True
            else:
                self._fold.take(event, streamed=True)
        if self._parser.overflowed:
            self._fold.fail(Uncached.TOO_LARGE)

    @property
    def held(self) -> int:
        """Bytes held now: text, and the unfinished event."""
        return self._fold.held + self._parser.held

    def finish(self) -> Folded:
        """The canonical form, once the stream is over; changes nothing."""
        return self._fold.result(ended=self._ended)


class _Fold:
    """Collects what the parts of an answer say; judges when there is no more."""

    __slots__ = ("_finish", "_max", "_model", "_signs", "_size", "_texts", "_usage", "failed")

    def __init__(self, max_text_bytes: int) -> None:
        self.failed: Uncached | None = None
        self._max = max_text_bytes
        self._size = 0
        self._model = ""
        self._texts: dict[str, bytearray] = {}
        """Text by field name, in order of appearance, as UTF-8: its length is then what is bounded."""
        self._finish: str | None = None
        self._usage: Usage | None = None
        self._signs: set[Uncached] = set()
        """Those of `_SIGNS` that were found."""

    @property
    def held(self) -> int:
        return sum(len(text) for text in self._texts.values())

    def fail(self, reason: Uncached) -> None:
        """The answer has no canonical form; the first reason counts, and nothing is kept."""
        if self.failed is None:
            self.failed = reason
            self._texts.clear()

    def take(self, data: bytes, streamed: bool) -> None:
        """Read a whole answer, or a chunk of one."""
        if self.failed:
            return
        try:
            answer, unknown = _read(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.fail(Uncached.MALFORMED)
            return
        if answer.error is not None or not self._same_model(answer.model):
            self.fail(Uncached.MALFORMED)
            return
        if unknown:
            self._signs.add(Uncached.UNKNOWN_FIELD)
        if answer.prompt_logprobs is not None:
            self._signs.add(Uncached.LOGPROBS)
        if answer.usage is not None:
            self._usage = Usage(answer.usage.prompt_tokens, answer.usage.completion_tokens)
        if len(answer.choices) > 1:
            self._signs.add(Uncached.MULTIPLE_CHOICES)
        elif answer.choices:
            self._take_choice(answer.choices[0], streamed)

    def _same_model(self, model: str) -> bool:
        """Some servers leave the name out of chunks without text; two names are two answers."""
        self._model = self._model or model
        return not model or model == self._model

    def _take_choice(self, choice: _Choice, streamed: bool) -> None:
        if choice.index != 0:
            self._signs.add(Uncached.MULTIPLE_CHOICES)
            return
        fields, other = (choice.delta, choice.message) if streamed else (choice.message, choice.delta)
        if fields is None or other is not None:
            self.fail(Uncached.MALFORMED)
            return
        if choice.logprobs is not None:
            self._signs.add(Uncached.LOGPROBS)
        ended = self._finish is not None
        for name, value in fields.items():
            if _says_something(value):
                self._take_field(name, value, ended)
        if choice.finish_reason:  # some servers send "" until the end
            if ended and choice.finish_reason != self._finish:
                self.fail(Uncached.MALFORMED)
            self._finish = choice.finish_reason

    def _take_field(self, name: str, value: object, ended: bool) -> None:
        """One field of a message or delta that says something. `ended`: an earlier chunk finished it."""
        if name == "role":
            if value != "assistant":
                self.fail(Uncached.MALFORMED)
        elif name in ("tool_calls", "function_call"):
            self._signs.add(Uncached.TOOL_CALLS)
        elif name == "refusal":
            self._signs.add(Uncached.REFUSAL)
        elif isinstance(value, str) and not ended:
            self._append(name, value.encode())
        elif isinstance(value, str) or name == "content":
            self.fail(Uncached.MALFORMED)
        else:  # `audio`, `annotations`, and what servers add
            self._signs.add(Uncached.UNKNOWN_FIELD)

    def _append(self, name: str, text: bytes) -> None:
        if self.failed:
            return
        if name not in self._texts:
            self._texts[name] = bytearray()
            self._size += len(name.encode())
        self._size += len(text)
        if self._size > self._max:
            self.fail(Uncached.TOO_LARGE)
            return
        self._texts[name] += text

    def result(self, ended: bool) -> Folded:
        """`ended` says that the upstream marked the end of the answer."""
        reason = self._refusal(ended)
        if reason is not None:
            return Unfoldable(reason)
        texts = {name: text.decode() for name, text in self._texts.items()}
        content = texts.pop("content")
        return Completion(self._model, content, self._finish or "", tuple(texts.items()), self._usage)

    def _refusal(self, ended: bool) -> Uncached | None:
        if self.failed:
            return self.failed
        for sign in _SIGNS:
            if sign in self._signs:
                return sign
        if not ended or self._finish is None:
            return Uncached.INCOMPLETE
        if self._finish != "stop":
            return Uncached.FINISH_REASON
        if not self._model:
            return Uncached.MALFORMED
        return None if "content" in self._texts else Uncached.EMPTY
