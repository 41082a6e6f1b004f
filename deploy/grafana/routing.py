"""Where requests go, why, and how their models do."""

from typing import Final

from deploy.grafana.panel import Board, graph, number, quantile, quantiles, rate

_ROUTED = rate("llm_routing_reason_codes_total")
_DEFAULT = rate(
    "llm_routing_reason_codes_total", where='reason_code=~"below_threshold|no_route|no_analysis|unsuitable"'
)

BOARD: Final = Board(
    "router-routing-quality",
    "Router: routing quality",
    "Category, decision and model of requests, how sure the router was, and how the models do.",
    (
        number("Requests to models", "reqps", rate("llm_model_requests_total")),
        number(
            "Share for the default model",
            "percentunit",
            f"{_DEFAULT} / {_ROUTED}",
            "Of requests to models: nothing that is configured claimed them.",
        ),
        number("Time to the decision (p95)", "s", quantile(0.95, "llm_model_routing_latency_seconds")),
        number("Models left alone", "short", "count (router_model_up == 0) or vector(0)"),
        graph(
            "Categories",
            "reqps",
            (
                "sum by (category) (rate(llm_category_classifications_count[$__rate_interval]))",
                "{{category}}",
            ),
        ),
        graph(
            "Decisions and models",
            "reqps",
            (rate("llm_decision_matches_total", "decision", "model"), "{{decision}} -> {{model}}"),
        ),
        graph(
            "What decided",
            "reqps",
            (rate("llm_routing_reason_codes_total", "reason_code"), "{{reason_code}}"),
        ),
        graph("Requests by model", "reqps", (rate("llm_model_requests_total", "model"), "{{model}}")),
        graph("Time by stage (p95)", "s", *quantiles("router_stage_seconds", "stage", shares=(0.95,))),
        graph(
            "Time by classifier",
            "s",
            *quantiles("llm_classifier_latency_seconds", "classifier"),
        ),
        graph(
            "Uncertainty",
            "reqps",
            (
                rate("llm_entropy_classification_decisions_total", "uncertainty_level", "reasoning_enabled"),
                "{{uncertainty_level}}, thinks: {{reasoning_enabled}}",
            ),
        ),
        graph(
            "Confidence of categories (median)",
            "percentunit",
            *quantiles("llm_classification_confidence", "category", shares=(0.5,)),
        ),
        graph(
            "Thinking",
            "reqps",
            (
                rate("llm_reasoning_decisions_total", "category", "enabled"),
                "{{category}}, thinks: {{enabled}}",
            ),
        ),
        graph(
            "Errors and refusals",
            "reqps",
            (rate("llm_request_errors_total", "model", "reason"), "{{model}} {{reason}}"),
        ),
        graph("First token (p95)", "s", *quantiles("llm_model_ttft_seconds", "model", shares=(0.95,))),
        graph("Per token (p95)", "s", *quantiles("llm_model_tpot_seconds", "model", shares=(0.95,))),
        graph(
            "Under way, and asked at all",
            "short",
            ("sum by (model) (llm_model_inflight_requests)", "under way {{model}}"),
            ("min by (model) (router_model_up)", "asked {{model}}"),
        ),
        graph(
            "Adjustments learned from answers",
            "ops",
            (rate("router_model_adjustments_total", "model", "kind"), "{{model}} {{kind}}"),
        ),
        graph("Guards", "reqps", (rate("router_guard_total", "guard", "outcome"), "{{guard}} {{outcome}}")),
        graph(
            "Personal data in requests",
            "reqps",
            (rate("router_guard_pii_types_total", "type"), "{{type}}"),
            (rate("llm_pii_violations_total", "model", "pii_type"), "kept from {{model}}: {{pii_type}}"),
        ),
    ),
)
