"""Identify and compare on the page; what it does with photos."""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.support.page_driver import Pictures
from tests.support.served import serving

Open = Callable[..., Any]
EVIL = "<img src=x onerror=alert(1)><script>alert(2)</script>"


@pytest.fixture(scope="module")
def nobody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of an empty gallery."""
    with serving(tmp_path_factory.mktemp("nobody") / "gallery") as address:
        yield address


def choose(page: Any, *photos: str) -> None:
    page.locator("input[type=file]").first.set_input_files(photos)


def is_loaded(image: Any) -> bool:
    """Whether an image shows something, once it has had the time to."""
    handle = image.element_handle()
    image.page.wait_for_function("image => image.naturalWidth > 1", arg=handle)
    return bool(image.evaluate("image => image.naturalWidth > 1"))


def test_a_known_face_is_named_with_the_photo_that_says_so(
    served: str, opened: Open, pictures: Pictures
) -> None:
    page = opened(served)
    choose(page, pictures.query("known.jpg"))
    face = page.locator(".face")
    face.wait_for()
    assert face.get_attribute("data-answer") == "match"
    assert face.locator("h3").inner_text() == "Grace Hopper"
    assert face.locator(".badge").inner_text().split() == ["✓", "Match"]
    facts = face.locator("dd").all_inner_texts()
    assert float(facts[0]) < float(facts[1])
    assert facts[2] == "over 99.9 %"
    assert is_loaded(face.get_by_alt_text("Enrolled photo of Grace Hopper"))


def test_every_face_of_a_photo_has_its_own_answer(
    served: str, opened: Open, pictures: Pictures
) -> None:
    page = opened(served)
    choose(page, pictures.query("party.jpg"))
    page.locator(".face").first.wait_for()
    names = page.locator(".face h3").all_inner_texts()
    assert names == ["Nobody enrolled", "Grace Hopper", "Eileen Collins"]
    assert page.locator(".summary").inner_text() == "3 faces: 2 known, 1 unknown."
    page.locator("#said").filter(has_text="2 known").wait_for(state="attached")
    canvas = page.locator("canvas.photo")
    with Image.open(pictures.query("party.jpg")) as photo:
        ratio = photo.width / photo.height
    assert canvas.evaluate("canvas => canvas.width / canvas.height") == pytest.approx(ratio, 0.01)
    page.get_by_text("The nearest 5 people").first.click()
    assert page.locator(".candidates li").first.locator("a").inner_text() == "Bo"


def test_a_photo_on_its_side_is_shown_upright(
    served: str, opened: Open, pictures: Pictures, tmp_path: Path
) -> None:
    with Image.open(pictures.query("known.jpg")) as file:
        photo = file.convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    photo.rotate(90, expand=True).save(tmp_path / "side.jpg", exif=exif, quality=95)
    page = opened(served)
    choose(page, str(tmp_path / "side.jpg"))
    page.locator(".face").wait_for()
    assert page.locator(".face h3").inner_text() == "Grace Hopper"
    size = page.locator("canvas.photo").evaluate("canvas => [canvas.width, canvas.height]")
    assert size == list(photo.size)
    corner = "canvas => [...canvas.getContext('2d').getImageData(4, 4, 1, 1).data]"
    shown = page.locator("canvas.photo").evaluate(corner)[:3]
    assert shown == pytest.approx(photo.getpixel((4, 4)), abs=24)


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_photos_are_dropped_and_pasted(
    served: str, opened: Open, pictures: Pictures, way: str
) -> None:
    page = opened(served)
    content = base64.b64encode(Path(pictures.query("known.jpg")).read_bytes()).decode()
    page.evaluate(
        """([content, way]) => {
            const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
            const data = new DataTransfer();
            data.items.add(new File([bytes], "given.jpg", { type: "image/jpeg" }));
            const about = { bubbles: true, cancelable: true };
            if (way === "paste") document.dispatchEvent(
                new ClipboardEvent("paste", { ...about, clipboardData: data }));
            else document.querySelector(".drop").dispatchEvent(
                new DragEvent("drop", { ...about, dataTransfer: data }));
        }""",
        [content, way],
    )
    page.locator(".face").wait_for()
    assert page.locator(".result h2").inner_text() == "given.jpg"
    assert page.locator(".face h3").inner_text() == "Grace Hopper"


def test_the_camera_is_asked_frame_by_frame(served: str, opened: Open) -> None:
    page = opened(served)
    asked = []
    page.on("request", lambda request: asked.append(1) if "identify" in request.url else None)
    answered = []
    page.on("requestfinished", lambda one: answered.append(1) if "identify" in one.url else None)
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_text("1 face: 1 known.", exact=True).wait_for()
    assert len(asked) - len(answered) <= 1
    page.locator("#said").filter(has_text="Grace Hopper").wait_for(state="attached")
    drawn = "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)"
    assert page.locator(".live canvas").evaluate(f"{drawn}.data.some((value) => value > 0)")
    page.get_by_role("button", name="Keep this picture").click()
    page.locator(".face").wait_for()
    assert page.locator(".face h3").inner_text() == "Grace Hopper"
    page.get_by_role("button", name="Stop the camera").click()
    assert page.locator("video").count() == 0
    assert page.evaluate("document.activeElement.textContent") == "Use the camera"


def test_what_is_no_photo_is_told_in_words(served: str, opened: Open, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("a letter, no photo")
    page = opened(served)
    choose(page, str(tmp_path / "text.jpg"))
    alert = page.locator(".result .trouble")
    alert.wait_for()
    assert "This is not a photo" in alert.inner_text()
    assert "text.jpg: not an image that can be read" in alert.inner_text()
    assert str(tmp_path) not in page.content()


def test_a_photo_without_a_face_says_so(served: str, opened: Open, no_face: Path) -> None:
    page = opened(served)
    choose(page, str(no_face))
    page.locator(".result .beside").wait_for()
    assert page.locator(".summary").inner_text() == "No face was found in this photo."


def test_a_server_that_is_gone_is_told_in_words(
    served: str, opened: Open, pictures: Pictures
) -> None:
    page = opened(served, "#/compare")
    page.context.set_offline(True)
    page.locator("input[type=file]").first.set_input_files(pictures.query("known.jpg"))
    page.locator("input[type=file]").nth(1).set_input_files(pictures.query("collins.jpg"))
    page.get_by_text("The server does not answer").wait_for()
    assert "Is facesearch serve still running?" in page.locator("main").inner_text()


def test_an_empty_gallery_says_what_to_do(nobody: str, opened: Open, pictures: Pictures) -> None:
    page = opened(nobody)
    assert "Nobody is enrolled yet" in page.locator(".note").inner_text()
    choose(page, pictures.query("known.jpg"))
    page.locator(".result .trouble").wait_for()
    assert "nobody is enrolled yet" in page.locator(".result .trouble").inner_text().lower()
    page.get_by_role("link", name="add the first person").click()
    page.get_by_role("heading", name="People").wait_for()
    assert page.get_by_label("Name").is_visible()


def test_file_names_are_text(served: str, opened: Open, pictures: Pictures, tmp_path: Path) -> None:
    evil = tmp_path / f"{EVIL.replace('/', '')}.jpg"
    evil.write_bytes(Path(pictures.query("known.jpg")).read_bytes())
    page = opened(served)
    choose(page, str(evil))
    page.locator(".face").wait_for()
    assert page.locator(".result h2").inner_text() == evil.name
    assert page.locator("main script, main img[src=x]").count() == 0


def test_two_photos_of_one_person_are_the_same(
    served: str, opened: Open, pictures: Pictures
) -> None:
    page = opened(served, "#/compare")
    page.locator("input[type=file]").first.set_input_files(pictures.of("Eileen Collins")[0])
    page.locator("input[type=file]").nth(1).set_input_files(pictures.query("collins.jpg"))
    verdict = page.locator(".verdict")
    verdict.wait_for()
    assert verdict.locator("h2").inner_text() == "= The same person"
    assert "at most 1 in 1,000 pairs of different people" in verdict.inner_text()
    for side in ("first", "second"):
        assert is_loaded(page.get_by_alt_text(f"Aligned face of the {side} photo"))
    chart = page.locator(".chart svg[role=img]")
    distance = verdict.locator("dd").first.inner_text()
    assert f"Farther apart than {distance} lie" in chart.get_attribute("aria-label")
    page.get_by_text("As a table").click()
    assert page.locator("table tbody tr").count() > 10


def test_two_people_are_different(served: str, opened: Open, pictures: Pictures) -> None:
    page = opened(served, "#/compare")
    page.locator("input[type=file]").first.set_input_files(pictures.query("known.jpg"))
    page.locator("input[type=file]").nth(1).set_input_files(pictures.query("collins.jpg"))
    page.locator(".verdict").wait_for()
    assert page.locator(".verdict h2").inner_text() == "≠ Two different people"


def test_nothing_can_be_told_without_a_face(
    served: str, opened: Open, pictures: Pictures, no_face: Path
) -> None:
    page = opened(served, "#/compare")
    page.locator("input[type=file]").first.set_input_files(pictures.query("known.jpg"))
    page.locator("input[type=file]").nth(1).set_input_files(str(no_face))
    page.locator(".verdict").wait_for()
    assert page.locator(".verdict h2").inner_text() == "⊘ Cannot be told"
    assert page.locator(".chart").count() == 0
