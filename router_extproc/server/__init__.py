"""The edge towards Envoy and towards operators: the only place with gRPC and with an HTTP server."""
