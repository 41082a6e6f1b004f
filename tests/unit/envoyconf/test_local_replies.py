from router_extproc.envoyconf.local_replies import NO_KEY, TOO_LARGE, local_replies


def test_the_refusal_of_a_large_body_names_the_limit() -> None:
    too_large = local_replies(4096).mappers[0].to_dict()
    expression = too_large["filter"]["extensionFilter"]["typedConfig"]["expression"]
    assert expression == f"response.code_details == '{TOO_LARGE}'"
    assert "4096 bytes" in too_large["bodyFormatOverride"]["jsonFormat"]["error"]["message"]


def test_answers_of_the_router_match_no_rule() -> None:
    # They have details of their own, and a response flag only where they stand in for a failing model: a rule
    # by status or by flag alone would rewrite them. The component tests show it through Envoy.
    failed = local_replies(4096).mappers[-1]
    by_flag, by_details = failed.to_dict()["filter"]["andFilter"]["filters"]
    assert "UC" in by_flag["responseFlagFilter"]["flags"]
    expression = by_details["extensionFilter"]["typedConfig"]["expression"]
    assert expression == "!response.code_details.startsWith('cache_')"


def test_a_request_whose_time_is_up_is_told_in_the_api_s_form_where_there_is_a_limit() -> None:
    def flags(timed: bool) -> list[str]:
        failed = local_replies(4096, timed=timed).mappers[-1].to_dict()
        found: list[str] = failed["filter"]["andFilter"]["filters"][0]["responseFlagFilter"]["flags"]
        return found

    assert flags(True) == [*flags(False), "UT"]


def test_a_missing_key_of_ours_is_no_fault_of_the_clients_key() -> None:
    (mapper,) = [
        each for each in local_replies(4096).mappers if each.filter and NO_KEY in str(each.filter.to_dict())
    ]
    assert mapper.status_code == 503
