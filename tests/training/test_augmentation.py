"""Chips are changed, but stay faces: upright enough, in place, in range, and repeatable."""

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from facesearch.training.augmentation import augmented  # noqa: E402

SIZE, EDGE = 48, 64


def marked(count: int) -> "torch.Tensor":
    """Grey chips with a white square at the middle of the left half."""
    chips = torch.full((count, EDGE, EDGE, 3), 60, dtype=torch.uint8)
    chips[:, 28:36, 16:24] = 255
    return chips


def test_chips_come_out_in_size_and_range_and_repeat_with_the_generator() -> None:
    chips = marked(32)
    first = augmented(chips, SIZE, torch.Generator().manual_seed(3))
    assert first.shape == (32, 3, SIZE, SIZE)
    assert first.dtype == torch.float32
    assert torch.equal(first, augmented(chips, SIZE, torch.Generator().manual_seed(3)))
    assert not torch.equal(first, augmented(chips, SIZE, torch.Generator().manual_seed(4)))
    assert first.median() > -1
    assert first.median() < 0.5


def test_what_was_on_the_left_is_left_or_mirrored_and_near_its_place() -> None:
    views = augmented(marked(400), SIZE, torch.Generator().manual_seed(0)).mean(1)
    # the brightest column and row; noise patches blind some, so medians speak
    brightest = views.flatten(1).argmax(1)
    x, y = (brightest % SIZE).float(), (brightest // SIZE).float()
    left, right = x[x < SIZE / 2], x[x >= SIZE / 2]
    assert 0.35 < len(left) / len(x) < 0.65
    assert abs(float(left.median()) - (20 - 8)) < 3  # the margin is cut off
    assert abs(float(right.median()) - (SIZE - 1 - 12)) < 3
    assert abs(float(y.median()) - (SIZE - 1) / 2) < 3


def test_some_chips_lose_their_colour_and_some_a_part() -> None:
    chips = torch.zeros((300, EDGE, EDGE, 3), dtype=torch.uint8)
    chips[..., 0] = 200
    views = augmented(chips, SIZE, torch.Generator().manual_seed(0))
    corner = views[:, :, :2, :2].flatten(2).mean(2)
    grey = ((corner.max(1).values - corner.min(1).values) < 0.02).float().mean()
    assert 0.1 < float(grey) < 0.3
    patched = (views.flatten(2).std(2).max(1).values > 0.2).float().mean()
    assert 0.3 < float(patched) < 0.7
