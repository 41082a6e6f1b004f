"""The order of the sources, and what is kept: real files, pretended sources."""

import hashlib
from pathlib import Path

import pytest

from router_extproc.base.errors import ModelError
from router_extproc.encoder.fetch import PinnedFile, Say, Source
from router_extproc.encoder.pull import ORDER, bring, is_whole, pull

CONTENT = b"weights"
FILES = (PinnedFile("model", len(CONTENT), hashlib.sha256(CONTENT).hexdigest()),)


class Sources:
    """Those in `have` give the file; the others fail. `asked` lists who was asked."""

    def __init__(self, *have: Source) -> None:
        self.have, self.asked = have, list[Source]()

    def __call__(self, target: Path, source: Source, say: Say) -> None:
        self.asked.append(source)
        if source not in self.have:
            raise ModelError(f"{source} has nothing")
        (target / "model").write_bytes(CONTENT)


def silent(line: str) -> None:
    """For whom progress is nothing."""


def test_the_hub_comes_before_the_index(tmp_path: Path) -> None:
    sources = Sources(*Source)
    bring(tmp_path, ORDER, silent, sources, lambda: True)
    assert sources.asked == [Source.HUB]


def test_a_hub_out_of_reach_is_passed_over_and_said(tmp_path: Path) -> None:
    sources, said = Sources(*Source), list[str]()
    bring(tmp_path, ORDER, said.append, sources, lambda: False)
    assert sources.asked == [Source.INDEX]
    assert any("hub cannot be reached" in line for line in said)


def test_a_source_that_fails_is_said_and_the_next_one_asked(tmp_path: Path) -> None:
    sources, said = Sources(Source.INDEX), list[str]()
    bring(tmp_path, ORDER, said.append, sources, lambda: True)
    assert sources.asked == [Source.HUB, Source.INDEX]
    assert "hub has nothing" in said


def test_the_last_sources_reason_is_the_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="index has nothing"):
        bring(tmp_path, ORDER, silent, Sources(), lambda: True)


def test_a_source_that_was_named_is_the_only_one(tmp_path: Path) -> None:
    """And is asked in any case: its own error says more than a probe."""
    sources = Sources(Source.INDEX)
    with pytest.raises(ModelError, match="hub has nothing"):
        bring(tmp_path, (Source.HUB,), silent, sources, lambda: False)
    assert sources.asked == [Source.HUB]


def test_files_that_are_here_are_not_fetched(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(CONTENT)
    sources = Sources(*Source)
    pull(tmp_path, None, ORDER, silent, sources, FILES)
    assert sources.asked == []


def test_a_folder_is_copied_and_nothing_fetched(tmp_path: Path) -> None:
    given, target, sources = tmp_path / "given", tmp_path / "deep" / "base", Sources()
    given.mkdir()
    (given / "model").write_bytes(CONTENT)
    (given / "other").write_bytes(b"not asked for")
    pull(target, given, ORDER, silent, sources, FILES)
    assert sources.asked == []
    assert [file.name for file in target.iterdir()] == ["model"]
    assert [folder.name for folder in target.parent.iterdir()] == ["base"]


def test_a_folder_with_other_bytes_is_refused_and_leaves_what_was_there(tmp_path: Path) -> None:
    given, target = tmp_path / "given", tmp_path / "base"
    for folder, content in ((given, b"changed"), (target, b"half")):
        folder.mkdir()
        (folder / "model").write_bytes(content)
    with pytest.raises(ModelError, match=r"given/model: SHA-256 is"):
        pull(target, given, ORDER, silent, Sources(), FILES)
    assert (target / "model").read_bytes() == b"half"
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["base", "given"]


def test_altered_files_make_way_for_right_ones(tmp_path: Path) -> None:
    target = tmp_path / "base"
    target.mkdir()
    (target / "model").write_bytes(b"half")
    pull(target, None, (Source.INDEX,), silent, Sources(Source.INDEX), FILES)
    assert is_whole(target, FILES)
    assert [folder.name for folder in tmp_path.iterdir()] == ["base"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ModelError, match=r"file/base: cannot place the files here"):
        pull(tmp_path / "file" / "base", None, (Source.INDEX,), silent, Sources(Source.INDEX), FILES)
