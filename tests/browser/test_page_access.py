"""The page for everybody: phones, keyboards, screen readers, colour schemes, tokens, slow lines."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.page_driver import SHOTS, Pictures
from tests.support.served import serving

Open = Callable[..., Any]
PHONE = {"width": 360, "height": 740}
VIEWS = ["identify", "people", "people/Ada", "review", "compare", "model"]
TOKEN = "a token that nobody can guess"


def show(page: Any, address: str, view: str, pictures: Pictures) -> None:
    """Open a view and wait for what it shows at its fullest."""
    page.goto(f"{address}/#/{view}")
    page.locator(f"#view-{'person' if '/' in view else view} h1").wait_for()
    inputs = page.locator("input[type=file]")
    if view == "identify":
        inputs.first.set_input_files(pictures.query("party.jpg"))
        page.locator(".face").first.wait_for()
    elif view == "compare":
        inputs.first.set_input_files(pictures.of("Eileen Collins")[0])
        inputs.nth(1).set_input_files(pictures.query("collins.jpg"))
        page.locator(".verdict").wait_for()
    elif view == "review":
        page.locator(".finding h2").wait_for()
    elif view == "people":
        page.get_by_text("Add a person").click()
    elif view == "model":
        page.locator(".chart svg[role=img]").first.wait_for()


def violations(page: Any, rule: str | None = None) -> list[Any]:
    """What axe-core finds, by one rule or by all."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not there")
    options = {"runOnly": [rule]} if rule else None
    return list(axe.Axe().run(page, options=options).response["violations"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_stands_in_the_way_of_a_screen_reader(
    served: str, opened: Open, pictures: Pictures, scheme: str
) -> None:
    page = opened(served, color_scheme=scheme, reduced_motion="reduce", bypass_csp=True)
    for view in VIEWS:
        show(page, served, view, pictures)
        assert violations(page, None if scheme == "light" else "color-contrast") == [], view


def test_a_dialog_is_as_accessible_as_the_page(served: str, opened: Open) -> None:
    page = opened(served, "#/people/Ada", bypass_csp=True)
    page.get_by_role("button", name="Merge …").click()
    page.locator("dialog").wait_for()
    assert violations(page) == []


def test_every_view_fits_a_phone(served: str, opened: Open, pictures: Pictures) -> None:
    page = opened(served, viewport=PHONE, has_touch=True, color_scheme="dark")
    for view in VIEWS:
        show(page, served, view, pictures)
        page.screenshot(path=SHOTS / f"phone-{view.replace('/', '-')}.png", full_page=True)
        width = page.evaluate("() => document.documentElement.scrollWidth")
        assert width == PHONE["width"], view
        small = page.locator("button:visible, nav a:visible").evaluate_all(
            "all => all.filter((one) => one.getBoundingClientRect().height < 24).length"
        )
        assert small == 0, view


def test_the_page_is_dark_where_that_is_wanted(served: str, opened: Open) -> None:
    def brightness(page: Any) -> float:
        colour = "() => getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
        return sum(page.evaluate(colour)[:3]) / 3

    assert brightness(opened(served, color_scheme="light")) > 200
    assert brightness(opened(served, color_scheme="dark")) < 60


def press_until(page: Any, selector: str, most: int = 60) -> None:
    """Go on with the Tab key until something has the focus."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.locator(f"{selector}:focus").count():
            return
    raise AssertionError(f"{selector} is not reached by keyboard")


def test_all_goes_by_keyboard(served: str, opened: Open) -> None:
    page = opened(served)
    press_until(page, ".skip")
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.activeElement.id") == "main"
    press_until(page, "input[type=file]")
    page.goto(f"{served}/#/identify")
    press_until(page, "nav a[href='#/people']")
    page.keyboard.press("Enter")
    page.locator("#view-people h1:focus").wait_for()
    press_until(page, ".grid a[href='#/people/Bo']")
    page.keyboard.press("Enter")
    page.locator("#view-person h1:focus").wait_for()
    press_until(page, "button:text('Remove …')")
    page.keyboard.press("Enter")
    page.locator("dialog").wait_for()
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="detached")
    page.locator("button:text('Remove …'):focus").wait_for()


def test_what_happens_is_told_to_a_screen_reader(
    served: str, opened: Open, pictures: Pictures
) -> None:
    page = opened(served)
    assert page.locator("nav a[aria-current=page]").inner_text() == "Identify"
    show(page, served, "identify", pictures)
    said = page.get_by_role("status").filter(has_text="Grace Hopper")
    said.wait_for(state="attached")
    assert said.inner_text() == (
        "party.jpg. 3 faces: 2 known, 1 unknown. Nobody enrolled, Grace Hopper, Eileen Collins"
    )
    page.get_by_role("link", name="Model").click()
    page.locator("#view-model h1:focus").wait_for()
    assert page.title() == "Model · facesearch"


def test_the_first_view_is_light(chromium: Any, served: str) -> None:
    context = chromium.new_context()
    page = context.new_page()
    weights: dict[str, int] = {}
    page.on("response", lambda answer: weights.update({answer.url: len(answer.body())}))
    page.goto(served)
    page.locator("h1").wait_for()
    context.close()
    assert {url for url in weights if not url.startswith(served)} == set()
    assert len(weights) > 5
    assert sum(weights.values()) < 200_000


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("guarded") / "gallery"
    with serving(folder, FACESEARCH_TOKEN=TOKEN) as address:
        yield address


def test_a_token_is_asked_for_and_kept_for_the_tab(guarded: str, opened: Open) -> None:
    page = opened(guarded)
    field = page.get_by_role("textbox", name="Token")
    field.fill("a wrong one, certainly")
    page.get_by_role("button", name="Use it").click()
    page.get_by_text("This token is not known here.").wait_for()
    field.fill(TOKEN)
    page.get_by_role("button", name="Use it").click()
    page.get_by_text("Nobody is enrolled yet").wait_for()
    page.reload()
    page.get_by_text("Nobody is enrolled yet").wait_for()
    assert page.locator("dialog").count() == 0
    assert page.evaluate("() => [...Object.values(sessionStorage)]") == [TOKEN]
    assert page.evaluate("() => localStorage.length") == 0


def test_without_a_token_the_view_says_so(guarded: str, opened: Open) -> None:
    page = opened(guarded, "#/people")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("Reload the page to enter one.").wait_for()
