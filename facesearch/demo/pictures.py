"""The pictures of the tour: folders of people to enroll, and photos to ask about.

Everybody on them is invented and drawn here. To a network drawn people are much alike; these five
are so different that it takes none of them for another.
"""

from pathlib import Path

from PIL import Image, ImageEnhance

from facesearch.demo.drawn_people import portrait

ENROLLED = {"Ada": 37, "Bo": 4, "Cleo": 7, "Dan": 8}
STRANGER = 36
PHOTOS = 3  # of each person
LATER = 5  # the pose of a photo that is not enrolled
HEIGHT = 400  # of the group photo, in pixels


def make(out: Path) -> None:
    """Write out/people/<name>/*.jpg to enroll, and out/queries/*.jpg to ask about.

    known.jpg shows Ada, cleo.jpg Cleo, stranger.jpg nobody who is enrolled, and party.jpg Cleo, the
    stranger and Ada.
    """
    for name, person in ENROLLED.items():
        for pose in range(PHOTOS):
            save(portrait(person, pose), out / "people" / name / f"{pose}.jpg")
    ada, cleo = (snapshot(portrait(ENROLLED[name], LATER)) for name in ("Ada", "Cleo"))
    save(ada, out / "queries" / "known.jpg")
    save(cleo, out / "queries" / "cleo.jpg")
    save(portrait(STRANGER), out / "queries" / "stranger.jpg")
    party = side_by_side([cleo, portrait(STRANGER, 1), ada])
    save(party, out / "queries" / "party.jpg")


def snapshot(picture: Image.Image) -> Image.Image:
    """The same moment, taken by a worse camera: turned a little, darker and smaller."""
    turned = picture.convert("RGB").rotate(4, Image.Resampling.BICUBIC, fillcolor="grey")
    dark = ImageEnhance.Brightness(turned).enhance(0.85)
    return dark.resize((picture.width * 4 // 5, picture.height * 4 // 5))


def side_by_side(pictures: list[Image.Image]) -> Image.Image:
    """One picture of several, all of one height."""
    scaled = [p.resize((round(p.width * HEIGHT / p.height), HEIGHT)) for p in pictures]
    together = Image.new("RGB", (sum(p.width for p in scaled), HEIGHT))
    left = 0
    for picture in scaled:
        together.paste(picture, (left, 0))
        left += picture.width
    return together


def save(picture: Image.Image, path: Path) -> None:
    """Write a picture, and make the folder for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.convert("RGB").save(path, quality=92)
