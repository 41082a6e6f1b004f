"""Which models must not see the personal data of a request, and who answers then."""

from dataclasses import replace

from router_extproc.routing.compiled import RoutingPolicy
from router_extproc.routing.decide import Decision, Unsuitable, decide
from router_extproc.routing.facts import Facts
from router_extproc.routing.personal import explain_denial, personal
from router_extproc.routing.policy import Route
from router_extproc.routing.reasons import Adjusted, Dropped, Rule
from router_extproc.routing.rules import Tree
from router_extproc.screening.policy import ModelPii, PiiPolicy, Strictness
from router_extproc.screening.reading import Screening
from tests.support.policies import analysis, listing, policy, ruled, world

FOUND = replace(analysis(), screening=Screening(0.0, types={"US_SSN": 0.9, "GPE": 0.6}))
ON = Strictness(True, 0.5)


def closed(*models: str, **overrides: Strictness) -> PiiPolicy:
    """These see cities and nothing else."""
    rule = ModelPii(allow_by_default=False, allowed=frozenset({"GPE"}))
    return PiiPolicy(ON, overrides, dict.fromkeys(models, rule))


def chosen(
    plan: RoutingPolicy, pii: PiiPolicy, requested: str | None = None, facts: Facts | None = None
) -> Decision | Unsuitable:
    return decide(plan, requested, facts or Facts(), FOUND, world(), pii)


def test_a_model_is_denied_the_types_that_count_and_are_not_allowed() -> None:
    data = personal(closed("small", "large"), "", FOUND)
    assert data.types == {"US_SSN", "GPE"}
    assert data.denied == {"small": {"US_SSN"}, "large": {"US_SSN"}}
    assert personal(closed("small", math=Strictness(True, 0.95)), "math", FOUND).types == frozenset()
    assert personal(closed("small"), "", None).barred == frozenset()


def test_another_model_of_the_same_decision_answers_first() -> None:
    plan = policy(ruled("all", Tree("AND"), "large", "bare", "small"))
    decision = chosen(plan, closed("large", "small"))
    assert isinstance(decision, Decision)
    assert (decision.route.model, decision.rule, decision.alternatives) == ("bare", Rule.DECISION, ())
    assert decision.sensitive == {"US_SSN", "GPE"}
    assert [each.dropped for each in decision.trace.candidates] == [(Dropped.PII,), (), (Dropped.PII,)]
    assert decision.trace.as_json()["sensitive"] == ["GPE", "US_SSN"]


def test_the_default_stands_in_only_if_it_may_see_the_data() -> None:
    plan = policy(ruled("all", Tree("AND"), "large", cache_key="decision:all"))
    decision = chosen(plan, closed("large"))
    assert isinstance(decision, Decision)
    assert (decision.route.model, decision.rule) == ("medium", Rule.UNSUITABLE)
    assert decision.trace.adjusted == (Adjusted.DEFAULT_STANDS_IN,)
    refused = chosen(plan, closed("large", "medium"))
    assert isinstance(refused, Unsuitable)
    assert refused.denied_to == "large"
    assert refused.denied == {"US_SSN"}
    assert refused.lacking == (Dropped.PII,)
    assert refused.cache_key == "decision:all"
    assert refused.message == explain_denial("large", frozenset({"US_SSN"}))


def test_the_decision_s_own_rule_counts() -> None:
    plan = policy(ruled("all", Tree("AND"), "large", cache_key="decision:all"))
    lax = replace(closed("large"), overrides={"decision:all": Strictness(enabled=False)})
    decision = chosen(plan, lax)
    assert isinstance(decision, Decision)
    assert (decision.route.model, decision.sensitive) == ("large", frozenset())


def test_a_named_model_or_adapter_that_must_not_see_the_data_is_not_asked() -> None:
    for name in ("small", "lawyer"):
        refused = chosen(policy(), closed("small"), name)
        assert isinstance(refused, Unsuitable)
        assert refused.denied_to == name
        assert refused.denied == {"US_SSN"}
        assert refused.trace.outcome.rule is Rule.REQUESTED
        assert refused.trace.candidates[0].dropped == (Dropped.PII,)
    assert isinstance(chosen(policy(), closed("small"), "large"), Decision)


def test_what_nobody_could_answer_anyway_is_no_matter_of_privacy() -> None:
    plan = policy(ruled("all", Tree("AND"), Route("small")), default=listing("medium"))
    refused = chosen(plan, closed("small", "medium"), facts=Facts(images=1))
    assert isinstance(refused, Unsuitable)
    assert (refused.denied_to, refused.denied) == ("", frozenset())
    assert refused.message == "No model that may answer this request has image input."
    # It is one where somebody lacks nothing else.
    plan = replace(plan, default=listing("large"))
    refused = chosen(plan, closed("large", "small"), facts=Facts(images=1))
    assert isinstance(refused, Unsuitable)
    assert refused.denied_to == "large"
