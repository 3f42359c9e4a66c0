"""identify: answers, tables, pictures."""

import shutil
from pathlib import Path

from PIL import Image

from tests.support.commands import (
    CALIBRATION,
    GALLERY,
    PHOTO,
    Run,
    one_line_error,
)


def test_the_tour(
    run: Run, hopper: Path, collins: Path, query: Path, group_photo: Path, tmp_path: Path
) -> None:
    enrolled = run("enroll", "--name", "Grace Hopper", hopper, "--json")
    assert enrolled.code == 0
    assert enrolled.lines == [
        {
            "photo": str(hopper),
            "name": "Grace Hopper",
            "status": "enrolled",
            "reason": "",
            "faces": 1,
            "held": False,
            "distance": None,
            "nearest": None,
            "other": None,
            "error": False,
        }
    ]
    assert "1 enrolled" in enrolled.err

    picture = tmp_path / "out.png"
    named = run("identify", query, "--json", "--annotate", picture)
    assert named.code == 0
    (answer,) = named.lines
    assert list(answer)[:10] == [
        "photo",
        "face",
        "box",
        "answer",
        "name",
        "distance",
        "threshold",
        "probability",
        "reason",
        "candidates",
    ]
    assert (answer["answer"], answer["name"], answer["face"]) == ("match", "Grace Hopper", 0)
    assert 0 <= answer["distance"] <= answer["threshold"] <= 2
    assert answer["probability"] > 0.9
    assert answer["candidates"][0] == {
        "name": "Grace Hopper",
        "distance": answer["distance"],
        "photo": str(hopper),
        "face": 1,
    }
    drawn, plain = Image.open(picture).convert("RGB"), Image.open(query).convert("RGB")
    assert drawn.size == plain.size
    left, top, _, _ = answer["box"]
    assert drawn.getpixel((left, top)) == (0x1A, 0x98, 0x50), "a green frame"

    stranger = run("identify", collins, "--json")
    assert stranger.code == 1
    assert [line["answer"] for line in stranger.lines] == ["unknown"]
    assert stranger.lines[0]["name"] is None
    several = run("identify", group_photo, query, "--json")
    assert several.code == 0
    assert [line["answer"] for line in several.lines] == ["unknown"] * 3 + ["match"]
    table = run("identify", query)
    assert "Grace Hopper" in table.out
    assert "match" in table.out


def test_annotating_several_photos(run: Run, hopper: Path, collins: Path, tmp_path: Path) -> None:
    run("enroll", "--name", "Grace", hopper)
    twin = tmp_path / "deep"
    twin.mkdir()
    shutil.copy(hopper, twin)
    out = tmp_path / "annotated"
    run("identify", hopper, collins, twin, "--annotate", out)
    assert sorted(path.name for path in out.iterdir()) == [
        "collins.jpg",
        "grace_hopper-2.jpg",
        "grace_hopper.jpg",
    ]
    bad = run("identify", hopper, "--annotate", tmp_path / "no" / "such" / "out.jpg")
    one_line_error(bad, PHOTO, "cannot be written")


def test_errors_that_a_user_accepts(run: Run, people: Path, hopper: Path) -> None:
    """A larger error gives a larger threshold; one that nobody can promise is refused."""
    assert run("enroll", "--tree", people).code == 0
    limits = [
        run("identify", hopper, "--fpir", rate, "--json").lines[0]["threshold"]
        for rate in ("0.01", "0.1", "0.5")
    ]
    assert limits == sorted(limits)
    assert len(set(limits)) == 3
    refused = run("identify", hopper, "--fpir", "0.00001")
    one_line_error(refused, CALIBRATION, "1e-05", "support 0.0", "calibrate with more people")


def test_the_prior_moves_the_probability_and_nothing_else(run: Run, hopper: Path) -> None:
    assert run("enroll", "--name", "Grace", hopper).code == 0
    for command in (("identify", hopper), ("compare", hopper, hopper)):
        rare, even = (
            run(*command, "--prior", prior, "--json").lines[0] for prior in ("0.000001", "0.5")
        )
        assert rare.pop("probability") < even.pop("probability")
        assert rare == even
    assert run("compare", hopper, hopper, "--prior", "1").code == 2


def test_the_detector_is_chosen_and_part_of_the_gallery(
    run: Run, hopper: Path, query: Path, tmp_path: Path
) -> None:
    upside_down = tmp_path / "upside down é.png"
    Image.open(hopper).convert("RGB").rotate(180).save(upside_down)
    assert run("enroll", "--name", "Grace", hopper).code == 0
    named = run("identify", upside_down, "--json")
    assert named.code == 0, named
    assert named.lines[0]["name"] == "Grace"
    one_line_error(run("identify", query, "--detector", "dlib"), GALLERY, "--detector dlib")
    other = "--gallery", tmp_path / "by dlib"
    assert run("enroll", "--detector", "dlib", "--name", "Grace", hopper, *other).code == 0
    assert run("identify", query, "--detector=dlib", *other).code == 0
    missed = run("identify", upside_down, "--detector", "dlib", "--json", *other)
    assert (missed.code, missed.lines[0]["answer"]) == (1, "unusable")
    assert run("calibrate", tmp_path, "--detector", "dlib").code == 2


def test_small_faces_are_a_matter_of_detail(run: Run, hopper: Path, tmp_path: Path) -> None:
    """A face of some 25 pixels beside one of 130, in a photo four times as wide as is looked at."""
    wide = Image.new("RGB", (2560, 700), (90, 110, 90))
    portrait = Image.open(hopper).convert("RGB")
    wide.paste(portrait.resize((384, 450)), (100, 100))
    wide.paste(portrait.resize((80, 94)), (1900, 300))
    wide.save(tmp_path / "wide.png")
    assert run("enroll", "--name", "Grace", hopper).code == 0

    def widths(*options: str) -> list[float]:
        found = run("identify", tmp_path / "wide.png", "--json", *options).lines
        return [line["box"][2] - line["box"][0] for line in found if line["box"]]

    assert len(widths()) == 1
    (large, small) = widths("--detail", "2560")
    assert large > 100 > 40 > small
    assert widths("--detail", "2560", "--min-face", "60") == [large]
