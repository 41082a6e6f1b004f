"""One HTTP exchange as a state machine: events in, effects out. Pure."""
