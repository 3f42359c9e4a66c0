"""Random changes to training chips: what cameras, light, distance and hands do to a face."""

from PIL import Image
from torch import Tensor, nn, rand, randint
from torchvision.transforms import v2


class LowResolution(nn.Module):
    """Shrink to `smallest` pixels or more and enlarge again, with probability `p`."""

    def __init__(self, smallest: int, p: float) -> None:
        super().__init__()
        self.smallest = smallest
        self.p = p

    def forward(self, chip: Image.Image) -> Image.Image:
        if rand(()) >= self.p:
            return chip
        side = int(randint(self.smallest, chip.width, ()))
        small = chip.resize((side, side), Image.Resampling.BOX)
        return small.resize(chip.size, Image.Resampling.BILINEAR)


def augmentation(size: int) -> v2.Transform:
    """PIL chips with a margin to (3, size, size) tensors with values in [-1, 1]."""
    return v2.Compose(
        [
            v2.RandomHorizontalFlip(),
            v2.RandomAffine(
                degrees=12,
                translate=(0.05, 0.05),
                scale=(0.85, 1.15),
                interpolation=v2.InterpolationMode.BILINEAR,
            ),
            v2.CenterCrop(size),
            v2.ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4),
            v2.RandomGrayscale(0.2),
            LowResolution(size // 4, 0.2),
            *_to_tensor(),
            v2.RandomErasing(0.5, scale=(0.02, 0.3), value="random"),
        ]
    )


def _to_tensor() -> list[nn.Module]:
    return [v2.PILToTensor(), v2.Lambda(_scaled)]


def _scaled(chip: Tensor) -> Tensor:
    return (chip.float() - 127.5) / 127.5
