"""The generated pages are what the program says."""

from pathlib import Path

from scripts import command_reference

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "commands.md"
AGAIN = "run `python -m scripts.command_reference docs/reference/commands.md`"


def test_the_page_of_commands_is_current() -> None:
    assert PAGE.read_text("utf-8") == command_reference.page(), AGAIN
