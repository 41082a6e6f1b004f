"""The reader of Dockerfiles reads what an engine would read."""

from pathlib import Path

import pytest

from tests.support.dockerfile import context, read_stages

TEXT = r"""# what this is
FROM base:1 AS one
ENV A=1 \
    B="two words"
RUN first \
    # said in between
    && second
COPY --from=other --chown=1:2 /a /b
FROM one AS two
ENTRYPOINT ["a", "b c"]
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "Dockerfile"
    path.write_text(text)
    return path


def test_stages_have_their_instructions_with_flags_and_continued_lines(tmp_path: Path) -> None:
    one, two = read_stages(written(tmp_path, TEXT))
    assert (one.name, one.base, two.name, two.base) == ("one", "base:1", "two", "one")
    assert one.environment == {"A": "1", "B": "two words"}
    env, run, copy = one.instructions
    assert (env.name, run.name, run.text.split()) == ("ENV", "RUN", ["first", "&&", "second"])
    assert (dict(copy.flags), copy.words) == ({"from": "other", "chown": "1:2"}, ("/a", "/b"))
    entry = two.last("ENTRYPOINT")
    assert entry is not None
    assert entry.words == ("a", "b c")
    assert two.last("CMD") is None


@pytest.mark.parametrize("line", ["ADD x y", "RUN <<EOF", "ONBUILD RUN x"])
def test_what_is_not_understood_is_an_error(tmp_path: Path, line: str) -> None:
    with pytest.raises(ValueError, match="not understood"):
        read_stages(written(tmp_path, f"FROM a AS b\n{line}\n"))


def test_the_last_rule_that_matches_a_file_or_its_folder_decides(tmp_path: Path) -> None:
    for name in (
        "a.txt",
        "kept/b.py",
        "kept/deep/c.pyc",
        "kept/__pycache__/d.py",
        "left/kept/e.py",
        "top.md",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    rules = ["# comment", "*", "!kept", "!a.txt", "**/__pycache__", "**/*.pyc"]
    assert [str(path) for path in context(tmp_path, rules)] == ["a.txt", "kept/b.py"]
    assert [str(path) for path in context(tmp_path, ["*", "!left/kept"])] == ["left/kept/e.py"]
    assert [str(path) for path in context(tmp_path, ["kept/*", "*.txt"])] == ["left/kept/e.py", "top.md"]
