"""Settings that cannot work are refused."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from facesearch.core.errors import DataError  # noqa: E402
from tests.support.small_training import SMALL  # noqa: E402


@pytest.mark.parametrize(
    "bad", [{"size": 50}, {"size": 16}, {"rate": 0.0}, {"rate": float("nan")}], ids=str
)
def test_impossible_settings_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(DataError):
        replace(SMALL, **bad)
