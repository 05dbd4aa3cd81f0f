"""The catalogue in a real browser, opened as files: search by keyboard, lineage, contrast, and an attack that fails."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from atlas_pipeline.catalog.site.building import build_site
from atlas_pipeline_tests.catalog.site.sites import many, site_of
from atlas_pipeline_tests.catalog.site.test_pages import hostile, measured, orders
from atlas_pipeline_tests.deployment.gateway import CHROMIUM

pytestmark = pytest.mark.slow

CONTRAST = """() => {
    const linear = (part) => { const c = part / 255; return c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4 };
    const light = ([r, g, b]) => .2126 * linear(r) + .7152 * linear(g) + .0722 * linear(b);
    const parts = (colour) => { const found = colour.match(/[\\d.]+/g).map(Number); return [...found, 1].slice(0, 4) };
    const behind = (element) => {
        for (let one = element; one; one = one.parentElement) {
            const colour = parts(getComputedStyle(one).backgroundColor);
            if (colour[3] === 1) return colour;
        }
        return [255, 255, 255, 1];
    };
    const poor = [];
    for (const element of document.querySelectorAll("body *")) {
        const text = [...element.childNodes].find((node) => node.nodeType === 3 && node.textContent.trim());
        if (!text || element.closest("svg, script, dialog:not([open])") || !element.getClientRects().length) continue;
        const both = [light(parts(getComputedStyle(element).color)), light(behind(element))].sort((a, b) => b - a);
        if ((both[0] + .05) / (both[1] + .05) < 4.5) poor.push(`${element.className}: ${text.textContent.trim()}`);
    }
    return poor;
}"""
"""Text with less than the contrast that WCAG 2.2 asks for (1.4.3, level AA)."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield one
        one.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tables = orders() | many(6)
    return build_site(site_of(tables, measured()), tmp_path_factory.mktemp("catalogue") / "site").folder


def opened(browser: Browser, path: Path, **options: Any) -> tuple[Page, list[str]]:
    """A page, and what it complains of or asks of a network."""
    page = browser.new_context(**options).new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith("file:") else said.append(request.url))
    page.goto(path.as_uri())
    return page, said


def test_search_by_the_keyboard(browser: Browser, folder: Path) -> None:
    page, said = opened(browser, folder / "index.html")
    page.keyboard.press("/")
    page.keyboard.type("person")
    hit = page.get_by_role("option").filter(has_text="silver.orders")
    hit.wait_for()
    page.keyboard.press("Enter")
    page.wait_for_url("**/silver.orders.html#c-text")
    page.keyboard.press("Control+k")
    page.keyboard.type("gold totals")
    page.get_by_role("option").first.wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_url("**/gold.totals.html")
    assert said == []


def test_escape_closes_the_search_and_a_slash_can_be_typed(browser: Browser, folder: Path) -> None:
    page, _ = opened(browser, folder / "index.html")
    page.keyboard.press("/")
    page.get_by_role("combobox").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("combobox").wait_for(state="hidden")
    field = page.get_by_role("searchbox", name="Filter tables")
    field.focus()
    page.keyboard.type("a/b")
    assert field.input_value() == "a/b"


def test_the_list_is_filtered(browser: Browser, folder: Path) -> None:
    page, _ = opened(browser, folder / "index.html")
    page.get_by_role("searchbox", name="Filter tables").fill("totals")
    assert page.locator("tbody tr:visible").count() == 1
    page.get_by_role("button", name="silver").click()
    assert page.locator("tbody tr:visible").count() == 0


def test_a_column_lights_up_what_it_is_made_from(browser: Browser, folder: Path) -> None:
    page, _ = opened(browser, folder / "gold.totals.html")
    page.locator('[data-column="gold.totals:word"]').focus()
    lit = page.locator(".edges path.on")
    assert lit.count() == 1
    assert lit.get_attribute("data-from") == "silver.orders:text"
    page.keyboard.press("Enter")
    page.wait_for_url("**/gold.totals.html#c-word")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["index", "silver.orders", "gold.totals", "lineage", "personal-data"])
def test_all_text_can_be_read(browser: Browser, folder: Path, name: str, scheme: str) -> None:
    page, said = opened(browser, folder / f"{name}.html", color_scheme=scheme)
    assert page.evaluate(CONTRAST) == []
    assert said == []


def test_the_button_turns_light_to_dark(browser: Browser, folder: Path) -> None:
    page, _ = opened(browser, folder / "index.html", color_scheme="light")
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Light or dark").click()
    after = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert before != after
    page.get_by_role("link", name="Lineage").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == after, "other pages too"


@pytest.mark.parametrize("name", ["index", "silver.orders", "lineage"])
def test_a_phone_scrolls_in_one_direction(browser: Browser, folder: Path, name: str) -> None:
    page, _ = opened(browser, folder / f"{name}.html", viewport={"width": 375, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 375


def test_without_scripts_all_is_there_but_search(browser: Browser, folder: Path) -> None:
    page, _ = opened(browser, folder / "silver.orders.html", java_script_enabled=False)
    assert page.get_by_role("heading", name="Columns").first.is_visible()
    assert not page.locator(".find").is_visible()


def test_an_attack_from_a_declaration_runs_nothing(browser: Browser, tmp_path: Path) -> None:
    attacked = build_site(hostile(), tmp_path / "site").folder
    for path in sorted(attacked.glob("*.html")):
        page, said = opened(browser, path)
        dialogs: list[str] = []
        page.on("dialog", lambda dialog, dialogs=dialogs: dialogs.append(dialog.message))
        page.keyboard.press("/")
        page.keyboard.type("onerror")
        page.get_by_role("option").first.wait_for()
        assert (dialogs, said) == ([], []), path.name


def test_a_script_that_got_into_a_page_would_not_run(browser: Browser, folder: Path, tmp_path: Path) -> None:
    """The policy of the page, should quoting ever fail."""
    text = (folder / "index.html").read_text()
    path = tmp_path / "index.html"
    path.write_text(
        text.replace("<h1>", "<script>document.title = 'taken'</script><img src=x onerror='document.title=1'><h1>")
    )
    page, said = opened(browser, path)
    assert page.title() == "Tables · Catalogue"
    assert any("Content Security Policy" in line for line in said)
