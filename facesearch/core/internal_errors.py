"""The one line that reports an error of facesearch itself, without anybody's data."""

import traceback
from pathlib import Path


def line_of(error: BaseException) -> str:
    """The error's type and its place in the code.

    Its message is left out: it may hold what the user would not show to others.
    """
    home = Path(__file__).parent.parent
    place = "an unknown place"
    for frame in traceback.extract_tb(error.__traceback__):
        path = Path(frame.filename)
        if path.is_relative_to(home):
            module = ".".join([home.name, *path.relative_to(home).with_suffix("").parts])
            place = f"{module}:{frame.lineno}"
    kind = type(error).__name__
    return f"internal error: {kind} in {place}; run again with --debug for the trace"
