from router_extproc.server.listener import SLACK_BYTES, options


def test_messages_may_hold_the_longest_body_and_a_header_block() -> None:
    found = dict(options(16_000_000))
    assert found["grpc.max_receive_message_length"] == 16_000_000 + SLACK_BYTES
    assert found["grpc.max_send_message_length"] == 16_000_000 + SLACK_BYTES


def test_a_port_is_never_shared() -> None:
    assert dict(options(1))["grpc.so_reuseport"] == 0
