"""Photos that were moved are found again by their content."""

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from facesearch.core.errors import PhotoError
from facesearch.gallery.gallery import Gallery
from facesearch.storage.store import Store
from facesearch.vision import images
from tests.support.invented_photos import MODEL, photo


def test_moved_photos_are_found_by_their_content(tmp_path: Path, people: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new" / "deep"
    shutil.copytree(people / "person-00", old)
    files = sorted(old.iterdir())
    odd = old / "caf\udce9.jpg"
    files[4].rename(odd)
    files[4] = odd
    folder = tmp_path / "gallery"
    with closing(Store(folder, create=True)) as store, Gallery(folder) as gallery:
        for at, path in enumerate(files):
            made = photo("ann" if at else "gone", at, path=path)
            object.__setattr__(made, "sha256", images.sha256(path))
            store.add([made], MODEL)
        gallery.remove("gone")  # their photos are followed, too
        revision = store.revision()
        links = gallery.relink(people)
        assert [link.status for link in links] == ["unchanged"] * 5
        assert store.revision() == revision
        new.mkdir(parents=True)
        files[0].rename(new / "renamed.jpg")
        files[4].rename(new / files[4].name)
        shutil.copy(files[2], files[1])  # another photo where one was
        files[3].unlink()
        (new / "noise.jpg").write_bytes(b"no photo")
        (new / ".hidden.jpg").write_bytes(b"no photo")
        links = gallery.relink(tmp_path / "new")
        assert {link.was.name: (link.status, link.photo) for link in links} == {
            files[0].name: ("relinked", new / "renamed.jpg"),
            files[1].name: ("missing", files[1]),
            files[2].name: ("unchanged", files[2]),
            files[3].name: ("missing", files[3]),
            files[4].name: ("relinked", new / files[4].name),
        }
        assert [face.photo for face in gallery["ann"].faces][-1] == new / files[4].name
        assert store.person_faces([2])[2].photos[-1] == new / files[4].name  # checksums hold
        gallery.undo()
        assert gallery["gone"].faces[0].photo == new / "renamed.jpg"
        with pytest.raises(PhotoError, match="nowhere: no such folder"):
            gallery.relink(tmp_path / "nowhere")
