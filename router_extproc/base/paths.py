"""What clients ask for, as Envoy has it after it has made one spelling of many."""

CHAT_PATH = "/v1/chat/completions"
"""The one path that the router judges."""

READS = ("GET", "HEAD", "OPTIONS")
"""Methods that only look: no server of the pool generates anything for them."""
