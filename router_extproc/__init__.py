"""A semantic router and semantic cache that Envoy consults over ext_proc."""

__version__ = "0.1.0"
