"""What operators see: metrics and logs. Receives notes; knows nothing of who makes them."""
