"""Benchmarks: what the router adds to Envoy. Never run as tests; `make bench` prints a table or JSON."""
