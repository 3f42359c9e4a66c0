"""Jobs that were kept in a folder beside the gallery, before schema 0006, move to the tables."""

import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from facesearch.storage.schema import job_photos, job_results, jobs

FOLDER = "spool"
STATES = ("open", "waiting", "running", "done", "cancelled", "failed")


def is_there(folder: Path) -> bool:
    """Whether a gallery's folder has a spool of this kind."""
    return (folder / FOLDER).is_dir()


def adopt(connection: sa.Connection, folder: Path) -> None:
    """Write the jobs of the folder into the tables, but for those that are there already.

    Photos are taken as they are, sealed or not: the tables keep them in the same form. What cannot
    be read is passed over, as the service did. `remove` has to follow when this is committed.
    """
    for place in sorted((folder / FOLDER).iterdir()):
        query = sa.select(jobs.c.number).where(jobs.c.number == place.name)
        if connection.execute(query).first() is None:
            with suppress(OSError, ValueError, TypeError, KeyError):
                _adopt(connection, place)


def remove(folder: Path) -> None:
    """Remove the folder, whose jobs are in the tables now."""
    shutil.rmtree(folder / FOLDER, ignore_errors=True)


def _adopt(connection: sa.Connection, place: Path) -> None:
    told: dict[str, Any] = json.loads((place / "job.json").read_text("utf-8"))
    if told["state"] not in STATES:
        raise ValueError(told["state"])
    photos = [
        {
            "id": f"{place.name}/{sent['content']}",
            "job": place.name,
            "name": str(sent["name"]),
            "file": str(sent["file"]),
            "content": (place / sent["content"]).read_bytes(),
        }
        for sent in told["photos"]
    ]
    job = {
        "number": place.name,
        "created": str(told["created"]),
        "which": str(told["which"]),
        "insist": bool(told["insist"]),
        "folder": told["folder"],
        "state": told["state"],
        "cancelled": (place / "cancel").exists(),
        "looked_at": int(told["looked_at"]),
        "total": int(told["total"]),
        "reason": str(told["reason"]),
        "finished": told["finished"],
    }
    connection.execute(jobs.insert().values(job))
    for photo in photos:
        connection.execute(job_photos.insert().values(photo | {"size": len(photo["content"])}))
    for line in _results(place / "results.jsonl"):
        values = {"job": place.name, "key": line["key"], "result": line["row"]}
        connection.execute(job_results.insert().values(values))


def _results(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    for line in path.read_text("utf-8").splitlines():
        with suppress(ValueError):  # the last one may be cut off
            yield json.loads(line)
