"""The page for people: what the router does, live. A process of its own, which knows the HTTP API only."""
