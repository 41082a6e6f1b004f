"""Models of the user's own in the place of the router's heads: the guards, the domain and the complexity."""

import asyncio
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from router_extproc.app.configuration import load
from router_extproc.app.mind import Mind
from router_extproc.base.errors import ConfigError, ModelError
from router_extproc.encoder.batcher import BatchingAnalyst
from router_extproc.encoder.guards import (
    GuardModel,
    TrunkAttacks,
    TrunkTagger,
    open_attacks,
    open_tagger,
)
from router_extproc.encoder.passage import Passage
from router_extproc.encoder.screener import AttackHead, Screener, Tagger
from router_extproc.encoder.session import Reading, Tokens
from router_extproc.screening.reading import CHARACTERS_PER_TOKEN
from router_extproc.screening.spans import PiiSpan, Source
from tests.support.classifier import write_classifier
from tests.support.encoder import guard_head, real_bundle, real_encoder
from tests.support.token_classifier import write_token_classifier

DEADLINE = 30.0


class Counting:
    """The real encoder, counting its passes."""

    def __init__(self) -> None:
        self.passes = 0
        self.windows = real_encoder().windows
        self.tokenise = real_encoder().tokenise
        self.encoder, self.dimension = real_encoder().encoder, real_encoder().dimension

    def run(self, tokens: Tokens) -> Reading:
        self.passes += 1
        return real_encoder().run(tokens)


class CountingTagger:
    """Counts the texts that a tagger is asked about."""

    def __init__(self, tagger: Tagger) -> None:
        self.texts: list[str] = []
        self._tagger = tagger
        self.as_bytes = tagger.as_bytes

    def spans(self, passage: Passage) -> Sequence[PiiSpan]:
        self.texts.append(passage.text)
        return tuple(self._tagger.spans(passage))


def a_tagger(folder: Path, **labels: str) -> Tagger:
    return open_tagger(GuardModel(write_token_classifier(folder), max_tokens=18, labels=labels))


def a_guard(folder: Path, **given: Any) -> AttackHead:
    labels = ("INJECTION", "JAILBREAK", "SAFE")
    return open_attacks(GuardModel(write_classifier(folder, labels=labels, **given), max_tokens=16))


def screener(tagger: Tagger, attacks: AttackHead | None = None, max_tokens: int = 4096) -> Screener:
    return Screener(Counting(), attacks or TrunkAttacks(guard_head()), tagger, max_tokens)


def test_rules_still_look_and_a_confirmed_form_counts_over_the_model(tmp_path: Path) -> None:
    """The model takes the word `anna` of the address for a person, as surely as it can."""
    folder = write_token_classifier(tmp_path / "m", sure=60.0)
    text = "anna met 4111 1111 1111 1111 at anna@example.com"
    found = screener(open_tagger(GuardModel(folder, 18))).screen(text).spans
    said = [(text[span.start : span.end], span.type, span.source) for span in found]
    assert ("anna", "PERSON", Source.HEAD) in said
    assert ("4111 1111 1111 1111", "CREDIT_CARD", Source.PATTERN) in said
    covered = {place for span in found for place in range(span.start, span.end)}
    assert set(range(text.index("anna@"), len(text))) - covered <= {text.index("@")}
    assert all(one.end <= other.start for one, other in itertools.pairwise(found))


def test_the_router_s_own_tags_are_not_asked(tmp_path: Path) -> None:
    """`Bob` and `Anna` are what the model knows; of Susan, whom the shipped tags find, it knows nothing."""
    text = "My name is Susan Miller and I met Anna Lee."
    own = screener(TrunkTagger(real_bundle().types)).screen(text).spans
    other = screener(a_tagger(tmp_path / "m")).screen(text).spans
    assert "Susan Miller" in [text[span.start : span.end] for span in own]
    assert [text[span.start : span.end] for span in other] == ["Anna Lee"]


def test_a_text_is_read_once_and_no_more_of_it_than_the_budget(tmp_path: Path) -> None:
    tagger = CountingTagger(a_tagger(tmp_path / "m"))
    looking = screener(tagger, max_tokens=512)
    text = "anna " + "met " * 5_000 + "bob"
    found = looking.screen(text)
    assert sum(map(len, tagger.texts)) == found.read <= 512 * CHARACTERS_PER_TOKEN
    assert [(span.start, span.end) for span in found.spans] == [(0, 4), (len(text) - 3, len(text))]
    asked = len(tagger.texts)
    assert looking.screen(text) is found
    assert len(tagger.texts) == asked


def test_with_both_guards_by_models_the_encoder_is_not_run_for_them(tmp_path: Path) -> None:
    encoder = Counting()
    looking = Screener(encoder, a_guard(tmp_path / "g"), a_tagger(tmp_path / "t"))
    found = looking.screen("the " * 800 + "refund anna")
    assert encoder.passes == 0
    assert found.attack == pytest.approx(1.0, abs=0.05)
    assert [span.type for span in found.spans] == ["PERSON"]


def test_an_attack_is_found_in_whatever_window_it_stands(tmp_path: Path) -> None:
    """Also beyond the windows of a classifier that is no guard, and among many that are innocent."""
    guard = a_guard(tmp_path / "m", scale=3.0)
    innocent = "thanks " * 300
    assert guard.attack(_passage(innocent)) < 0.01
    for place in (0, 13, 150, 299):
        words = innocent.split()
        words[place : place + 1] = ["refund"] * 30
        assert guard.attack(_passage(" ".join(words))) > 0.99


def test_probabilities_of_several_kinds_of_attack_are_one(tmp_path: Path) -> None:
    """`refund` says the one kind and `crash` the other, together as surely as they can."""
    both = a_guard(tmp_path / "m").attack(_passage("refund crash"))
    assert both > 0.98 > a_guard(tmp_path / "n").attack(_passage("refund thanks")) > 0.49
    several = a_guard(tmp_path / "o", problem_type="multi_label_classification")
    assert several.attack(_passage("refund crash")) == several.attack(_passage("refund")) < 0.99


def test_labels_that_nobody_knows_are_refused_with_the_folder(tmp_path: Path) -> None:
    folder = write_classifier(tmp_path / "m")
    with pytest.raises(ModelError, match=r"/m: labels: nobody knows whether billing, technical, praise is"):
        open_attacks(GuardModel(folder))
    mapped = dict.fromkeys(("billing", "technical"), "benign") | {"praise": "jailbreak"}
    assert open_attacks(GuardModel(folder, labels=mapped)).attack(_passage("thanks")) > 0.9


def test_what_decides_the_findings_is_in_the_screener_s_bytes(tmp_path: Path) -> None:
    one, two = a_tagger(tmp_path / "a"), a_tagger(tmp_path / "b", LOC="STREET_ADDRESS")
    guard = a_guard(tmp_path / "g")
    built_in = TrunkTagger(real_bundle().types)
    screeners = [screener(one), screener(two), screener(built_in), screener(one, guard)]
    assert len({each.as_bytes() for each in screeners}) == 4
    assert screener(one).as_bytes() == screeners[0].as_bytes()


async def test_the_analyst_s_thread_asks_it(tmp_path: Path) -> None:
    encoder = Counting()
    looking = Screener(encoder, TrunkAttacks(guard_head()), a_tagger(tmp_path / "m"))
    analyst = BatchingAnalyst(encoder, {}, screener=looking)
    await analyst.start()
    async with asyncio.timeout(DEADLINE):
        analysis = await analyst.analyse("anna met bob", others=("in paris",))
    await analyst.close()
    assert analysis.screening is not None
    assert analysis.screening.failed == ()
    assert set(analysis.screening.types) == {"PERSON", "GPE"}
    assert encoder.passes == 2


def _passage(text: str) -> Passage:
    def unread(text: str) -> list[tuple[Tokens, Reading]]:
        raise AssertionError("the encoder is not asked")

    return Passage(text, 0, unread)


ROUTER: dict[str, Any] = {
    "vllm_endpoints": [{"name": "a", "address": "127.0.0.1", "port": 9001}],
    "model_config": {"small": {"preferred_endpoints": ["a"]}, "large": {"preferred_endpoints": ["a"]}},
    "default_model": "small",
    "semantic_cache": {"enabled": False},
}
GUARD: dict[str, Any] = {"enabled": True, "path": "guard", "max_tokens": 16}
PII: dict[str, Any] = {"enabled": True, "path": "names", "max_tokens": 18}


def configured(folder: Path, **keys: Any) -> Path:
    path = folder / "router.yaml"
    path.write_text(json.dumps(ROUTER | keys))
    return path


def test_a_folder_replaces_every_head_by_its_path(tmp_path: Path) -> None:
    write_classifier(tmp_path / "guard", labels=("INJECTION", "JAILBREAK", "SAFE"))
    write_token_classifier(tmp_path / "names")
    write_classifier(tmp_path / "subjects", labels=("Law", "math", "LABEL_2"))
    write_classifier(tmp_path / "demand", labels=("LABEL_0", "LABEL_1", "LABEL_2"))
    demand = {"LABEL_0": "strong", "LABEL_1": "strong", "LABEL_2": "weak"}
    path = configured(
        tmp_path,
        prompt_guard=GUARD,
        classifier={"pii_model": PII},
        classifiers=[
            {"name": "subject", "path": "subjects", "labels": {"Law": "law"}, "use_as_domain": True},
            {"name": "demand", "path": "demand", "labels": demand, "use_as_complexity": True},
        ],
        signals={"complexity": [{"name": "task"}]},
        categories=[{"name": "law", "model_scores": [{"model": "large"}]}],
        decisions=[
            {
                "name": "hard",
                "rules": {"conditions": [{"type": "complexity", "name": "task:hard"}]},
                "modelRefs": [{"model": "large"}],
            }
        ],
    )
    mind = Mind.load(real_bundle(), load(path))
    analysis = mind.analyse("anna refund crash")
    assert analysis.failed == ()
    assert analysis.heads["subject"]["law"] == analysis.heads["subject"]["math"] > 0.49
    assert list(analysis.heads["complexity"]) == ["strong", "weak"]
    assert analysis.heads["complexity"]["strong"] > 0.98
    assert analysis.screening is not None
    assert analysis.screening.attack is not None
    assert analysis.screening.attack > 0.98
    assert set(analysis.screening.types) == {"PERSON"}


def test_labels_that_are_none_of_those_asked_for_are_refused(tmp_path: Path) -> None:
    write_classifier(tmp_path / "own")
    own: dict[str, Any] = {"name": "own", "path": "own"}
    math = [{"name": "math", "model_scores": [{"model": "large"}]}]
    path = configured(tmp_path, classifiers=[own | {"use_as_domain": True}], categories=math)
    with pytest.raises(ConfigError, match=r"'own' \(billing, technical, praise\) are none of .*\(math\)"):
        Mind.load(real_bundle(), load(path))
    hard = {"conditions": [{"type": "complexity", "name": "task:hard"}]}
    path = configured(
        tmp_path,
        classifiers=[own | {"use_as_complexity": True}],
        signals={"complexity": [{"name": "task"}]},
        decisions=[{"name": "hard", "rules": hard, "modelRefs": [{"model": "large"}]}],
    )
    with pytest.raises(ModelError, match="are not strong and weak"):
        Mind.load(real_bundle(), load(path))


def test_a_guard_s_model_is_read_at_start_only(tmp_path: Path) -> None:
    write_classifier(tmp_path / "guard", labels=("INJECTION", "JAILBREAK", "SAFE"))
    write_token_classifier(tmp_path / "names")
    off: dict[str, Any] = {"enabled": False, "path": "names"}
    path = configured(tmp_path, prompt_guard=GUARD, classifier={"pii_model": off})
    mind = Mind.load(real_bundle(), load(path))
    assert (mind.guards.attacks is not None, mind.guards.pii) == (True, None)
    refused: tuple[tuple[dict[str, Any], str], ...] = (
        ({"prompt_guard": GUARD | {"max_tokens": 17}, "classifier": {"pii_model": off}}, "prompt_guard.path"),
        ({"prompt_guard": {"enabled": True}}, "prompt_guard.path"),
        ({"prompt_guard": GUARD, "classifier": {"pii_model": PII}}, "classifier.pii_model.path"),
    )
    for keys, said in refused:
        with pytest.raises(ConfigError, match=said) as raised:
            mind.prepared(load(configured(tmp_path, **keys)))
        assert "restart the router" in str(raised.value)
    taken: tuple[dict[str, Any], ...] = (
        {"prompt_guard": GUARD | {"threshold": 0.9}},
        {"classifier": {"pii_model": {"enabled": True}}},
    )
    for keys in taken:
        assert mind.prepared(load(configured(tmp_path, **keys))).screener is mind.screener


def test_other_models_keep_answers_apart(tmp_path: Path) -> None:
    write_token_classifier(tmp_path / "names")
    plain = configured(tmp_path, classifier={"pii_model": {"enabled": True}})
    own = Mind.load(real_bundle(), load(plain)).plan(load(plain)).generation
    theirs = configured(tmp_path, classifier={"pii_model": PII})
    mapped = Mind.load(real_bundle(), load(theirs)).plan(load(theirs)).generation
    assert own != mapped
