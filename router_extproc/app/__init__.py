"""The composition root: builds every object once and owns the order of starting and stopping. No logic."""
