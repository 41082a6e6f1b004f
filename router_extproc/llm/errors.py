"""The error body that OpenAI clients understand. Knows nothing of HTTP statuses or of why an error arose."""

import msgspec

_ENCODER = msgspec.json.Encoder()


def error_body(
    message: str, type: str = "invalid_request_error", param: str | None = None, code: str | None = None
) -> bytes:
    """`{"error": {"message", "type", "param", "code"}}`, every key present, as OpenAI's clients expect."""
    return _ENCODER.encode({"error": {"message": message, "type": type, "param": param, "code": code}})
