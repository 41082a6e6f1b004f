"""The views, one module each: what `shown` says, put into elements."""
