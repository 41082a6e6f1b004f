"""Which model answers, and what is said of how that came about."""

import json
from dataclasses import replace

import pytest

from router_extproc.routing.analysis import Analysis
from router_extproc.routing.compiled import Needs, RoutingPolicy
from router_extproc.routing.decide import Decision, Unsuitable, decide
from router_extproc.routing.facts import Facts
from router_extproc.routing.policy import Route, SystemPrompt
from router_extproc.routing.reasons import Adjusted, Dropped, Rule
from router_extproc.routing.rules import Leaf, Tree
from router_extproc.routing.signals import EmbeddingSignal, Evidence, LabelSignal
from router_extproc.routing.world import World
from tests.support.policies import POOL, Said, analysis, listing, policy, ruled, world

ALWAYS = Tree("AND")
NEVER = Tree("NOT", (ALWAYS,))


def decided(
    plan: RoutingPolicy,
    requested: str | None = None,
    facts: Facts | None = None,
    said: Analysis | None = None,
    at: World | None = None,
) -> Decision:
    decision = decide(plan, requested, facts or Facts(), said, at or world())
    assert isinstance(decision, Decision)
    return decision


def test_the_first_decision_by_priority_answers() -> None:
    plan = policy(
        ruled("low", ALWAYS, "small", priority=1),
        ruled("high", ALWAYS, "large", "medium", priority=5),
        ruled("highest", NEVER, "bare", priority=9),
    )
    decision = decided(plan, said=analysis())
    assert (decision.decision, decision.rule, decision.route.model) == ("high", Rule.DECISION, "large")
    assert [route.model for route in decision.alternatives] == ["medium"]
    assert decision.category == "math"


def test_of_equal_priority_the_surer_one_answers_then_the_one_written_first() -> None:
    signals = {
        ("keyword", "unsure"): Said(("keyword", "unsure"), Evidence(True, 0.5)),
        ("keyword", "sure"): Said(("keyword", "sure"), Evidence(True, 0.9)),
    }
    unsure = ruled("unsure", Leaf("keyword", "unsure"), "small")
    sure = ruled("sure", Leaf("keyword", "sure"), "large")
    assert decided(policy(unsure, sure, signals=signals)).decision == "sure"
    twin = ruled("twin", Leaf("keyword", "sure"), "medium")
    assert decided(policy(unsure, twin, sure, signals=signals)).decision == "twin"
    everything = ruled("everything", ALWAYS, "medium")
    assert decided(policy(everything, unsure, signals=signals)).decision == "unsure"


def test_a_confident_category_chooses_among_its_models() -> None:
    decision = decided(policy(ruled("never", NEVER, "bare")), said=analysis())
    assert (decision.rule, decision.decision, decision.route.model) == (Rule.CATEGORY, "", "large")
    assert (decision.category, decision.confidence, decision.cache_key) == ("math", 0.8, "math")
    assert decision.trace.domain == (("math", 0.8), ("law", 0.2))


@pytest.mark.parametrize(
    ("said", "rule", "category"),
    [
        ({"math": 0.5, "law": 0.5}, Rule.CATEGORY, "math"),
        ({"math": 0.49, "law": 0.3, "other": 0.21}, Rule.BELOW_THRESHOLD, ""),
        ({"law": 0.9, "math": 0.1}, Rule.NO_ROUTE, "law"),
        ({"other": 0.9, "math": 0.1}, Rule.NO_ROUTE, "other"),
    ],
)
def test_a_category_must_be_sure_and_have_models(said: dict[str, float], rule: Rule, category: str) -> None:
    decision = decided(policy(), said=analysis({"domain": said}))
    assert (decision.rule, decision.category) == (rule, category)
    assert decision.route.model == ("large" if rule is Rule.CATEGORY else "medium")


def test_a_category_without_models_keeps_its_system_prompt() -> None:
    prompt = SystemPrompt("Be exact.")
    plan = policy(categories={"law": listing(system_prompt=prompt)})
    decision = decided(plan, said=analysis({"domain": {"law": 0.9}}))
    assert (decision.rule, decision.route.model, decision.system_prompt) == (Rule.NO_ROUTE, "medium", prompt)


def test_without_an_analysis_the_default_answers() -> None:
    assert decided(policy()).rule is Rule.NO_ANALYSIS
    assert decided(policy(categories={})).rule is Rule.NO_ROUTE


def broken(*heads: str, **said: dict[str, float]) -> Analysis:
    return replace(analysis(said), failed=heads)


def test_a_head_that_fails_leaves_the_rest_of_the_rules_standing() -> None:
    signals = {
        ("language", "greek"): LabelSignal("language", "greek", "language", ("el",), 0.5),
        ("classifier", "angry"): LabelSignal("classifier", "angry", "tone", ("angry",), 0.5),
    }
    plan = policy(
        ruled("greek", Leaf("language", "greek"), "bare", priority=2),
        ruled("angry", Leaf("classifier", "angry"), "small", priority=1),
        signals=signals,
    )
    tone, domain = {"angry": 0.9}, {"math": 0.8, "law": 0.2}
    decision = decided(plan, said=broken("language", tone=tone, domain=domain))
    assert (decision.decision, decision.category) == ("angry", "math")
    assert decision.trace.failed == ("language",)
    assert decision.trace.as_json()["failed"] == ["language"]
    assert decided(plan, said=broken("language", "tone", domain=domain)).rule is Rule.CATEGORY
    decision = decided(plan, said=broken("domain", tone=tone))
    assert (decision.decision, decision.category) == ("angry", "")


def test_what_a_head_that_fails_would_have_said_counts_as_without_an_analysis() -> None:
    signals = {("language", "greek"): LabelSignal("language", "greek", "language", ("el",), 0.5)}
    plan = policy(ruled("others", Tree("NOT", (Leaf("language", "greek"),)), "small"), signals=signals)
    assert decided(plan).decision == "others"
    assert decided(plan, said=broken("language", domain={"math": 0.9})).decision == "others"


def test_where_the_domain_could_not_be_found_out_the_default_answers_for_that_reason() -> None:
    decision = decided(policy(), said=broken("domain"))
    assert (decision.rule, decision.route.model) == (Rule.NO_ANALYSIS, "medium")
    assert decided(policy(categories={}), said=broken("domain")).rule is Rule.NO_ROUTE


def test_a_rule_that_needs_no_analysis_holds_without_one() -> None:
    assert decided(policy(ruled("all", ALWAYS, "small"))).rule is Rule.DECISION


def test_another_head_may_give_the_categories() -> None:
    plan = policy(domain="topic", categories={"bills": listing("small")})
    decision = decided(plan, said=analysis({"domain": {"math": 0.9}, "topic": {"bills": 0.9}}))
    assert (decision.category, decision.route.model) == ("bills", "small")


def test_a_decision_brings_its_prompt_its_cache_and_its_adapter() -> None:
    prompt = SystemPrompt("You are a lawyer.", "insert")
    route = Route("small", "lawyer", reasoning=True, effort="high")
    plan = policy(ruled("law", ALWAYS, route, system_prompt=prompt, cache_key="decision:law"))
    decision = decided(plan, said=analysis())
    assert (decision.route.name, decision.route.model) == ("lawyer", "small")
    assert (decision.system_prompt, decision.cache_key) == (prompt, "decision:law")
    assert decision.trace.outcome.adapter == "lawyer"


def test_a_model_the_client_names_is_honoured_whatever_the_rules_say() -> None:
    plan = policy(ruled("all", ALWAYS, "large", system_prompt=SystemPrompt("x")), tool_selection=True)
    decision = decided(plan, "small", Facts(open_to_tools=True), analysis())
    assert (decision.route.model, decision.rule, decision.category) == ("small", Rule.REQUESTED, "math")
    assert (decision.alternatives, decision.system_prompt, decision.tool_selection) == ((), None, False)
    assert decision.trace.requested == "small"
    assert decided(plan, "medium").route.model == "medium"


def test_an_adapter_the_client_names_goes_to_its_model() -> None:
    decision = decided(policy(), "lawyer")
    assert (decision.route.model, decision.route.name) == ("small", "lawyer")


def test_a_named_model_that_seems_unfit_is_asked_and_the_trace_says_so() -> None:
    decision = decided(policy(), "small", Facts(images=1), at=world("small"))
    assert decision.route.model == "small"
    assert decision.trace.candidates[0].dropped == (Dropped.VISION,)
    assert decision.trace.adjusted == (Adjusted.REQUESTED_LACKS, Adjusted.REQUESTED_UNAVAILABLE)


def test_where_no_listed_model_suits_the_default_stands_in() -> None:
    plan = policy(ruled("all", ALWAYS, "small", cache_key="decision:all"), default=listing("large"))
    decision = decided(plan, facts=Facts(images=1))
    assert (decision.route.model, decision.rule, decision.decision) == ("large", Rule.UNSUITABLE, "all")
    assert decision.trace.adjusted == (Adjusted.DEFAULT_STANDS_IN,)
    assert [each.model for each in decision.trace.candidates] == ["small", "large"]
    assert decision.cache_key == "decision:all"


def test_where_nothing_suits_the_client_is_told_what_is_lacking() -> None:
    plan = policy(ruled("all", ALWAYS, "small", "bare"))
    refused = decide(plan, None, Facts("secret", images=1, tools=2), analysis(), world())
    assert isinstance(refused, Unsuitable)
    assert refused.lacking == (Dropped.VISION, Dropped.TOOLS)
    assert refused.message == "No model that may answer this request has image input and tool calling."
    assert (refused.trace.outcome.model, refused.trace.outcome.rule) == (None, Rule.UNSUITABLE)
    assert refused.trace.outcome.lacking == refused.lacking


def test_a_default_that_lacks_something_is_not_tried_twice() -> None:
    refused = decide(policy(), None, Facts(images=1), None, world())
    assert isinstance(refused, Unsuitable)
    assert [each.model for each in refused.trace.candidates] == ["medium"]


def test_tools_are_added_where_the_client_the_policy_and_the_model_allow_it() -> None:
    plan = policy(ruled("all", ALWAYS, "medium"), tool_selection=True)
    open_ = Facts(open_to_tools=True)
    assert decided(plan, facts=open_).tool_selection
    assert not decided(plan).tool_selection
    assert not decided(replace(plan, tool_selection=False), facts=open_).tool_selection
    assert not decided(replace(plan, decisions=(ruled("all", ALWAYS, "bare"),)), facts=open_).tool_selection
    closed = ruled("all", ALWAYS, "medium", tool_selection=False)
    assert not decided(replace(plan, decisions=(closed,)), facts=open_).tool_selection


def test_each_signal_is_asked_once_and_others_not_at_all() -> None:
    used = Said(("keyword", "used"), Evidence(True, 1.0, "1 of 1"))
    unused = Said(("keyword", "unused"), Evidence(True, 1.0))
    leaf = Leaf("keyword", "used")
    plan = policy(
        ruled("one", Tree("AND", (leaf, leaf)), "small"),
        ruled("two", Tree("NOT", (leaf,)), "large"),
        signals={("keyword", "used"): used, ("keyword", "unused"): unused},
    )
    decision = decided(plan)
    assert (used.asked, unused.asked) == (1, 0)
    assert [(each.name, each.detail) for each in decision.trace.signals] == [("used", "1 of 1")]


def test_the_needs_are_those_of_the_signals_and_the_categories() -> None:
    assert policy().needs == Needs(False, frozenset({"domain"}))
    assert not policy(categories={}).needs.analysis
    signals = {
        ("language", "de"): LabelSignal("language", "de", "language", ("de",), 0.5),
        ("embedding", "e"): EmbeddingSignal("e", 0.5, analysis().vector[None]),
    }
    assert policy(categories={}, signals=signals).needs == Needs(True, frozenset({"language"}))
    assert policy(categories={}, tool_selection=True).needs == Needs(vector=True)
    assert policy(domain="topic").needs.heads == {"topic"}


def test_the_pool_knows_its_models_and_their_adapters() -> None:
    assert all(policy().knows(name) for name in (*POOL, "lawyer"))
    assert not policy().knows("auto")


def test_the_trace_can_be_written_as_json_and_has_nothing_of_the_prompt() -> None:
    plan = policy(
        ruled(
            "greets",
            Tree("OR", (Leaf("keyword", "k"), Tree("NOT", (Leaf("keyword", "k"),)))),
            "small",
            "large",
        ),
        signals={("keyword", "k"): Said(("keyword", "k"), Evidence(False, 0.0, "0 of 2 keywords"))},
    )
    trace = decided(plan, facts=Facts("my zebra secret"), said=analysis()).trace.as_json()
    assert "zebra" not in json.dumps(trace)
    assert json.loads(json.dumps(trace)) == trace
    assert trace["outcome"]["model"] == "small"
    assert trace["domain"] == {"math": 0.8, "law": 0.2}
    assert trace["decisions"][0]["rules"]["conditions"][1]["matched"] is True
    assert trace["candidates"][1]["model"] == "large"
    assert trace["selection"]["algorithm"] == "static"
