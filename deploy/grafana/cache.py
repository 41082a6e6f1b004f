"""Is the cache right, and is it used: hits, misses with their reasons, and what verification found."""

from typing import Final

from deploy.grafana.panel import Board, graph, heat, number, quantiles, rate

_HITS = rate("llm_cache_hits_total")
_LOOKUPS = f"({_HITS} + {rate('llm_cache_misses_total')})"
_SAME = 'sum (increase(cache_verified_total{outcome="same"}[$__range]))'
_DECIDED = 'sum (increase(cache_verified_total{outcome=~"same|different"}[$__range]))'

BOARD: Final = Board(
    "router-cache-quality",
    "Router: cache quality",
    "What the cache answers, what it holds back and why, and how often it was right.",
    (
        number("Hit rate", "percentunit", f"{_HITS} / {_LOOKUPS}", "Of the requests that asked the cache."),
        number(
            "Verified precision",
            "percentunit",
            f"{_SAME} / {_DECIDED}",
            "Of answers found by meaning that were compared with a fresh one and could be judged.",
        ),
        number("Comparisons", "short", f"{_DECIDED}", "What the precision rests on, in this time range."),
        number("Entries in memory", "short", "sum (llm_cache_entries_total)"),
        graph(
            "Hits by how they were found",
            "reqps",
            (rate("router_cache_hits_total", "kind"), "{{kind}}"),
        ),
        graph("Misses by reason", "reqps", (rate("router_cache_misses_total", "reason"), "{{reason}}")),
        graph(
            "Held back by difference",
            "ops",
            (rate("router_cache_guard_refusals_total", "difference"), "{{difference}}"),
            text="Similar entries that the guard or the verifier did not let answer.",
        ),
        graph("Verification outcomes", "ops", (rate("cache_verified_total", "outcome"), "{{outcome}}")),
        heat(
            "Similarity of the nearest entry",
            rate("router_cache_nearest_similarity_bucket", "le"),
            "Hits and misses. Much weight just below the threshold is what a lower one would bring.",
        ),
        graph(
            "Similarity and probability of hits",
            "short",
            *((query, f"similarity {name}") for query, name in quantiles("router_cache_hit_similarity")),
            *((query, f"probability {name}") for query, name in quantiles("router_cache_hit_probability")),
        ),
        graph(
            "Not asked, by reason",
            "reqps",
            (rate("router_uncached_total", "reason", where='phase="lookup"'), "{{reason}}"),
        ),
        graph(
            "Not stored, by reason",
            "reqps",
            (rate("llm_cache_write_skipped_total", "reason"), "{{reason}}"),
        ),
        graph(
            "Answers read before they are kept",
            "ops",
            (rate("router_answers_screened_total", "outcome"), "{{outcome}}"),
        ),
        graph(
            "Waiting for an identical request",
            "reqps",
            (rate("llm_response_cache_singleflight_waiters_total", "outcome"), "{{outcome}}"),
        ),
        graph("Time to an answer from the cache", "s", *quantiles("router_cache_hit_seconds", "kind")),
        graph("Age of what answers", "s", *quantiles("llm_response_cache_entry_age_seconds", "hit_kind")),
        graph(
            "Invalidations",
            "ops",
            (rate("llm_response_cache_invalidations_total", "operation"), "{{operation}}"),
            ("sum (router_cache_marks)", "in force"),
        ),
        graph(
            "Store: time of a call",
            "s",
            *quantiles("llm_cache_operation_duration_seconds", "backend", "operation"),
        ),
    ),
)
