"""Is the router well: load, refusals, failures of what it needs, and its configuration."""

from typing import Final

from deploy.grafana.panel import Board, graph, number, quantile, quantiles, rate

BOARD: Final = Board(
    "router-operations",
    "Router: operations",
    "Load and queues, what fails, and which configuration is in force.",
    (
        number("Replicas up", "short", 'sum (up{job="router-extproc"})'),
        number("Streams in flight", "short", "sum (router_streams)"),
        number(
            "Configurations in force",
            "short",
            "count (count by (generation) (router_configuration_info))",
            "More than 1 for long: replicas serve with different files.",
        ),
        number("Event loop lag (p99)", "s", quantile(0.99, "router_event_loop_lag_seconds")),
        graph("Streams by replica", "short", ("sum by (instance) (router_streams)", "{{instance}}")),
        graph("Passed by, and why", "reqps", (rate("router_bypassed_total", "reason"), "{{reason}}")),
        graph("Errors of the router's", "reqps", (rate("router_rejected_total", "reason"), "{{reason}}")),
        graph("Left early, by stage", "reqps", (rate("router_cancelled_total", "stage"), "{{stage}}")),
        graph(
            "Failures of what the router asks",
            "ops",
            (rate("router_port_failures_total", "port", "reason"), "{{port}} {{reason}}"),
            (rate("router_head_failures_total", "head"), "head {{head}}"),
        ),
        graph(
            "Store: asked at all, and how it goes",
            "short",
            ("min by (instance) (router_store_up)", "asked by {{instance}}"),
            (rate("llm_cache_operations_total", "operation", "status"), "{{operation}} {{status}}"),
        ),
        graph(
            "Cache writes",
            "short",
            ("sum by (instance) (router_cache_pending_writes)", "pending {{instance}}"),
            (rate("llm_cache_write_skipped_total", where='reason="queue_full"'), "no room, per second"),
        ),
        graph("Cache in memory", "bytes", ("sum by (instance) (router_cache_bytes)", "{{instance}}")),
        graph(
            "Encoder: jobs that wait or run",
            "short",
            ("sum by (instance) (router_encoder_waiting)", "{{instance}}"),
            *((query, f"{name} together") for query, name in quantiles("router_encoder_batch_size")),
        ),
        graph(
            "Event loop lag",
            "s",
            *quantiles("router_event_loop_lag_seconds", "instance", shares=(0.5, 0.99)),
        ),
        graph(
            "Configuration",
            "short",
            ("max by (instance) (router_configuration_generation)", "{{instance}}"),
            (rate("router_configuration_reloads_total", "outcome"), "{{outcome}}"),
        ),
        graph(
            "Messages that no stage allows",
            "ops",
            (rate("router_protocol_violations_total", "stage", "event"), "{{stage}} {{event}}"),
        ),
        graph(
            "Traces: sent, and lost how",
            "ops",
            (rate("router_traces_total", "outcome"), "{{outcome}}"),
        ),
    ),
)
