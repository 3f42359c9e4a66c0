"""serve: the gallery over HTTP, and the web page."""

import os
from pathlib import Path
from typing import Annotated

import typer

from facesearch.cli.common import app, gallery_place, given_keys, options
from facesearch.cli.output import say
from facesearch.core.errors import FacesearchError
from facesearch.core.paths import find_model


@app.command()
def serve(
    host: Annotated[
        str,
        typer.Option(help="The address to listen on; any but a loopback one needs a token."),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: one that is free.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes.")] = 1,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="Lines like `search TOKEN`; roles: search, enrol, admin. Else FACESEARCH_TOKEN, "
            "which may do everything."
        ),
    ] = None,
    certificate: Annotated[Path | None, typer.Option(help="For TLS: PEM, with its chain.")] = None,
    key: Annotated[Path | None, typer.Option(help="The certificate's private key.")] = None,
    host_name: Annotated[
        list[str] | None,
        typer.Option(help="A name under which the service is reached; may be repeated."),
    ] = None,
    allow_import: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FOLDER: jobs may enrol this folder of people; may be repeated."),
    ] = None,
) -> None:
    """Serve the gallery over HTTP, and a page to use it in a browser, until Ctrl-C."""
    from facesearch.service.auth import checked, is_loopback, read_tokens
    from facesearch.service.server import listen, run
    from facesearch.service.settings import Settings, Token

    if (certificate is None) != (key is None):
        raise typer.BadParameter("--certificate and --key go together")
    tokens = read_tokens(token_file) if token_file else ()
    if secret := os.environ.get("FACESEARCH_TOKEN"):
        tokens = (*tokens, checked(Token("admin", secret), "FACESEARCH_TOKEN"))
    if not tokens and not is_loopback(host):
        raise FacesearchError(
            f"{host}: others could reach it there; give a token (--token-file FILE or "
            "FACESEARCH_TOKEN), or listen on 127.0.0.1"
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
            raise typer.BadParameter(f"--allow-import {each}: not NAME=FOLDER with a folder")
        found[name] = Path(folder).absolute()
    return found


def _secret(where: Path | str) -> bytes | None:
    """What opens the gallery, asked for now if it is encrypted."""
    from facesearch.storage.database import Database, is_there

    if not is_there(where):
        return None
    database = Database(where, create=False)
    try:
        kind = database.encrypted_with()
    finally:
        database.close()
    return None if kind is None else given_keys(kind)
