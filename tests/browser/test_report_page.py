"""The study's page in a real browser: skipped where there is no selenium or no Chromium."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from synthetic_study import KINDS, synthetic_pictures, synthetic_results

from core_code.experiments.page import as_page

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

webdriver = pytest.importorskip("selenium.webdriver")
StaleElementReferenceException = pytest.importorskip("selenium.common.exceptions").StaleElementReferenceException
WebDriverWait = pytest.importorskip("selenium.webdriver.support.wait").WebDriverWait

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
           "--disable-component-update", "--disable-sync", "--no-first-run", "--window-size=1280,1000")  # fmt: skip

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no Chromium with its driver here")


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    plots = tmp_path_factory.mktemp("study")
    path = plots / "report.html"
    path.write_text(as_page({**synthetic_results(), "pictures": synthetic_pictures(plots)}, plots), encoding="utf-8")
    return path


@pytest.fixture(scope="module", params=[1280, 390])
def driver(request, file) -> Iterator["Chrome"]:
    """A browser with the page open, as wide as a desk's and as a phone's."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for option in (*OPTIONS, f"--user-data-dir={profile}"):
            options.add_argument(option)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
        metrics = {"width": request.param, "height": 844, "deviceScaleFactor": 1, "mobile": request.param < 800}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        open_page(browser, file.as_uri())
        yield browser
        assert browser.get_log("browser") == [], "errors in the browser's console"
        browser.quit()


def open_page(browser: "Chrome", address: str) -> None:
    """Open a page with pictures; again where a browser under load goes on showing the empty one it starts with."""

    def is_open(browser: "Chrome") -> bool:
        browser.get(address)
        return browser.current_url == address and bool(browser.execute_script("return document.images.length"))

    WebDriverWait(browser, 60).until(is_open)


def shown_splits(driver: "Chrome") -> set[str]:
    """The splits of which something is on the page."""
    parts = driver.find_elements("css selector", "[data-split]")
    return {part.get_attribute("data-split") for part in parts if part.is_displayed()}


def test_every_picture_is_drawn(driver):
    widths = driver.execute_script("return Array.from(document.images, (image) => image.naturalWidth)")
    assert widths[: len(KINDS)] == [900] * len(KINDS)
    text = driver.find_element("css selector", "#pictures").text
    assert "no such picture" in text


def test_the_page_is_no_wider_than_the_window_even_with_all_unfolded(driver):
    width = driver.execute_script("return window.innerWidth")
    measure = "return document.documentElement.scrollWidth"
    assert driver.execute_script(measure) <= width
    driver.execute_script("for (const part of document.querySelectorAll('details')) part.open = true")
    for button in driver.find_elements("css selector", "#results [data-choose]"):
        button.click()
        assert driver.execute_script(measure) <= width


def test_the_switch_shows_one_split_in_every_section(driver):
    for split in ("test", "test_not_in_training", "val"):
        driver.find_element("css selector", f"#emotions [data-choose={split}]").click()
        assert shown_splits(driver) == {split}
        pressed = driver.find_elements("css selector", "[aria-pressed=true]")
        assert [button.get_attribute("data-choose") for button in pressed] == [split, split]


def test_words_and_marks_of_the_chart_are_not_squeezed(driver):
    chart = driver.find_element("css selector", "[data-split=val] .chart")
    for line in chart.find_elements("css selector", ".line"):
        assert line.size["width"] > 200 and 20 <= line.size["height"] <= 80
    text = driver.find_element("css selector", "[data-split=val] .chart .name")
    assert float(text.value_of_css_property("font-size").removesuffix("px")) >= 14


def test_a_picture_opens_large_and_closes(driver):
    driver.execute_script("document.querySelector('figure img').scrollIntoView({block: 'center'})")
    driver.find_element("css selector", "figure img").click()
    dialog = driver.find_element("css selector", "dialog")
    assert dialog.is_displayed()
    dialog.click()
    assert not dialog.is_displayed()


def test_without_scripts_everything_is_there(driver, file):
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        driver.get(file.as_uri())
        # Under load the page may still be read, or the one before it be shown, when `get` comes back.
        wait = WebDriverWait(driver, 60, ignored_exceptions=[StaleElementReferenceException])
        wait.until(lambda driver: shown_splits(driver) == {"val", "test", "test_not_in_training"})
        assert not driver.find_element("css selector", ".switch").is_displayed()
    finally:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
        open_page(driver, file.as_uri())
