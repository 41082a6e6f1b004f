"""From what a prompt means to which model answers it. Pure."""
