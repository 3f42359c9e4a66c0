"""A photo without a file has the content that it was sent with, and a name that is safe."""

from pathlib import Path

import pytest

from facesearch.core.uploads import LONGEST, Upload, bare, stored, uploaded


def test_the_content_is_at_hand() -> None:
    photo = uploaded("../me.jpg", lambda: b"content")
    assert str(photo) == "me.jpg"
    assert photo.held() == b"content"
    with photo.open("rb") as file:
        assert file.read() == b"content"
    assert photo.absolute() is photo


def test_no_file_system_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "me.jpg").write_bytes(b"somebody else's")
    monkeypatch.chdir(tmp_path)
    gone = Upload("me.jpg")
    assert not gone.exists()
    for job in (gone.held, gone.open, gone.stat):
        with pytest.raises(FileNotFoundError, match=r"me\.jpg"):
            job()


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("C:\\photos\\me.jpg", "me.jpg"),
        ("/etc/passwd", "passwd"),
        ("a\x00b\n.jpg", "ab.jpg"),
        ("", "photo"),
        ("photos/..", "photo"),
        ("x" * 300 + ".jpg", ("x" * 300 + ".jpg")[-LONGEST:]),
    ],
)
def test_bare_names(sent: str, name: str) -> None:
    assert bare(sent) == name


def test_paths_of_the_database(tmp_path: Path) -> None:
    assert stored(tmp_path / "me.jpg") == tmp_path / "me.jpg"
    assert not isinstance(stored(tmp_path / "me.jpg"), Upload)
    assert isinstance(stored(Path("me.jpg")), Upload)
