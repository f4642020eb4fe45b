"""Files that are there whole, or not at all."""

import os
from pathlib import Path

import pytest

from frontrunner.runtime.common.whole_files import staged, write_whole
from frontrunner.runtime.errors import BadRequest


def test_what_is_not_published_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, "first\n", b"and more\n")
    assert path.read_text() == "first\nand more\n"
    with staged(path) as file:
        file.write("half of")
    assert path.read_text() == "first\nand more\n"
    assert list(tmp_path.iterdir()) == [path]


def test_it_has_the_rights_of_any_new_file(tmp_path: Path) -> None:
    write_whole(tmp_path / "staged", "x")
    (tmp_path / "plain").write_text("x")
    assert (tmp_path / "staged").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_where_nothing_can_be_written_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "no" / "file", tmp_path / "folder"):
        with pytest.raises(BadRequest, match=f"cannot write {path}"):
            write_whole(path, "x")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_a_link_stays_one(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = tmp_path / "link"
    link.symlink_to(elsewhere / "file")
    for text in ("new", "newer"):
        write_whole(link, text)
        assert link.is_symlink()
        assert (elsewhere / "file").read_text() == text


def test_what_is_no_file_is_written_to(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # opened first, so that no writer waits
    write_whole(path, "first\n", b"and more\n")
    assert os.read(reader, 100) == b"first\nand more\n"
    os.close(reader)
    assert path.is_fifo()
    assert list(tmp_path.iterdir()) == [path]
