"""People and review on the page: what is done to them, and taken back."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageEnhance

from facesearch.gallery.gallery import Gallery
from facesearch.vision.embedder import Embedder
from tests.support.page_driver import SHOTS, Pictures, told
from tests.support.served import serving

Open = Callable[..., Any]
EVIL = "<img src=x onerror=alert(1)><script>alert(2)</script>"


@pytest.fixture(scope="module")
def changed(enrolled: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of the demo's people, which the tests change and put back."""
    copy = tmp_path_factory.mktemp("changed") / "gallery"
    shutil.copytree(enrolled, copy)
    with serving(copy) as address:
        yield address


def names(address: str) -> list[str]:
    return [person["name"] for person in told(address, "/v1/people")["people"]]


def faces(address: str, name: str) -> int:
    (person,) = [each for each in told(address, "/v1/people")["people"] if each["name"] == name]
    return int(person["faces"])


def undo(page: Any) -> None:
    page.locator(".notice").get_by_role("button", name="Undo").click()
    page.get_by_text("Undone:").wait_for()


def answer(page: Any, text: str, action: str) -> None:
    """Fill in a dialog and go on."""
    page.locator("dialog input").fill(text)
    page.locator("dialog").get_by_role("button", name=action).click()
    page.locator("dialog").wait_for(state="detached")


def test_people_are_found_by_a_part_of_their_name(changed: str, opened: Open) -> None:
    page = opened(changed, "#/people")
    assert page.locator(".grid strong").all_inner_texts() == names(changed)
    page.get_by_label("Search").fill("COLL")
    page.get_by_text("1 of 5 people").wait_for()
    assert page.locator(".grid strong").all_inner_texts() == ["Eileen Collins"]
    page.get_by_role("link", name="Eileen Collins").click()
    page.get_by_role("heading", name="Eileen Collins", exact=True).wait_for()
    assert page.locator(".faces-of li").count() == 1


def test_a_merge_is_done_and_undone(changed: str, opened: Open) -> None:
    page = opened(changed, "#/people/Ada")
    page.get_by_role("button", name="Merge …").click()
    answer(page, "Bo", "Merge")
    page.get_by_text("Bo is merged into Ada.").wait_for()
    page.get_by_text("6 faces on 6 photos").wait_for()
    assert "Bo" not in names(changed)
    undo(page)
    page.get_by_text("3 faces on 3 photos").wait_for()
    assert faces(changed, "Bo") == 3


def test_a_name_is_completed_as_it_is_typed(changed: str, opened: Open) -> None:
    page = opened(changed, "#/people/Ada")
    page.get_by_role("button", name="Merge …").click()
    page.locator("dialog input").press_sequentially("ho")
    page.locator("dialog option[value^=Grace]:only-child").wait_for(state="attached")
    assert page.locator("dialog option").get_attribute("value") == "Grace Hopper"


def test_a_merge_with_nobody_says_why_not(changed: str, opened: Open) -> None:
    page = opened(changed, "#/people/Ada")
    page.get_by_role("button", name="Merge …").click()
    answer(page, "Nobody", "Merge")
    page.locator("main .trouble").wait_for()
    assert "nobody of this name is enrolled" in page.locator("main .trouble").inner_text().lower()


def test_a_name_is_changed_and_changed_back(changed: str, opened: Open) -> None:
    page = opened(changed, "#/people/Cleo")
    page.get_by_role("button", name="Rename …").click()
    answer(page, "Cleopatra", "Rename")
    page.get_by_role("heading", name="Cleopatra", exact=True).wait_for()
    assert "Cleopatra" in names(changed)
    undo(page)
    page.get_by_role("heading", name="Cleo", exact=True).wait_for()
    assert "Cleo" in names(changed)


def test_chosen_faces_become_somebody_elses(changed: str, opened: Open) -> None:
    page = opened(changed, "#/people/Ada")
    split = page.get_by_role("button", name="Split chosen …")
    assert split.is_disabled()
    for number in (1, 2, 3):
        page.get_by_label(f"Choose face {number}").check()
    assert split.is_disabled()  # somebody must stay
    page.get_by_label("Choose face 1").uncheck()
    split.click()
    answer(page, "Adele", "Split")
    page.get_by_text("1 face on 1 photo").wait_for()
    assert faces(changed, "Adele") == 2
    undo(page)
    page.get_by_text("3 faces on 3 photos").wait_for()
    assert "Adele" not in names(changed)


def test_the_four_answers_look_different_without_colours(
    changed: str, opened: Open, pictures: Pictures, tmp_path: Path
) -> None:
    from facesearch.demo.drawn_people import portrait

    photos = [pictures.query("party.jpg")]  # two are known, one is not
    drawn = [portrait(0, 4, 60), *(portrait(0, pose) for pose in (4, 7, 8, 11))]
    for number, picture in enumerate(drawn):  # too small, then as near to one as to the other
        photos.append(str(tmp_path / f"{number}.jpg"))
        picture.save(photos[-1], quality=95)
    page = opened(changed, "#/people/Ada")
    page.get_by_label("Choose face 2").check()
    page.get_by_role("button", name="Split chosen …").click()
    answer(page, "Adele", "Split")
    page.get_by_text("2 faces on 2 photos").wait_for()
    page.goto(f"{changed}/#/identify")
    page.locator("#view-identify input[type=file]").set_input_files(photos)
    looks = {}
    for kind in ("match", "unknown", "ambiguous", "unusable"):
        face = page.locator(f".face.{kind}").first
        face.wait_for()
        border = face.evaluate("face => getComputedStyle(face).borderLeftStyle")
        looks[kind] = (*face.locator(".badge").inner_text().split(), border)
    assert looks == {
        "match": ("✓", "Match", "solid"),
        "unknown": ("?", "Unknown", "dashed"),
        "ambiguous": ("≈", "Ambiguous", "double"),
        "unusable": ("⊘", "Unusable", "dotted"),
    }
    assert page.locator(".face.ambiguous h3").first.inner_text() in ("Ada or Adele", "Adele or Ada")
    assert "Face too small" in page.locator(".face.unusable").inner_text()
    page.screenshot(path=SHOTS / "four-answers.png", full_page=True)
    undo(page)


def test_a_face_is_rejected_and_taken_back(changed: str, opened: Open) -> None:
    page = opened(changed, "#/people/Bo")
    page.get_by_role("button", name="Not them: face 2").click()
    page.get_by_role("button", name="It is not").click()
    page.get_by_text("2 faces on 2 photos").wait_for()
    assert faces(changed, "Bo") == 2
    undo(page)
    page.get_by_text("3 faces on 3 photos").wait_for()


def test_somebody_is_removed_only_if_it_is_confirmed(changed: str, opened: Open) -> None:
    page = opened(changed, "#/people/Bo")
    page.get_by_role("button", name="Remove …").click()
    page.get_by_role("button", name="Cancel").click()
    page.locator("dialog").wait_for(state="detached")
    assert "Bo" in names(changed)
    page.get_by_role("button", name="Remove …").click()
    page.get_by_role("button", name="Remove", exact=True).click()
    page.get_by_role("heading", name="People").wait_for()
    assert "Bo" not in names(changed)
    page.get_by_text("What was changed").click()
    page.get_by_role("button", name="Undo: Bo was removed").click()
    page.get_by_text("Undone: Bo was removed.").wait_for()
    assert "Bo" in names(changed)


def test_an_unknown_face_of_a_photo_is_enrolled(
    changed: str, opened: Open, pictures: Pictures
) -> None:
    page = opened(changed)
    page.locator("input[type=file]").first.set_input_files(pictures.query("party.jpg"))
    page.locator(".face.unknown").wait_for()
    page.get_by_label("Who is it?").fill("Stranger")
    page.get_by_role("button", name="Enrol").click()
    page.get_by_role("heading", name="Stranger").wait_for()
    assert page.locator(".summary").inner_text() == "3 faces: 3 known."
    assert faces(changed, "Stranger") == 1
    page.get_by_role("button", name="Not Stranger").click()
    page.get_by_role("button", name="It is not").click()
    page.get_by_text("3 faces: 2 known, 1 unknown.", exact=True).wait_for()
    undo(page)
    page.get_by_text("3 faces: 3 known.", exact=True).wait_for()
    page.goto(f"{changed}/#/people/Stranger")
    page.get_by_role("button", name="Remove …").click()
    page.get_by_role("button", name="Remove", exact=True).click()
    page.get_by_text("Stranger is removed.").wait_for()


def test_somebody_new_is_enrolled_and_what_is_left_out_is_told(
    changed: str, opened: Open, pictures: Pictures, tmp_path: Path
) -> None:
    (tmp_path / "note.jpg").write_text("no photo")
    page = opened(changed, "#/people")
    page.get_by_text("Add a person").click()
    page.get_by_label("Name").fill("Dot")
    photos = page.locator(".add input[type=file]")
    photos.set_input_files([pictures.query("stranger.jpg"), str(tmp_path / "note.jpg")])
    page.get_by_text("Dot: 1 photo enrolled, 1 left out.").wait_for()
    assert faces(changed, "Dot") == 1
    page.get_by_text("Left out: 1 photo", exact=True).wait_for()
    assert "note.jpg" in page.locator("main .trouble").inner_text()
    page.goto(f"{changed}/#/people/Dot")
    page.get_by_role("button", name="Remove …").click()
    page.get_by_role("button", name="Remove", exact=True).click()
    page.get_by_text("Dot is removed.").wait_for()


def test_names_are_text(changed: str, opened: Open) -> None:
    page = opened(changed, "#/people/Cleo")
    page.get_by_role("button", name="Rename …").click()
    answer(page, EVIL, "Rename")
    page.get_by_role("heading", name=EVIL, exact=True).wait_for()
    assert EVIL in names(changed)
    for view in ("people", "review"):
        page.goto(f"{changed}/#/{view}")
        page.get_by_text(EVIL).first.wait_for()
        assert page.locator("script:not([src]), img[src=x]").count() == 0
    page.goto(f"{changed}/#/people")
    page.get_by_role("link", name=EVIL).click()
    page.get_by_role("button", name="Rename …").click()
    answer(page, "Cleo", "Rename")
    page.get_by_role("heading", name="Cleo", exact=True).wait_for()


@pytest.fixture
def mixed_up(
    pictures: Pictures,
    embedder: Embedder,
    enrolled: Path,
    collins: Path,
    tmp_path: Path,
) -> Iterator[str]:
    """A server of a gallery in which a photo of Eileen Collins is enrolled as Grace Hopper's.

    And Grace Hopper under another name, too.
    """
    folder = tmp_path / "mixed"
    shutil.copytree(enrolled, folder)
    wrong, right = tmp_path / "wrong.png", tmp_path / "right.png"
    with Image.open(pictures.query("collins.jpg")) as photo:
        photo.save(wrong)
    with Image.open(pictures.query("known.jpg")) as photo:
        photo.save(right)
        ImageEnhance.Brightness(photo.convert("RGB")).enhance(1.1).save(
            again := tmp_path / "again.png"
        )
    with Gallery(folder) as gallery:
        photos = [("Grace Hopper", right), ("Grace Hopper", wrong)]
        results = gallery.enroll_each(photos, include_doubtful=True)
        assert [result.status for result in results] == ["enrolled", "enrolled"]
        twice = gallery.enroll_each([("Gracie", again)], include_doubtful=True)
        assert [result.status for result in twice] == ["enrolled"]
    with serving(folder) as address:
        yield address


def test_the_review_is_decided_by_keyboard(mixed_up: str, opened: Open) -> None:
    page = opened(mixed_up, "#/review")
    page.get_by_role("heading", name="Whose face is this?").wait_for()
    assert page.locator(".side a").all_inner_texts() == ["Grace Hopper", "Eileen Collins"]
    page.locator(".finding").focus()
    page.keyboard.press("ArrowRight")
    page.get_by_text("The face is Eileen Collins's now.").wait_for()
    assert faces(mixed_up, "Eileen Collins") == 2
    page.keyboard.press("ArrowUp")
    page.get_by_role("heading", name="Whose face is this?").wait_for()
    undo(page)
    assert faces(mixed_up, "Eileen Collins") == 1
    page.goto(f"{mixed_up}/#/people")
    page.goto(f"{mixed_up}/#/review")
    page.get_by_role("heading", name="Whose face is this?").wait_for()
    page.locator(".finding").focus()
    page.keyboard.press("ArrowLeft")
    page.get_by_text("The face stays Grace Hopper's.").wait_for()
    for _ in told(mixed_up, "/v1/review")["findings"]:
        if "Are these one person?" in page.locator(".finding").inner_text():
            break
        page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowLeft")
    page.get_by_text("stay two people.").wait_for()
    pairs = [
        row for row in told(mixed_up, "/v1/review")["findings"] if row["kind"] == "same-person"
    ]
    assert not pairs
