"""Files that a configuration of vLLM Semantic Router names: found where that one would, read, and named."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from router_extproc.base.errors import ConfigError
from router_extproc.settings.dialects import Form
from router_extproc.settings.load import Loaded, read_settings
from router_extproc.settings.milvus_schema import MilvusSettings
from router_extproc.settings.problem import grouped
from tests.unit.settings.test_dialects import EXAMPLES, POOL

MILVUS = {"connection": {"host": "h"}, "search": {"topk": 7}}


def write(path: Path, document: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(document))
    return path


def naming(file: str, **cache: Any) -> dict[str, Any]:
    section = {"enabled": True, "backend_type": "milvus", "backend_config_path": file}
    return POOL | {"semantic_cache": section | cache}


def milvus_of(loaded: Loaded) -> MilvusSettings:
    assert loaded.settings.semantic_cache.milvus is not None
    return loaded.settings.semantic_cache.milvus


@pytest.mark.parametrize(
    ("config", "named", "there"),
    [
        ("config.yaml", "milvus.yaml", "milvus.yaml"),
        ("config/config.yaml", "semantic-cache/milvus.yaml", "config/semantic-cache/milvus.yaml"),
        ("config/config.yaml", "config/semantic-cache/milvus.yaml", "config/semantic-cache/milvus.yaml"),
        ("config/testing/config.yaml", "config/cache/milvus.yaml", "config/cache/milvus.yaml"),
    ],
)
def test_the_file_is_found_beside_the_configuration_or_where_the_other_router_starts(
    tmp_path: Path, config: str, named: str, there: str
) -> None:
    write(tmp_path / there, MILVUS)
    loaded = read_settings(write(tmp_path / config, naming(named)))
    assert milvus_of(loaded).search.topk == 7
    assert loaded.settings.semantic_cache.backend_config_path is None


def test_the_nearer_of_two_files_is_read(tmp_path: Path) -> None:
    write(tmp_path / "config/milvus.yaml", MILVUS)
    write(tmp_path / "config/config/milvus.yaml", MILVUS | {"search": {"topk": 8}})
    config = write(tmp_path / "config/config.yaml", naming("config/milvus.yaml"))
    assert milvus_of(read_settings(config)).search.topk == 8


def test_an_absolute_path_is_taken_as_it_is(tmp_path: Path) -> None:
    file = write(tmp_path / "elsewhere/milvus.yaml", MILVUS)
    config = write(tmp_path / "a/b/c/config.yaml", naming(str(file)))
    assert milvus_of(read_settings(config)).search.topk == 7


@pytest.mark.parametrize("name", ["semantic-cache/milvus.yaml", "/none/milvus.yaml", "x" * 5000])
def test_a_file_that_is_not_there_is_named_with_the_cure(tmp_path: Path, name: str) -> None:
    config = write(tmp_path / "config.yaml", naming(name))
    with pytest.raises(ConfigError) as caught:
        read_settings(config)
    start = f"{config}: semantic_cache.backend_config_path: there is no file {name} beside this one nor in"
    assert str(caught.value).startswith(start)
    assert "write its content under semantic_cache.milvus" in str(caught.value)


@pytest.mark.parametrize("cache", [{"enabled": False}, {"backend_type": "memory"}])
def test_a_file_that_is_not_used_is_not_read(tmp_path: Path, cache: dict[str, Any]) -> None:
    loaded = read_settings(write(tmp_path / "config.yaml", naming("none.yaml", **cache)))
    assert loaded.settings.semantic_cache.milvus is None
    assert "semantic_cache.backend_config_path" in {notice.path for notice in loaded.warnings}


def test_warnings_and_errors_name_the_file(tmp_path: Path) -> None:
    milvus = MILVUS | {"development": {"drop_collection_on_startup": True}}
    file = write(tmp_path / "cache/milvus.yaml", milvus)
    config = write(tmp_path / "config.yaml", naming("cache/milvus.yaml"))
    loaded = read_settings(config)
    (line,) = (each for each in grouped(loaded.warnings) if "milvus.yaml" in each)
    assert line.startswith(f"{file}: development.drop_collection_on_startup: this router never drops")
    assert f"{file}: connection: host" in loaded.honoured
    assert not any("development" in each for each in loaded.honoured)
    milvus = {"connection": {"hots": "h"}, "collection": {"vector_field": {"name": "id"}}}
    write(file, milvus)
    with pytest.raises(ConfigError) as caught:
        read_settings(config)
    assert str(caught.value) == f"{config}: {file}: connection.hots: unknown key; did you mean `host`?"
    write(file, milvus | {"connection": {}})
    with pytest.raises(ConfigError) as caught:
        read_settings(config)
    assert f"{config}: {file}: connection: give either" in str(caught.value)
    assert f"; {file}: collection.vector_field.name: 'id' is another" in str(caught.value)
    write(file, {"connection": {"host": "${MILVUS}"}})
    with pytest.raises(ConfigError) as caught:
        read_settings(config)
    assert f"{config}: {file}: connection.host: ${{MILVUS}} is not replaced" in str(caught.value)


def test_files_of_the_file_are_still_found(tmp_path: Path) -> None:
    tls = {"enabled": True, "ca_file": "ca.pem", "cert_file": "certs/c.pem", "key_file": "/k.pem"}
    milvus = {"connection": {"host": "h", "tls": tls}}
    write(tmp_path / "config/cache/milvus.yaml", milvus)
    write(tmp_path / "config/cache/ca.pem", "")
    write(tmp_path / "certs/c.pem", "")
    config = write(tmp_path / "config/config.yaml", naming("config/cache/milvus.yaml"))
    found = milvus_of(read_settings(config)).connection.tls
    assert found is not None
    assert (found.ca_file, found.cert_file, found.key_file) == ("cache/ca.pem", "../certs/c.pem", "/k.pem")
    write(tmp_path / "config/cache/milvus.yaml", {"connection": {"path": "milvus.db"}})
    config = write(config, naming("cache/milvus.yaml", backend_type="hybrid"))
    assert milvus_of(read_settings(config)).connection.path == "cache/milvus.db"


def test_a_file_of_our_own_form_does_as_well(tmp_path: Path) -> None:
    own = yaml.safe_load((EXAMPLES.parent / "cache" / "milvus.yaml").read_text())
    write(tmp_path / "milvus.yaml", own)
    loaded = read_settings(write(tmp_path / "config.yaml", naming("milvus.yaml", backend_type="hybrid")))
    assert loaded.form is not Form.CANONICAL
    assert milvus_of(loaded).collection == MilvusSettings.model_validate(own).collection


def test_the_example_is_honoured() -> None:
    milvus = milvus_of(read_settings(EXAMPLES / "vsr-milvus.yaml"))
    assert (milvus.connection.host, milvus.connection.timeout) == ("milvus.internal", 30)
    assert (milvus.collection.name, milvus.collection.index.params.M) == ("answers", 24)
    assert (milvus.search.params.ef, milvus.search.topk) == (96, 10)
    assert milvus.search.consistency_level == "Bounded"
