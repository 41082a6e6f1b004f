"""Renders Envoy's configuration from a topology. Pure: reads no file, opens no socket."""
