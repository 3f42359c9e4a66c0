"""gallery encrypt, decrypt, rekey, audit, purge-expired: who may see faces, and for how long."""

import os
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facesearch.cli.options import options
from facesearch.cli.output import say, show
from facesearch.cli.program import gallery_app
from facesearch.cli.session import gallery as any_gallery
from facesearch.cli.session import local_gallery
from facesearch.core.errors import GalleryError
from facesearch.core.lazy import LazyModule
from facesearch.core.words import plural

if TYPE_CHECKING:
    from facesearch.gallery import purge
    from facesearch.serialization import gallery as serialized
    from facesearch.storage import vault
    from facesearch.storage.vault import Secret
else:
    serialized = LazyModule("facesearch.serialization.gallery")
    purge = LazyModule("facesearch.gallery.purge")
    vault = LazyModule("facesearch.storage.vault")

PRIVACY = "Privacy"


@gallery_app.command("encrypt", rich_help_panel=PRIVACY)
def gallery_encrypt() -> None:
    """Encrypt the face data: embeddings, chips and the index.

    The key is a passphrase, or a file with --key-file FILE. Names, paths and dates stay readable.
    Nobody can restore the face data without the passphrase or the key file.
    """
    with local_gallery() as gallery:
        gallery.encrypt(new_secret(gallery.folder, "FACESEARCH", options.key_file))
    say("encrypted; keep the passphrase or the key file safe: without it the faces are lost")


@gallery_app.command("decrypt", rich_help_panel=PRIVACY)
def gallery_decrypt() -> None:
    """Store the face data unencrypted again."""
    with local_gallery() as gallery:
        gallery.unlock()
        gallery.decrypt()
    say("decrypted")


@gallery_app.command("rekey", rich_help_panel=PRIVACY)
def gallery_rekey(
    new_key_file: Annotated[
        Path | None,
        typer.Option(
            help="The new key file. Default: FACESEARCH_NEW_KEY_FILE, then the passphrase of "
            "FACESEARCH_NEW_PASSPHRASE, then a question on the terminal."
        ),
    ] = None,
) -> None:
    """Change the passphrase or the key file.

    The face data itself is not encrypted again.
    """
    with local_gallery() as gallery:
        gallery.unlock()
        gallery.rekey(new_secret(gallery.folder, "FACESEARCH_NEW", new_key_file))
    say("the new passphrase or key file opens the gallery now; the old one does not any more")


def new_secret(folder: Path, prefix: str, key_file: Path | None) -> "Secret":
    """The new key: from the option, the environment or the terminal.

    prefix: of the environment variables. Raises GalleryError if there is none.
    """
    named = os.environ.get(f"{prefix}_KEY_FILE")
    passphrase = os.environ.get(f"{prefix}_PASSPHRASE")
    if key_file is None and named and passphrase:
        raise GalleryError(f"set either {prefix}_KEY_FILE or {prefix}_PASSPHRASE, not both")
    if key_file is not None or named:
        return vault.new_key_file(key_file or Path(named or ""), folder)
    if passphrase is None:
        if not sys.stdin.isatty():
            raise GalleryError(
                "no terminal to ask for a passphrase: give a key file, or set "
                f"{prefix}_KEY_FILE or {prefix}_PASSPHRASE"
            )
        passphrase = typer.prompt(
            "New passphrase", hide_input=True, confirmation_prompt="Once more", err=True
        )
    return vault.new_passphrase(passphrase)


@gallery_app.command("audit", rich_help_panel=PRIVACY)
def gallery_audit(
    since: Annotated[
        str | None,
        typer.Option(
            metavar="DATE",
            help="Only searches since this date, 2026-01-31, or ISO 8601 time (UTC).",
        ),
    ] = None,
) -> None:
    """List the recorded searches.

    Searches are recorded after `gallery set audit on`.
    """
    try:
        first = None if since is None else datetime.fromisoformat(since)
    except ValueError as error:
        raise typer.BadParameter(f"{since}: not a date like 2026-01-31") from error
    with any_gallery() as gallery:
        show(
            map(serialized.SEARCH.row, gallery.searches(first)),
            ["at", "command", "faces", "names"],
            options.form,
        )


@gallery_app.command("purge-expired", rich_help_panel=PRIVACY)
def gallery_purge_expired(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show who would be purged.")
    ] = False,
) -> None:
    """Purge everybody whose last day is over.

    `people set --expires` sets the last day, which ends at midnight UTC. Nothing of these people
    is kept, and `undo` cannot bring them back.
    """
    with local_gallery() as gallery:
        gone = gallery.expired(purge.today()) if dry_run else gallery.purge_expired(purge.today())
    show(
        (
            {"name": kept.name, "faces": kept.faces, "expires": kept.expires, "purged": not dry_run}
            for kept in gone
        ),
        ["name", "faces", "expires"],
        options.form,
    )
    say(f"{plural(len(gone), 'person', 'people')} {'would be ' if dry_run else ''}purged")
