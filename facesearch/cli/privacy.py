"""gallery encrypt, decrypt, rekey, set, audit: who may see what is kept."""

import os
import sys
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facesearch.cli.common import gallery_app, gallery_place, opened, options, reached
from facesearch.cli.output import say, show

if TYPE_CHECKING:
    from facesearch.storage.vault import Secret


@gallery_app.command("encrypt")
def gallery_encrypt() -> None:
    """Encrypt embeddings, chips and the index, with a passphrase or with --key-file FILE.

    Names, paths and dates stay readable. Without the passphrase or the key file the face data is
    lost: nobody can bring it back.
    """
    with opened() as gallery:
        gallery.encrypt(_new_secret(gallery.folder, "FACESEARCH", options.key_file))
    say("encrypted; keep the passphrase or the key file safe: without it the faces are lost")


@gallery_app.command("decrypt")
def gallery_decrypt() -> None:
    """Store face data as it is again."""
    with opened() as gallery:
        gallery.unlock()
        gallery.decrypt()
    say("decrypted")


@gallery_app.command("rekey")
def gallery_rekey(
    new_key_file: Annotated[
        Path | None,
        typer.Option(
            help="The key file from now on; else FACESEARCH_NEW_KEY_FILE, or a passphrase: "
            "FACESEARCH_NEW_PASSPHRASE, or asked for."
        ),
    ] = None,
) -> None:
    """Change the passphrase or the key file. The face data is not encrypted anew."""
    with opened() as gallery:
        gallery.unlock()
        gallery.rekey(_new_secret(gallery.folder, "FACESEARCH_NEW", new_key_file))
    say("the new passphrase or key file opens the gallery now, and the old one does not")


def _new_secret(folder: Path, prefix: str, key_file: Path | None) -> "Secret":
    from facesearch.core.errors import GalleryError
    from facesearch.storage.vault import new_key_file, new_passphrase

    named = os.environ.get(f"{prefix}_KEY_FILE")
    passphrase = os.environ.get(f"{prefix}_PASSPHRASE")
    if key_file is None and named and passphrase:
        raise GalleryError(f"{prefix}_KEY_FILE and {prefix}_PASSPHRASE exclude each other")
    if key_file is not None or named:
        return new_key_file(key_file or Path(named or ""), folder)
    if passphrase is None:
        if not sys.stdin.isatty():
            raise GalleryError(
                "no terminal to ask for a passphrase: give a key file, or set "
                f"{prefix}_KEY_FILE or {prefix}_PASSPHRASE"
            )
        passphrase = typer.prompt(
            "New passphrase", hide_input=True, confirmation_prompt="Once more", err=True
        )
    return new_passphrase(passphrase)


@gallery_app.command("set")
def gallery_set(key: str, value: str) -> None:
    """Change a setting.

    audit on: who is searched for, and when, is recorded (`gallery audit`).

    keep-chips on: of every face enrolled from then on a picture is kept in the gallery, some
    14 kB, so that the model can be changed without the photos. off: no more from then on.

    search pgvector: the database itself finds the nearest people, in PostgreSQL only. local: an
    index in memory does.
    """
    from facesearch.storage.preferences import check

    check(key, value, in_folder=isinstance(gallery_place(), Path))  # before a gallery is made
    with opened(create=True) as gallery:
        gallery.prefer(key, value)
    say(f"{key} is {value}")


@gallery_app.command("audit")
def gallery_audit(
    since: Annotated[
        str | None, typer.Option(help="Only from this date on, ISO 8601, UTC unless it says more.")
    ] = None,
) -> None:
    """The searches of this gallery, as far as they were recorded (`gallery set audit on`)."""
    try:
        first = None if since is None else datetime.fromisoformat(since)
    except ValueError as error:
        raise typer.BadParameter(f"{since}: not a date like 2026-01-31") from error
    with reached() as gallery:
        show(
            (asdict(search) for search in gallery.searches(first)),
            ["at", "command", "faces", "names"],
            options.form,
        )
