"""Encryption of face data: a data key seals it, and a passphrase or a key file wraps that key."""

import hashlib
import json
import os
import secrets
import unicodedata
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from facesearch.core.errors import GalleryError

Kind = Literal["passphrase", "key file"]
Keys = Callable[[Kind], bytes]  # gives the passphrase or key; may raise GalleryError

KEY = 32  # bytes: AES-256
NONCE = 12  # bytes, drawn for every value; one key can seal four thousand million values
SHORTEST = 8  # characters of a passphrase
LARGEST_KEY_FILE = 1 << 20
# scrypt with 128 MiB and about half a second, as OWASP recommends. The parameters are stored with
# the wrapped key; LARGEST keeps a forged database from using up all memory.
COST, BLOCK, LANES = 1 << 17, 8, 1
LARGEST = 1 << 30  # bytes


class Tampered(GalleryError):
    """A sealed value was changed, or moved to another place, since it was sealed."""


class Vault:
    """Seals and opens values; without a key it returns them as they are."""

    def __init__(self, key: bytes | None) -> None:
        """key: KEY bytes; None for a gallery that is not encrypted."""
        self.key = key
        self._cipher = None
        if key is not None:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

            self._cipher = AESGCM(key)

    def seal(self, content: bytes, purpose: str) -> bytes:
        """Encrypt a value with AES-256-GCM and a random nonce. `open` needs the same purpose."""
        if self._cipher is None:
            return content
        nonce = secrets.token_bytes(NONCE)
        return nonce + self._cipher.encrypt(nonce, content, _bound(purpose))

    def open(self, sealed: bytes, purpose: str) -> bytes:
        """The value that was given to `seal`. Raises Tampered."""
        if self._cipher is None:
            return sealed
        from cryptography.exceptions import InvalidTag

        try:
            return self._cipher.decrypt(sealed[:NONCE], sealed[NONCE:], _bound(purpose))
        except (InvalidTag, ValueError) as error:  # ValueError: too short
            raise Tampered(f"a sealed {purpose.split()[0]} is not what was written") from error


def _bound(purpose: str) -> bytes:
    return f"facesearch 1 {purpose}".encode()


def new_key() -> bytes:
    """A random data key."""
    return secrets.token_bytes(KEY)


def wrapped(key: bytes, kind: Kind, secret: bytes) -> str:
    """The data key wrapped with a secret, as JSON to store; `unwrapped` is the contrary."""
    how: dict[str, Any] = {"version": 1, "kind": kind, "salt": _text(secrets.token_bytes(16))}
    if kind == "passphrase":
        how |= {"n": COST, "r": BLOCK, "p": LANES}
    sealed = Vault(_wrapping_key(how, secret)).seal(key, f"key {_canonical(how)}")
    return _canonical({**how, "key": _text(sealed)})


def kind_of(record: str) -> Kind:
    """Whether a passphrase or a key file opens a record. Raises Tampered."""
    return _parsed(record)[0]["kind"]  # type: ignore[no-any-return]


def unwrapped(record: str, keys: Keys) -> bytes:
    """The data key of a record. Raises GalleryError for a wrong secret, Tampered for damage."""
    how, sealed = _parsed(record)
    kind = how["kind"]
    secret = keys(kind)
    try:
        return Vault(_wrapping_key(how, secret)).open(sealed, f"key {_canonical(how)}")
    except Tampered as error:
        raise GalleryError(f"this {kind} does not open the gallery") from error


def _parsed(record: str) -> tuple[dict[str, Any], bytes]:
    """The parameters of a record, and the wrapped key. Raises Tampered."""
    try:
        how = json.loads(record)
        sealed = b64decode(how.pop("key"), validate=True)
        b64decode(how["salt"], validate=True)
        if how["version"] != 1 or how["kind"] not in ("passphrase", "key file"):
            raise ValueError
        if how["kind"] == "passphrase":
            cost, block, lanes = (how[name] for name in "nrp")
            sound = all(type(value) is int and value > 0 for value in (cost, block, lanes))
            if not sound or 128 * cost * block > LARGEST or lanes > 16 or cost & (cost - 1):
                raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Tampered("the record of the key is damaged, or of a newer facesearch") from error
    return how, sealed


def _wrapping_key(how: dict[str, Any], secret: bytes) -> bytes:
    salt = b64decode(how["salt"])
    if how["kind"] == "key file":  # random already: it needs no slow function
        return hashlib.blake2b(
            secret, digest_size=KEY, salt=salt, person=b"facesearch key"
        ).digest()
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    return Scrypt(salt=salt, length=KEY, n=how["n"], r=how["r"], p=how["p"]).derive(secret)


def _canonical(how: dict[str, Any]) -> str:
    return json.dumps(how, sort_keys=True)


def _text(content: bytes) -> str:
    return b64encode(content).decode()


# What opens a gallery


@dataclass(frozen=True, slots=True)
class Secret:
    """The passphrase or key file that will open a gallery."""

    kind: Kind
    content: bytes


def passphrase_bytes(passphrase: str) -> bytes:
    """The bytes of a passphrase, independent of how its accents were typed."""
    return unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogateescape")


def new_passphrase(passphrase: str) -> Secret:
    """A passphrase as a Secret. Raises GalleryError if it is too short."""
    if len(passphrase) < SHORTEST:
        raise GalleryError(
            f"the passphrase has {len(passphrase)} characters; choose one of at least {SHORTEST}"
        )
    return Secret("passphrase", passphrase_bytes(passphrase))


def new_key_file(path: Path, folder: Path) -> Secret:
    """A key file as a Secret.

    folder: the gallery's. Raises GalleryError if the file is no key, or lies in that folder.
    """
    content = key_file_bytes(path)
    if folder.resolve() in path.resolve().parents:
        raise GalleryError(f"{path}: lies in the gallery that it protects; move it elsewhere")
    return Secret("key file", content)


def key_file_bytes(path: Path) -> bytes:
    """The content of a key file. Raises GalleryError if it is missing or of the wrong size."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_KEY_FILE + 1)
    except OSError as error:
        raise GalleryError(f"{path}: the key file cannot be read ({error.strerror})") from error
    if not KEY <= len(content) <= LARGEST_KEY_FILE:
        raise GalleryError(
            f"{path}: not a key file, which holds at least {KEY} random bytes; "
            f"`head -c {KEY} /dev/urandom > FILE` makes one"
        )
    return content


def from_environment(kind: Kind) -> bytes:
    """The value of FACESEARCH_PASSPHRASE, or the content of the file in FACESEARCH_KEY_FILE.

    Raises GalleryError if the variable is not set.
    """
    if kind == "passphrase":
        passphrase = os.environ.get("FACESEARCH_PASSPHRASE")
        if passphrase:
            return passphrase_bytes(passphrase)
        raise GalleryError(
            "encrypted with a passphrase: set FACESEARCH_PASSPHRASE, or start facesearch on a "
            "terminal, where it asks"
        )
    path = os.environ.get("FACESEARCH_KEY_FILE")
    if path:
        return key_file_bytes(Path(path))
    raise GalleryError(
        "encrypted with a key file: give it with --key-file FILE, or set FACESEARCH_KEY_FILE"
    )
