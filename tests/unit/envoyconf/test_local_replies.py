from router_extproc.envoyconf.local_replies import TOO_LARGE, local_replies


def test_the_refusal_of_a_large_body_names_the_limit() -> None:
    too_large = local_replies(4096).mappers[0].to_dict()
    expression = too_large["filter"]["extensionFilter"]["typedConfig"]["expression"]
    assert expression == f"response.code_details == '{TOO_LARGE}'"
    assert "4096 bytes" in too_large["bodyFormatOverride"]["jsonFormat"]["error"]["message"]


def test_answers_of_the_router_match_no_rule() -> None:
    # They have details of their own, and a response flag only where they stand in for a failing model: a rule
    # by status or by flag alone would rewrite them. The component tests show it through Envoy.
    _, failed = local_replies(4096).mappers
    by_flag, by_details = failed.to_dict()["filter"]["andFilter"]["filters"]
    assert "UC" in by_flag["responseFlagFilter"]["flags"]
    expression = by_details["extensionFilter"]["typedConfig"]["expression"]
    assert expression == "!response.code_details.startsWith('cache_')"
