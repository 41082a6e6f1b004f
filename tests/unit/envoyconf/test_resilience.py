from datetime import timedelta

from router_extproc.envoyconf.resilience import health_checks, outlier_detection, tcp_keepalive
from router_extproc.envoyconf.topology import HealthCheck


def test_the_last_server_of_up_to_a_hundred_is_never_taken_out() -> None:
    detection = outlier_detection()
    assert detection.max_ejection_percent == 99
    assert not detection.always_eject_one_host


def test_refusals_and_gateways_are_believed_sooner_than_internal_errors() -> None:
    detection = outlier_detection()
    local, gateway = detection.consecutive_local_origin_failure, detection.consecutive_gateway_failure
    assert local is not None
    assert gateway is not None
    assert detection.consecutive_5xx is not None
    assert local < gateway < detection.consecutive_5xx
    assert detection.split_external_local_origin_errors
    assert detection.enforcing_success_rate == detection.enforcing_local_origin_success_rate == 0


def test_a_server_that_is_back_waits_a_minute_at_most() -> None:
    detection = outlier_detection()
    assert detection.base_ejection_time == timedelta(seconds=10)
    assert detection.max_ejection_time == timedelta(seconds=60)


def test_there_is_no_health_check_unless_one_is_wanted() -> None:
    assert health_checks(None, encrypted=False) == []


def test_a_health_check_keeps_its_pace_without_traffic() -> None:
    (check,) = health_checks(HealthCheck("/ready", 0.5, 1.5), encrypted=False)
    assert check.interval == check.no_traffic_interval == timedelta(seconds=0.5)
    assert check.timeout == timedelta(seconds=1.5)
    assert check.http_health_check is not None
    assert check.http_health_check.path == "/ready"
    assert check.tls_options is None


def test_a_health_check_over_tls_speaks_http_1() -> None:
    (check,) = health_checks(HealthCheck("/", 5, 2), encrypted=True)
    assert check.tls_options is not None
    assert check.tls_options.alpn_protocols == ["http/1.1"]


def test_a_silent_connection_is_probed_before_translators_forget_it() -> None:
    assert (tcp_keepalive().keepalive_time or 0) < 300
