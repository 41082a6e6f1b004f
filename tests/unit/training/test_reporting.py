"""What the report makes of sets and figures; measuring is `router-extproc eval`'s."""

from training.published import ROUTELLM
from training.reporting import DOMAIN, ORDINARY, ROUTING, Ordinary, as_clean, beside, shipped


def test_ordinary_rows_are_the_first_of_their_set_and_have_nobody_in_them() -> None:
    rows = [{"prompt": "a"}, {"prompt": "b"}, {"prompt": "c"}]
    assert as_clean(rows, Ordinary("set", "file", key="prompt", rows=2)) == [
        {"text": "a", "spans": []},
        {"text": "b", "spans": []},
    ]
    assert len(as_clean(rows, Ordinary("set", "file", key="prompt"))) == 3


def test_a_family_is_taken_before_the_first_rows_are() -> None:
    rows = [{"text": "a", "family": "tricky"}, {"text": "b", "family": "ordinary"}]
    assert as_clean(rows, Ordinary("set", "file", rows=1, family="ordinary")) == [{"text": "b", "spans": []}]


def test_the_ordinary_sets_are_five_and_what_the_domain_is_measured_on_is_among_them() -> None:
    assert len(ORDINARY) == 5
    calibrated_on = {"everyday.jsonl"}
    assert {each.file for each in ORDINARY} >= set(DOMAIN.values()) - calibrated_on


def test_ours_stands_first_and_theirs_by_apgr() -> None:
    lines = beside("GSM8K", {"apgr": 0.55, "cpt50": 0.4, "cpt80": 0.7}).splitlines()
    assert lines[2] == "| **ours** | see above | 0.550 | 0.400 | 0.700 |"
    assert lines[3].startswith("| causal LLM | arena, judged by GPT-4 | 0.622 |")
    assert len(lines) == 3 + len(ROUTELLM["GSM8K"])


def test_every_measured_set_has_published_figures_that_can_be_true() -> None:
    assert ROUTELLM.keys() == ROUTING.keys()
    for routers in ROUTELLM.values():
        assert len(routers) == 9
        assert all(0 < each.cpt50 < each.cpt80 < 1 and 0.4 < each.apgr < 0.7 for each in routers)


def test_the_signals_of_the_configuration_have_a_line_each() -> None:
    threshold = {"name": "hard", "hard_above": 0.6, "easy_below": 0.4}
    found = {
        "shipped": [{"threshold": threshold, "easy_share": 0.1, "at": {"strong_share": 0.2, "pgr": 0.3}}]
    }
    assert shipped("MMLU", found) == [("MMLU", "hard", 0.4, 0.1, 0.6, 0.2, 0.3)]
    assert shipped("MMLU", {"shipped": []}) == []
