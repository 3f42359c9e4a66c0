"""The reference of the JSON that the commands print and the service sends, made from its records.

    python -m scripts.json_reference docs/reference/json.md

`tests/docs/test_reference.py` fails when the page is not what the program writes.
"""

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from facesearch.serialization import responses
from facesearch.serialization.answers import COMPARISON, IDENTIFIED, IDENTIFIED_FACE, SEARCHED
from facesearch.serialization.enrollment import ENROLLED_PHOTO
from facesearch.serialization.gallery import GALLERY_INFO, SEARCH, Finding
from facesearch.serialization.people import (
    CHANGE,
    ENROLLED_FACE,
    PERSON,
    REJECTED,
    REJECTION,
    UNDONE,
    ChangedPerson,
)

Model = type[BaseModel]
Schema = dict[str, Any]

HEAD = """# JSON

With `--json` a command prints one object a line; a service at `http://HOST` answers with the same
objects, or with some that hold them. Photos are paths on the command line, and file names without
folders from a service. Fields may be added; those below stay. A field that can be null says so.

This page is made from the program (`python -m scripts.json_reference OUT`).
"""

COMMANDS: dict[str, Model] = {
    "enroll": ENROLLED_PHOTO.model,
    "identify": IDENTIFIED_FACE.model,
    "compare": COMPARISON.model,
    "people list": PERSON.model,
    "people show": ENROLLED_FACE.model,
    "people rename, merge, split, set, remove": ChangedPerson,
    "people reject": REJECTED.model,
    "people rejections": REJECTION.model,
    "undo --list": CHANGE.model,
    "undo": UNDONE.model,
    "review": Finding,
    "gallery info": GALLERY_INFO.model,
    "gallery audit": SEARCH.model,
}
REQUESTS: dict[str, Model] = {
    "POST /v1/identify": IDENTIFIED.model,
    "POST /v1/search": SEARCHED.model,
    "GET /v1/threshold": responses.SearchThreshold,
    "POST /v1/compare": responses.COMPARED.model,
    "GET /v1/people": responses.People,
    "GET /v1/people/NAME": responses.PersonShown,
    "POST /v1/people/NAME/faces": responses.Enrolled,
    "PATCH /v1/people/NAME": responses.Corrected,
    "DELETE /v1/people/NAME": responses.Removed,
    "POST /v1/people/NAME/merge, split": responses.Moved,
    "POST /v1/people/NAME/reject": REJECTED.model,
    "GET /v1/purge-targets, /v1/expired; POST /v1/purge-expired": responses.PurgeTargets,
    "GET /v1/review": responses.Reviewed,
    "GET /v1/rejections": responses.Rejections,
    "GET /v1/rejections/pairs": responses.RejectedPairs,
    "DELETE /v1/rejections/NUMBER": responses.Forgotten,
    "GET /v1/changes": responses.Changes,
    "POST /v1/undo": UNDONE.model,
    "GET /v1/audit": responses.Audit,
    "POST, GET, DELETE /v1/jobs/ID": responses.Job,
    "GET /v1/jobs": responses.Jobs,
    "GET /v1/gallery": GALLERY_INFO.model,
    "GET /v1/models": responses.Models,
    "GET /v1/models/current": responses.CurrentModel,
    "GET, POST, DELETE /v1/session": responses.Session,
    "GET /healthz, /readyz": responses.Health,
}


def page() -> str:
    models = list(dict.fromkeys([*COMMANDS.values(), *REQUESTS.values()]))
    by_model, whole = models_json_schema([(model, "serialization") for model in models])
    schemas: dict[str, Schema] = whole["$defs"]
    names = {model: _name(by_model[model, "serialization"]) for model in models}
    parts = [HEAD, "## What commands print\n", _index(COMMANDS, names, "facesearch ")]
    parts += ["## What the service answers\n", _index(REQUESTS, names, "")]
    parts.append("`GET /v1/openapi.json` describes the requests, too.\n\n## Objects\n")
    parts += [_section(name, schemas[name]) for name in sorted(schemas)]
    return "\n".join(parts).rstrip() + "\n"


def _name(reference: Schema) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _index(used: dict[str, Model], names: dict[Model, str], before: str) -> str:
    lines = ["| where | object |", "|---|---|"]
    lines += [f"| `{before}{where}` | {_link(names[model])} |" for where, model in used.items()]
    return "\n".join(lines) + "\n"


def _link(name: str) -> str:
    return f"[{name}](#{name.lower()})"


def _section(name: str, schema: Schema) -> str:
    lines = [f"### {name}\n", f"{schema['description']}\n", "| field | type | meaning |"]
    lines.append("|---|---|---|")
    for field, each in schema["properties"].items():
        lines.append(f"| `{field}` | {_type(each)} | {_cell(each.get('description', ''))} |")
    if "example" in schema:
        given = schema["example"]  # pydantic sorts its fields
        example = {key: given[key] for key in schema["properties"] if key in given}
        text = json.dumps(example, indent=2, ensure_ascii=False)
        lines += ["", *(f"    {line}" for line in text.splitlines())]
    return "\n".join(lines) + "\n"


def _type(schema: Schema) -> str:
    """A type in words."""
    if "$ref" in schema:
        return _link(_name(schema))
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return " or ".join(f"`{json.dumps(value)}`" for value in values)
    if schema["type"] == "array":
        return f"list of {_type(schema['items'])}"
    if schema["type"] == "object":
        return f"object of {_type(schema['additionalProperties'])}"
    return str(schema["type"])


def _cell(text: str) -> str:
    """A text that may stand in a table."""
    return text.replace("|", "\\|")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), "utf-8")
