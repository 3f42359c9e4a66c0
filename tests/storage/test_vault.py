"""What is sealed opens with its key alone, and never as something else."""

import json
from pathlib import Path

import pytest

from facesearch.core.errors import GalleryError
from facesearch.storage import vault
from facesearch.storage.vault import Keys, Kind, Secret, Tampered, Vault

SECRET = vault.new_passphrase("correct horse")
CHIP = b"the picture of a face " * 20


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cheap scrypt; its parameters are stored, so that nothing else is different."""
    monkeypatch.setattr(vault, "COST", 1 << 10)
    for name in ("FACESEARCH_PASSPHRASE", "FACESEARCH_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)


def giving(secret: bytes) -> Keys:
    return lambda kind: secret


def nothing(kind: Kind) -> bytes:
    raise AssertionError("the key was asked for")


def test_what_is_sealed_opens_for_its_purpose_alone() -> None:
    locked = Vault(vault.new_key())
    sealed = locked.seal(b"content", "face")
    assert b"content" not in sealed
    assert locked.open(sealed, "face") == b"content"
    assert locked.seal(b"content", "face") != sealed  # another nonce
    for damaged in (
        sealed[:-1],
        sealed[:5],
        b"",
        b"x" + sealed[1:],
        sealed[:-1] + b"\0",
        sealed * 2,
    ):
        with pytest.raises(Tampered, match="sealed face"):
            locked.open(damaged, "face")
    with pytest.raises(Tampered, match="sealed chip"):
        locked.open(sealed, "chip")
    with pytest.raises(Tampered):
        Vault(vault.new_key()).open(sealed, "face")


@pytest.mark.parametrize(
    "secret", [SECRET, Secret("key file", bytes(range(32)))], ids=lambda secret: secret.kind
)
def test_a_wrapped_key_opens_with_its_secret_alone(secret: Secret) -> None:
    key = vault.new_key()
    record = vault.wrapped(key, secret.kind, secret.content)
    asked: list[Kind] = []

    def keys(kind: Kind) -> bytes:
        asked.append(kind)
        return secret.content

    assert vault.unwrapped(record, keys) == key
    assert asked == [secret.kind]
    assert vault.kind_of(record) == secret.kind
    with pytest.raises(GalleryError, match=f"this {secret.kind} does not open the gallery"):
        vault.unwrapped(record, giving(b"something else, as long as this"))
    for name in ("salt", "key"):  # nor when the record is another
        other = json.loads(record)
        first = other[name]
        other[name] = ("A" if first[0] != "A" else "B") + first[1:]
        with pytest.raises(GalleryError):
            vault.unwrapped(json.dumps(other), giving(secret.content))


def test_forged_parameters_do_not_eat_the_memory() -> None:
    record = json.loads(vault.wrapped(vault.new_key(), SECRET.kind, SECRET.content))
    for name, value in (("n", 2**40), ("r", 2**30), ("p", 2**20), ("n", 3), ("n", -2), ("n", "2")):
        with pytest.raises(Tampered, match="record of the key is damaged"):
            vault.unwrapped(json.dumps({**record, name: value}), nothing)
    for text in ("", "[]", "{}", '{"key": 1}', json.dumps({**record, "version": 2})):
        with pytest.raises(Tampered, match="or of a newer facesearch"):
            vault.unwrapped(text, nothing)


def test_the_real_cost_of_a_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    record = json.loads(vault.wrapped(vault.new_key(), SECRET.kind, SECRET.content))
    assert 128 * record["n"] * record["r"] == 128 << 20  # bytes of memory


def test_a_passphrase_is_text_not_bytes() -> None:
    assert vault.passphrase_bytes("caf\u00e9") == vault.passphrase_bytes("cafe\u0301")
    with pytest.raises(GalleryError, match="choose one of at least 8"):
        vault.new_passphrase("short")


def test_key_files_are_checked(tmp_path: Path) -> None:
    key = tmp_path / "key"
    with pytest.raises(GalleryError, match="key file cannot be read"):
        vault.key_file_bytes(key)
    key.write_bytes(b"x" * 31)
    with pytest.raises(GalleryError, match="at least 32 random bytes"):
        vault.key_file_bytes(key)
    key.write_bytes(b"x" * 32)
    assert vault.new_key_file(key, tmp_path / "gallery").content == b"x" * 32
    with pytest.raises(GalleryError, match="lies in the gallery"):
        vault.new_key_file(key, tmp_path)
