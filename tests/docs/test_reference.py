"""The generated pages are what the program says."""

from pathlib import Path

from scripts import command_reference, json_reference

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
AGAIN = "run `python -m scripts.{0}_reference docs/reference/{1}`"


def test_the_page_of_commands_is_current() -> None:
    page = (REFERENCE / "commands.md").read_text("utf-8")
    assert page == command_reference.page(), AGAIN.format("command", "commands.md")


def test_the_page_of_json_is_current() -> None:
    page = (REFERENCE / "json.md").read_text("utf-8")
    assert page == json_reference.page(), AGAIN.format("json", "json.md")


def test_every_field_of_json_is_described() -> None:
    for line in json_reference.page().splitlines():
        if line.startswith("| `") and line.count(" | ") == 2:
            assert line.split(" | ")[2].strip(" |"), line
