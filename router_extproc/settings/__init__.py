"""Configuration files: their schema, loading and compilation. The only place that knows pydantic and YAML."""
