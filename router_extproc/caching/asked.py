"""What a question asks for: how, what, why, whether, or nothing.

Knows English question words and the ways around them; sees words only, in lower case.
"""

from types import MappingProxyType

from router_extproc.caching.lexicon import AUXILIARIES, FUNCTION_WORDS, WAYS

_PLAIN_KINDS = MappingProxyType(
    {
        **{word: word for word in ("when", "where", "why", "who", "what", "which", "how")},
        **{"whose": "who", "whom": "who", "whats": "what", "hows": "how"},
    }
)
_RELATIVE = frozenset(("who", "whose", "whom", "which", "where", "when"))
"""These ask for nothing right behind a noun."""

_ASKING = frozenset("know knows wonder wondering say understand ask remember".split())

_AMOUNTS = frozenset(("much", "many", "long", "old", "far", "often"))
_AFTER_HOW = frozenset(
    "to do does did can could should would will is are was were has have am i we you".split()
)
_ONESELF = frozenset(("i", "we", "you", "one"))


_POLITE = frozenset(("can", "could", "will", "would"))
_REQUESTS = frozenset(
    "tell explain give show list name describe suggest recommend write make please translate help".split()
)


def kinds(words: list[str]) -> frozenset[str]:
    """The first question word counts, and those that "and" or "or" joins to it."""
    found: list[str] = []
    for place, word in enumerate(words):
        if word in _PLAIN_KINDS and (not found or words[place - 1] in ("and", "or")):
            before = words[place - 1] if place else "i"
            if word == "when" and not place and len(words) > 1 and words[1] not in AUXILIARIES:
                continue
            if word in _RELATIVE and not (
                before in FUNCTION_WORDS or before in _ASKING or before.isdecimal()
            ):
                continue
            found.append(_kind(_PLAIN_KINDS[word], words[place + 1 : place + 6]))
    if found:
        return frozenset(found)
    if len(words) > 2 and words[1] == "you" and words[0] in _POLITE and words[2] in _REQUESTS:
        return frozenset(("how" if not WAYS.isdisjoint(words[2:9]) else "do",))
    if not WAYS.isdisjoint(words[:7]):
        return frozenset(("how",))
    return frozenset(("whether" if words and (words[0] in AUXILIARIES or "whether" in words) else "do",))


_HINDERING = frozenset("prevents preventing keeps stops stopping causing".split())


def _kind(word: str, after: list[str]) -> str:
    """What `word` asks for, given the five words behind it: "what should I do to" asks how."""
    if word == "how" and after:
        if after[0] == "come":
            return "why"
        if after[0] in _AMOUNTS:
            return "how " + after[0]
        return "how" if after[0] in _AFTER_HOW else "how is"
    if word in ("what", "which"):
        if after and after[0] in ("make", "makes", "causes", "purpose"):
            return "why"
        if "reason" in after or "reasons" in after or not _HINDERING.isdisjoint(after[:3]):
            return "why"
        if not WAYS.isdisjoint(after) or (len(after) > 2 and after[1] in _ONESELF and after[2] == "do"):
            return "how"
        return "when" if after and after[0] in ("year", "date") else "what"
    return word
