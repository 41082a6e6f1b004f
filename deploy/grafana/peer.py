"""The twelve panels of vLLM Semantic Router's board of late 2025, for whoever is used to them.

Titles and metrics are its own, so that its board and this one show the same when they are pointed at us.
"""

from typing import Final

from deploy.grafana.panel import Board, bars, graph

_REFUSED = 'reason=~"pii_policy_denied|jailbreak_block"'


def _p(share: float, histogram: str) -> str:
    return f"histogram_quantile({share}, sum by (le, model) (rate({histogram}_bucket[5m])))"


BOARD: Final = Board(
    "llm-router",
    "LLM Router Metrics",
    "The board of vLLM Semantic Router, late 2025.",
    (
        bars(
            "Prompt Category",
            "short",
            ("sum by (category) (llm_category_classifications_count)", "{{category}}"),
        ),
        graph(
            "Token Usage Rate by Model",
            "short",
            (
                "sum by (model) (rate(llm_model_completion_tokens_total[5m]))",
                "Completion Tokens {{model}}",
            ),
        ),
        graph(
            "Model Routing Rate",
            "ops",
            (
                "sum by (source_model, target_model) (rate(llm_model_routing_modifications_total[5m]))",
                "{{source_model}} -> {{target_model}}",
            ),
        ),
        graph(
            "Model Completion Latency (p95)",
            "s",
            (_p(0.95, "llm_model_completion_latency_seconds"), "p95 {{model}}"),
        ),
        graph("TTFT (p95) by Model", "s", (_p(0.95, "llm_model_ttft_seconds"), "TTFT p95 {{model}}")),
        graph(
            "TPOT (p95) by Model (sec/token)", "s", (_p(0.95, "llm_model_tpot_seconds"), "TPOT p95 {{model}}")
        ),
        graph(
            "Reasoning Rate by Model",
            "reqps",
            (
                'sum by (model, effort) (rate(llm_reasoning_decisions_total{enabled="true"}[5m]))',
                "Reasoning Enabled: {{model}} ({{effort}})",
            ),
            (
                'sum by (model) (rate(llm_reasoning_decisions_total{enabled="false"}[5m]))',
                "Reasoning Disabled: {{model}}",
            ),
        ),
        graph(
            "Model Cost Rate (USD/sec)",
            "currencyUSD",
            ('sum by (model) (rate(llm_model_cost_total{currency="USD"}[5m]))', "Cost/sec: {{model}}"),
        ),
        graph(
            "Refusal Rates by Model",
            "reqps",
            (
                'sum by (model) (rate(llm_request_errors_total{reason="pii_policy_denied"}[5m]))',
                "PII Policy Denied: {{model}}",
            ),
            (
                'sum by (model) (rate(llm_request_errors_total{reason="jailbreak_block"}[5m]))',
                "Jailbreak Block: {{model}}",
            ),
        ),
        bars(
            "Refusal Rate Percentage by Model",
            "percentunit",
            (
                f"sum by (model) (rate(llm_request_errors_total{{{_REFUSED}}}[5m]))"
                " / sum by (model) (rate(llm_model_requests_total[5m]))",
                "{{model}}",
            ),
        ),
        bars(
            "Total Cost by Model (USD)",
            "currencyUSD",
            ('sum by (model) (llm_model_cost_total{currency="USD"})', "{{model}}"),
        ),
        graph(
            "Model Completion Latency (p50/p90/p99)",
            "s",
            *(
                (_p(share, "llm_model_completion_latency_seconds"), f"p{share * 100:g} {{{{model}}}}")
                for share in (0.5, 0.9, 0.99)
            ),
        ),
    ),
)
