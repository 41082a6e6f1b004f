"""Parameters and columns. Preparing is tested on real servers, in tests/contract/test_store_start.py."""

import pytest

from router_extproc.settings.check_milvus import MILVUS_COLUMNS
from router_extproc.stores.collection import columns_of, search_parameters
from router_extproc.stores.options import MilvusOptions, Server

OPTIONS = MilvusOptions(Server("127.0.0.1"), 16, "e", ef=64, vector_field="meaning", metric="IP")


@pytest.mark.parametrize(("limit", "ef"), [(4, 64), (64, 64), (100, 100)])
def test_ef_is_never_below_the_limit(limit: int, ef: int) -> None:
    assert search_parameters(OPTIONS, limit) == {"metric_type": "IP", "params": {"ef": ef}}


def test_the_settings_know_the_names_that_a_vector_field_cannot_have() -> None:
    assert {*MILVUS_COLUMNS, "meaning"} == {*columns_of(OPTIONS), "size"}
