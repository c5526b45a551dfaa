"""Files are written whole or not at all."""

import pytest

from vrestore.disk import write_under, write_whole


def test_a_file_is_written_whole_into_a_folder_that_is_made(tmp_path):
    file = tmp_path / "deep" / "one.bin"
    write_whole(file, b"first")
    write_whole(file, b"second")
    assert file.read_bytes() == b"second"
    assert list(file.parent.iterdir()) == [file]


def test_what_fails_half_way_leaves_the_file_as_it_was(tmp_path):
    file, part = tmp_path / "one.bin", tmp_path / "part"
    write_whole(file, b"first")

    def half(target):
        target.write(b"sec")
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        write_under(part, file, half)
    assert file.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [file]
