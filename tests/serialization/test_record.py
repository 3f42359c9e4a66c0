"""A record writes a dataclass as JSON, describes it, and reads it back."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import BaseModel, TypeAdapter

from facesearch.core.face import Box
from facesearch.serialization.record import Field, Record, name_of, path_of


@dataclass(frozen=True, slots=True)
class Print:
    """A print on a wall."""

    photo: Path
    box: Box
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Wall:
    """A wall.

    It is white.
    """

    title: str
    prints: list[Print]
    best: Print | None
    secret: bytes


PRINT = Record(Print, {"file": Field("The photo.", of="photo"), "box": "Where.", "scale": "How."})
WALL = Record(
    Wall,
    {
        "name": Field("Its title.", of="title"),
        "prints": "All.",
        "best": "The best.",
        "size": Field("How many.", type=int),
    },
    left_out={"secret": b"unknown"},
    example={"name": "a"},
)
HUNG = Print(Path("/house/hall/a.jpg"), Box(1.4, 2.6, 3.0, 4.0))
HALL = Wall("hall", [HUNG], None, b"x")
ROW = {"file": "/house/hall/a.jpg", "box": [1, 3, 3, 4], "scale": 1.0}


def test_a_row_has_the_fields_in_their_order() -> None:
    row = WALL.row(HALL, size=1)
    assert row == {"name": "hall", "prints": [ROW], "best": None, "size": 1}
    assert list(row) == ["name", "prints", "best", "size"]
    assert json.loads(json.dumps(row)) == row
    assert PRINT.row(HUNG, name_of)["file"] == "a.jpg"
    with pytest.raises(ValueError, match="size"):
        WALL.row(HALL)


def test_what_was_written_is_read_back() -> None:
    row = WALL.row(Wall("hall", [HUNG, HUNG], HUNG, b"x"), size=2)
    read = WALL.read(json.loads(json.dumps(row)))
    rounded = Print(HUNG.photo, Box(1, 3, 3, 4))
    assert read == Wall("hall", [rounded, rounded], rounded, b"unknown")
    assert WALL.read(row, secret=b"known", title="mine").secret == b"known"
    assert PRINT.read({"file": "a", "box": [1, 2, 3, 4]}).scale == 1.0, "an older program's"
    for wrong in ({}, {"file": "a", "box": [1, 2, 3]}, [], "text"):
        with pytest.raises(ValueError, match="Print"):
            PRINT.read(wrong)


def test_a_dataclass_is_its_json_object_for_pydantic() -> None:
    class House(BaseModel):
        walls: list[Annotated[Print, PRINT]]

    house = House(walls=[HUNG])
    assert house.walls[0] is HUNG
    assert json.loads(house.model_dump_json())["walls"] == [ROW | {"file": "a.jpg"}]
    assert House.model_validate_json(house.model_dump_json()).walls[0].photo == Path("a.jpg")
    beside = House(walls=[PRINT.written(HUNG)])
    assert beside.model_dump_json() == house.model_dump_json()
    schema = TypeAdapter(Annotated[Print, PRINT]).json_schema(mode="serialization")
    assert schema["description"] == "A print on a wall."
    assert schema["required"] == ["file", "box", "scale"]


def test_the_schema_says_what_each_field_means() -> None:
    schema = WALL.model.model_json_schema()
    assert (schema["title"], schema["description"]) == ("Wall", "A wall.")
    assert schema["example"] == {"name": "a"}
    assert schema["properties"]["name"] == {
        "description": "Its title.",
        "title": "Name",
        "type": "string",
    }


def test_an_attribute_cannot_be_forgotten() -> None:
    with pytest.raises(TypeError, match="Wall: not described: best, secret"):
        Record(Wall, {"title": "Its title.", "prints": "All."})


def test_photos_that_have_no_path_have_a_name() -> None:
    assert [path_of(each) for each in ("a/b", Path("/c"), b"bytes")] == ["a/b", "/c", "photo"]
    assert [name_of(each) for each in ("a/b", Path("/c"), b"bytes")] == ["b", "c", "photo"]
