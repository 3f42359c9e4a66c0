"""gallery encrypt, decrypt, rekey, audit."""

from pathlib import Path

import numpy as np
import pytest

from facesearch.core.errors import GalleryError
from facesearch.storage import audit_log
from facesearch.storage.store import Store
from tests.support.commands import Run
from tests.support.invented_photos import MODEL, photo


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "gallery"


def test_a_gallery_is_encrypted_and_opened_by_commands(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    store = Store(folder, create=True)
    store.add([photo("ann", 1)], MODEL)
    key = tmp_path / "key"
    key.write_bytes(b"k" * 32)
    assert "no terminal to ask" in run("gallery", "encrypt").err
    assert run("gallery", "encrypt", "--key-file", key).code == 0
    info = run("gallery", "info", "--json")
    assert '"encrypted": "key file"' in info.out
    assert run("people", "list").code == 0
    refused = run("gallery", "decrypt")
    assert refused.code == GalleryError.exit_code
    assert refused.err.count("\n") == 1
    assert "give it with --key-file FILE" in refused.err
    new = {"FACESEARCH_NEW_PASSPHRASE": "correct horse"}
    assert run("--key-file", key, "gallery", "rekey", **new).code == 0
    opened = run("gallery", "decrypt", FACESEARCH_PASSPHRASE="correct horse")
    assert opened.code == 0
    assert np.array_equal(store.vectors()[2], photo("ann", 1).embeddings)


def test_the_log_is_listed(run: Run, folder: Path) -> None:
    store = Store(folder, create=True)
    assert run("gallery", "set", "audit", "on").code == 0
    audit_log.record(store.database, "identify", 2, ["bob", "ann", "bob"])
    listed = run("gallery", "audit", "--since", "2020-01-01", "--json")
    assert '"command": "identify", "faces": 2, "names": ["ann", "bob"]' in listed.out
    assert run("gallery", "audit", "--since", "yesterday").code == 2


def test_passphrases_are_asked_for_on_a_terminal(folder: Path) -> None:
    from tests.support.terminal import converse

    store = Store(folder, create=True)
    store.add([photo("ann", 1)], MODEL)
    code, seen = converse(
        {"New passphrase: ": "correct horse", "Once more: ": "correct horse"}, "gallery", "encrypt"
    )
    assert code == 0, seen
    assert "correct horse" not in seen
    code, seen = converse({"Passphrase: ": "wrong horse"}, "gallery", "decrypt")
    assert code == GalleryError.exit_code
    assert "this passphrase does not open the gallery" in seen
    code, seen = converse({"Passphrase: ": "correct horse"}, "gallery", "decrypt")
    assert code == 0, seen
    assert np.array_equal(store.vectors()[2], photo("ann", 1).embeddings)
