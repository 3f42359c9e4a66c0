"""serve: the gallery over HTTP, and the web page."""

import os
from pathlib import Path
from typing import Annotated

import typer

from facesearch.cli.options import options
from facesearch.cli.output import say
from facesearch.cli.program import GALLERY, app
from facesearch.cli.session import gallery_place, given_keys
from facesearch.core.errors import FacesearchError
from facesearch.core.extras import require
from facesearch.core.paths import find_model


@app.command(rich_help_panel=GALLERY)
def serve(
    host: Annotated[
        str,
        typer.Option(help="The address to listen on; all but a loopback address need a token."),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")
    ] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="How many processes.")] = 1,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="A file with lines like `search TOKEN`; the roles are search, enroll and admin. "
            "Default: the token in FACESEARCH_TOKEN, which may do everything."
        ),
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option(help="The certificate for TLS: PEM, with its chain.")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="The private key of the certificate.")] = None,
    host_name: Annotated[
        list[str] | None,
        typer.Option(help="A name by which clients reach the service; may be repeated."),
    ] = None,
    allow_import: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FOLDER", help="A folder of people that jobs may enroll; may be repeated."
        ),
    ] = None,
) -> None:
    """Serve the gallery over HTTP, with a web page.

    The service runs until Ctrl-C. Open the address that it prints in a browser, or give it to
    other commands: --gallery http://HOST:8000. Needs the extra `serve`.
    """
    require("serve", "serving")
    from facesearch.service.auth import checked, is_loopback, read_tokens
    from facesearch.service.server import listen, run
    from facesearch.service.settings import Settings, Token

    if (certificate is None) != (key is None):
        raise typer.BadParameter("give both --certificate and --key, or neither")
    tokens = read_tokens(token_file) if token_file else ()
    if secret := os.environ.get("FACESEARCH_TOKEN"):
        tokens = (*tokens, checked(Token("admin", secret), "FACESEARCH_TOKEN"))
    if not tokens and not is_loopback(host):
        raise FacesearchError(
            f"{host}: other machines could reach the service there; give a token (--token-file "
            "FILE or FACESEARCH_TOKEN), or listen on 127.0.0.1"
        )
    where = gallery_place()
    settings = Settings(
        gallery=where.absolute() if isinstance(where, Path) else where,
        model=find_model(options.model).absolute(),
        detector=options.detector,
        precision=options.precision,
        detail=options.detail,
        min_face=options.min_face,
        host=host,
        port=port,
        certificate=certificate,
        key=key,
        tokens=tokens,
        host_names=tuple(host_name or ()),
        imports=_imports(allow_import or []),
        secret=_secret(where),
    )
    listening = listen(settings)
    scheme = "https" if certificate else "http"
    shown = f"[{host}]" if ":" in host else host
    say(f"{scheme}://{shown}:{listening.getsockname()[1]}/")
    run(settings, workers, listening)


def _imports(given: list[str]) -> dict[str, Path]:
    found = {}
    for each in given:
        name, _, folder = each.partition("=")
        if not name or not Path(folder).is_dir() or not folder:
            raise typer.BadParameter(
                f"--allow-import {each}: give NAME=FOLDER with an existing folder"
            )
        found[name] = Path(folder).absolute()
    return found


def _secret(where: Path | str) -> bytes | None:
    """The key of the gallery if it is encrypted, asked for before the service starts."""
    from facesearch.storage.database import Database, is_there

    if not is_there(where):
        return None
    database = Database(where, create=False)
    try:
        kind = database.encrypted_with()
    finally:
        database.close()
    return None if kind is None else given_keys(kind)
