"""Names and what is shown of options."""

from pathlib import Path

from router_extproc.stores.options import Credentials, Embedded, MilvusOptions, Server

SERVER = Server("db.test", 19531, credentials=Credentials("root", "hunter2"))


def test_each_encoder_has_a_collection_of_its_own_with_a_legal_name() -> None:
    names = {
        name
        for encoder in ("a", "b", "x/y z:é")
        for options in [MilvusOptions(SERVER, 16, encoder, collection="c" * 200)]
        for name in (options.collection_name, options.marks_name)
    }
    assert len(names) == 6
    assert all(len(name) <= 255 and name.replace("_", "").isalnum() and name.isascii() for name in names)


def test_a_password_is_never_shown() -> None:
    assert "hunter2" not in repr(MilvusOptions(SERVER, 16, "e"))


def test_targets_say_where_they_are() -> None:
    assert str(SERVER) == "Milvus at db.test:19531"
    assert str(Embedded(Path("data"))) == "Milvus Lite in data"
