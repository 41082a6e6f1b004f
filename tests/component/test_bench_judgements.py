"""What the judgements cost, measured on the real encoder: that the measured graphs say the same."""

import numpy as np

from bench.judgements import FORKED_LAYERS, REFERENCE, SENTENCE_ALONE, graphs, run
from router_extproc.encoder.words import WIDTH
from tests.support.encoder import real_bundle, real_encoder


def test_every_form_of_the_graph_says_what_the_shipped_one_says() -> None:
    reading = real_encoder().run(window := real_encoder().tokenise("Does a heat pump work in the cold?"))
    forms = {name: once(window) for name, once in graphs(real_bundle()).items()}
    assert next(iter(forms)) == SENTENCE_ALONE
    assert f"as shipped, last {FORKED_LAYERS} layers twice" in forms
    for said in forms.values():
        vector, *rest = said
        np.testing.assert_array_equal(vector[0], reading.vector)
        if rest:
            np.testing.assert_array_equal(rest[0][0], reading.states[reading.dimension : -WIDTH])
        if rest[1:]:
            np.testing.assert_array_equal(rest[1][0], reading.tags)


def test_every_judgement_is_measured_and_one_that_cannot_be_says_why() -> None:
    rows = run(lengths=(16, 512), rounds=1)
    short, long = ({row.subject: row for row in rows if row.tokens == tokens} for tokens in (16, 512))
    assert [*short] == [*long]
    assert {"head: domain", "head: complexity", "head: guard", "tags to spans", "patterns"} < short.keys()
    assert short[REFERENCE].ratio == long[REFERENCE].ratio == 1.0
    assert [name for name, row in short.items() if row.why] == []
    assert [name for name, row in long.items() if row.why] == ["verifier, one candidate"]
    assert all(row.cpu > 0 for row in rows if not row.why)
    assert long[REFERENCE].cpu > 4 * short[REFERENCE].cpu
