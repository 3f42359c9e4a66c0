"""Copies of a picture: saved again, smaller, cropped, in another format."""

from pathlib import Path

from PIL import Image


def changed(picture: Image.Image, how: str, to: Path) -> Path:
    width, height = picture.size
    if how == "smaller":
        picture = picture.resize((round(0.6 * width), round(0.6 * height)))
    if how == "cropped":
        edges = 0.05 * width, 0.04 * height, 0.97 * width, 0.95 * height
        picture = picture.crop(tuple(round(edge) for edge in edges))
    path = to.with_suffix({"webp": ".webp", "png": ".png"}.get(how, ".jpg"))
    options = {} if how == "png" else {"quality": 50 if how == "worse" else 85}
    picture.save(path, **options)
    return path
