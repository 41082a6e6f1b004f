"""Value types that every layer may use. Knows nothing of HTTP servers, gRPC, models or stores."""
