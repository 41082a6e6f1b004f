"""Child processes of a local stack: Envoy and the simulated pool. Starts and stops only its own."""
