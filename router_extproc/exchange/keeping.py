"""What becomes of an answer that the guards read before it is kept: it is, or nobody else gets it.

Fails closed: an answer that nobody could read, or not in time, is not kept. Knows scores and types, never the
values that were found.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil

from router_extproc.base.completion import Completion
from router_extproc.base.refusals import Failure, Uncached
from router_extproc.caching.entry import Candidate
from router_extproc.exchange.effects import (
    AnswerScreened,
    CacheSkipped,
    Land,
    PortFailed,
    ScreenAnswer,
    Store,
)
from router_extproc.routing.compiled import Needs
from router_extproc.screening.policy import GUARD, PII, AnswerPolicy, personal, unfit
from router_extproc.screening.reading import CHARACTERS_PER_TOKEN, HEAD, TAIL, Screening

UNREAD = Screening(failed=(GUARD, PII))
"""Of an answer that nobody looked at."""

Settled = Land | Store | AnswerScreened | CacheSkipped | PortFailed


PASSAGE, OVERLAP = 1000, 150
"""Characters. A passage is a pass or two of the encoder, and what waits for it comes in between; in the
overlap there is room for the longest of what is looked for."""


@dataclass(frozen=True, slots=True)
class Passages:
    """What is read of an answer, in order, and how many characters are not."""

    texts: tuple[str, ...] = field(repr=False)
    skipped: int


def passages_of(completion: Completion, max_tokens: int) -> Passages:
    """All that a replay says in words, the content and what stands beside it, such as reasoning, cut to
    passages; of more than `max_tokens`, about, a sample of them."""
    texts = (completion.content, *(text for _, text in completion.extras))
    cut = [passage for text in texts if text for passage in _cut(text)]
    most = max(1, max_tokens * CHARACTERS_PER_TOKEN // PASSAGE)
    if len(cut) <= most:
        return Passages(tuple(cut), 0)
    head, tail = ceil(most * HEAD), int(most * TAIL)
    between, wanted = cut[head : len(cut) - tail], most - head - tail
    chosen = [between[place * len(between) // wanted] for place in range(wanted)]
    sample = (*cut[:head], *chosen, *cut[len(cut) - tail :])
    return Passages(sample, sum(map(len, cut)) - sum(map(len, sample)))


def _cut(text: str) -> Iterator[str]:
    """What is in one passage's overlap with the next is in both."""
    for start in range(0, max(1, len(text) - OVERLAP), PASSAGE - OVERLAP):
        yield text[start : start + PASSAGE]


def together(found: Sequence[Screening], skipped: int) -> Screening:
    """What was found in the passages of one answer. A guard that was silent about one was silent."""
    types: dict[str, float] = {}
    for each in found:
        for kind, score in each.types.items():
            types[kind] = max(types.get(kind, 0.0), score)
    attacks = [each.attack for each in found if each.attack is not None]
    silent = {name for each in found for name in each.failed}
    silent |= {GUARD} if len(attacks) < len(found) else set()
    return Screening(
        attack=max(attacks, default=None),
        types=types,
        read=sum(each.read for each in found),
        skipped=skipped + sum(each.skipped for each in found),
        failed=tuple(sorted(silent)),
    )


def needs_of(policy: AnswerPolicy) -> Needs:
    """What of an analysis is read."""
    return Needs(guard=policy.guard is not None, pii=policy.pii is not None)


def settled(asked: ScreenAnswer, found: Screening | Failure | None, at: float) -> tuple[Settled, ...]:
    """What follows at `at` from what the guards found in the answer: None where they said nothing, a Failure
    where they were not reached in time. Who waits for the answer gets it only if it is kept."""
    entry, policy = asked.entry, asked.policy
    read = found if isinstance(found, Screening) else UNREAD
    refused = unfit(policy, entry.category, read)
    if refused is None and at >= entry.expires_at:
        refused = Uncached.EXPIRED
    note = AnswerScreened(
        refused=refused,
        key=entry.category,
        model=entry.model,
        reference=entry.id,
        tenant=entry.tenant,
        score=None if policy.answers.guard is None else read.attack,
        types=personal(policy.answers, entry.category, read),
        skipped=read.skipped,
    )
    if refused is None:
        return Land(Candidate(entry, 1.0)), Store(entry), note
    failed = (PortFailed("analyst", found),) if isinstance(found, Failure) else ()
    return Land(None), CacheSkipped(refused, storing=True), note, *failed
