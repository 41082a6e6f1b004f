"""The HTTP API: one table of routes, from which both what is served and what is documented follow."""
