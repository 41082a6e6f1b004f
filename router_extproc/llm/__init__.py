"""The OpenAI chat protocol as values: requests, completions, event streams. Pure."""
