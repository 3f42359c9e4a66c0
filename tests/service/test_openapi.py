"""The description of the interface is whole, and invented requests find no fault."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from facesearch.serialization import answers, enrollment, responses
from facesearch.serialization import people as people_records
from facesearch.serialization.record import Record
from facesearch.service import schemas
from tests.support.serving import Running, photos, running

EXAMPLES = 4  # invented requests of an operation


@pytest.fixture(scope="module")
def service(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("openapi") / "gallery") as found:
        sent = photos(people / "person-00" / "pose-0.jpg")
        found.post("/v1/people/Ada/faces", files=sent)
        yield found


def test_everything_is_described(service: Running) -> None:
    schema = service.get("/v1/openapi.json")
    assert "{name:path}" not in str(schema)
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            assert operation["description"], where
            problem = operation["responses"]["default"]["content"]
            assert list(problem) == ["application/problem+json"], where
            good = [code for code in operation["responses"] if code != "default"]
            assert good in (["200"], ["202"]), where
    examples = [name for name, each in schema["components"]["schemas"].items() if "example" in each]
    assert len(examples) > 12
    for name in ("Identified", "Compared", "Searched", "Enrolled", "ListedPerson", "Problem"):
        assert name in examples


def test_examples_are_of_their_shape() -> None:
    checked = 0
    modules = (schemas, answers, enrollment, people_records, responses)
    for each in [each for module in modules for each in vars(module).values()]:
        model = each.model if isinstance(each, Record) else each
        if isinstance(model, type) and issubclass(model, BaseModel):
            extra: Any = model.model_config.get("json_schema_extra")
            if extra:
                model.model_validate(extra["example"])
                checked += 1
    assert checked > 20


@pytest.mark.slow
def test_invented_requests(service: Running) -> None:
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis.checks import CHECKS, load_all_checks

    load_all_checks()
    wanted = CHECKS.get_by_names(
        ["not_a_server_error", "status_code_conformance", "content_type_conformance"]
        + ["response_schema_conformance"]
    )
    schema = schemathesis.openapi.from_url(f"{service.url}/v1/openapi.json")
    asked = 0
    operations = [result.ok() for result in schema.get_all_operations()]
    operations = [each for each in operations if not each.path.endswith("/events")]  # goes on
    for operation in operations:

        @given(case=operation.as_strategy())
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def ask(case: Any) -> None:
            nonlocal asked
            asked += 1
            case.call_and_validate(checks=wanted)

        ask()
    assert asked >= len(operations) > 25
