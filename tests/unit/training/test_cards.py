"""Every set that a script reads has a source and a licence."""

import re
from pathlib import Path

import msgspec
import pytest

from router_extproc.encoder.cards import Card, TrainingSet
from training.cards import OWN, SETS, VERIFIER, fitted_on

TRAINING = Path(__file__).parents[3] / "training"
NAME = re.compile(r'"((?:prompts|jailbreak|benign|intents|pii|ner|pairs|sts|domain|routing)_[\w.-]+\.jsonl)"')
MEASURED_ONLY = {
    "routing_gsm8k.jsonl",
    "jailbreak_tensortrust.jsonl",
    "jailbreak_selfreminder.jsonl",
    "intents_banking77_test.jsonl",
}


def test_every_set_that_a_script_names_has_a_source_and_a_licence() -> None:
    named = {name for path in TRAINING.glob("*.py") for name in NAME.findall(path.read_text())}
    assert "domain_mmlu_pro.jsonl" in named
    assert named - MEASURED_ONLY <= SETS.keys()
    assert all(source and licence for source, licence in SETS.values())


def test_sets_come_with_their_rows() -> None:
    (own,) = fitted_on({"own": 12})
    assert own == TrainingSet(name="own", rows=12, source=OWN[0], licence=OWN[1])


def test_a_set_of_unknown_source_is_an_error() -> None:
    with pytest.raises(KeyError):
        fitted_on({"found_somewhere.jsonl": 1})


def test_the_verifiers_card_says_who_may_not_use_it() -> None:
    assert "non-commercial" in VERIFIER.licence
    assert "semantic_cache.verifier.enabled: false" in VERIFIER.limits[0]
    assert msgspec.json.decode(VERIFIER.as_metadata(), type=Card) == VERIFIER
