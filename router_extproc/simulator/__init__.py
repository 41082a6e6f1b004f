"""A simulated pool of vLLM servers with the OpenAI API: for `up`, for tests and for trying the router out."""
