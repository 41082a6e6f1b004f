from router_extproc.envoyconf.local_replies import TOO_LARGE, local_replies


def test_the_refusal_of_a_large_body_names_the_limit() -> None:
    too_large = local_replies(4096).mappers[0].to_dict()
    expression = too_large["filter"]["extensionFilter"]["typedConfig"]["expression"]
    assert expression == f"response.code_details == '{TOO_LARGE}'"
    assert "4096 bytes" in too_large["bodyFormatOverride"]["jsonFormat"]["error"]["message"]


def test_answers_of_the_router_match_no_rule() -> None:
    # They have no response flag, and details of their own: a rule by status alone would rewrite them.
    for mapper in local_replies(4096).mappers:
        assert mapper.filter is not None
        assert mapper.filter.status_code_filter is None
        assert mapper.filter.extension_filter or mapper.filter.response_flag_filter
