"""What the cache is worth: tokens, money and time that it spared, beside what was spent."""

from typing import Final

from deploy.grafana.panel import Board, graph, number, rate

_SAVED = "sum by (currency) (increase(router_cache_saved_cost_total[$__range]))"
_SPENT = "sum by (currency) (increase(llm_model_cost_total[$__range]))"
_LOOKUP = 'stage=~"exact_lookup|semantic_lookup|verifier"'

BOARD: Final = Board(
    "router-savings",
    "Router: savings",
    "Tokens are those that upstreams counted, money is tokens at the configured prices, and time is an "
    "estimate: what the model's answers take on average, less what the hit took.",
    (
        number("Money saved", "short", _SAVED, "In this time range, by currency."),
        number("Money spent", "short", _SPENT, "In this time range, by currency."),
        number(
            "Share saved",
            "percentunit",
            f"{_SAVED} / ({_SAVED} + {_SPENT})",
            "Of what there would have been to pay without the cache.",
        ),
        number("Time saved", "s", "sum (increase(router_cache_saved_seconds_total[$__range]))"),
        graph(
            "Cost per hour: spent and saved",
            "short",
            (f"3600 * {rate('llm_model_cost_total', 'currency')}", "spent {{currency}}"),
            (f"3600 * {rate('router_cache_saved_cost_total', 'currency')}", "saved {{currency}}"),
        ),
        graph(
            "Cost per hour by model",
            "short",
            (f"3600 * {rate('llm_model_cost_total', 'model', 'currency')}", "{{model}} {{currency}}"),
        ),
        graph(
            "Tokens: used and saved",
            "short",
            (rate("llm_model_tokens_total"), "used"),
            (rate("router_cache_saved_tokens_total", "kind"), "saved, {{kind}}"),
        ),
        graph(
            "Tokens saved by model",
            "short",
            (rate("router_cache_saved_tokens_total", "model"), "{{model}}"),
        ),
        graph(
            "Time: saved, and spent on asking the cache",
            "s",
            (rate("router_cache_saved_seconds_total"), "saved"),
            (rate("router_stage_seconds_sum", where=_LOOKUP), "asking the cache"),
            text="Seconds per second. Where asking takes more than hits save, the cache only costs time.",
        ),
        graph(
            "Answers without counted tokens",
            "reqps",
            (rate("router_usage_unknown_total", "model"), "{{model}}"),
            text="They are missing from every number of tokens and money here. Streams are counted only "
            "where the client asks for `stream_options.include_usage`, or the server sends usage anyway.",
        ),
    ),
)
