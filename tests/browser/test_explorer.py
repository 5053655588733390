"""The explorer's page in a real browser: skipped where there is no selenium or no Chromium."""

import shutil
import tempfile
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

import numpy as np
import pytest
import torch

from core_code.core_utils.emotions import EMOTIONS
from core_code.datasets.sample import sample_split
from EmotionGAN.editor import Editor
from EmotionGAN.explore.faces import one_of_each_first
from EmotionGAN.explore.server import Explorer, ExplorerServer

if TYPE_CHECKING:
    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

webdriver = pytest.importorskip("selenium.webdriver")
StaleElementReferenceException = pytest.importorskip("selenium.common.exceptions").StaleElementReferenceException
WebDriverWait = pytest.importorskip("selenium.webdriver.support.ui").WebDriverWait
ActionChains, Keys = webdriver.ActionChains, webdriver.Keys

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
           "--disable-component-update", "--disable-sync", "--no-first-run", "--window-size=1280,1000")  # fmt: skip
PATIENCE_S = 20

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no Chromium with its driver here")


def by_mouth(batch: torch.Tensor) -> torch.Tensor:
    """Probabilities by the brightness about the mouth."""
    mouth = batch[:, 30:44, 14:34].float().mean(dim=(1, 2))
    return ((mouth[:, None] - 110) / 40 * torch.arange(7)).softmax(1)


@pytest.fixture(scope="module")
def explorer() -> Explorer:
    """The shipped generator, sample faces, and a classifier that reads the brightness about the mouth."""
    faces, labels = sample_split("val")
    rows = one_of_each_first(labels.tolist())

    titles = [EMOTIONS[labels[row]] for row in rows]
    return Explorer(
        Editor.load(None, torch.device("cpu")), torch.from_numpy(faces[rows]), titles, by_mouth, "brightness"
    )


@pytest.fixture(scope="module")
def address(explorer) -> Iterator[str]:
    with ExplorerServer(explorer, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.url
        server.shutdown()


@pytest.fixture(scope="module")
def driver() -> Iterator["Chrome"]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for option in (*OPTIONS, f"--user-data-dir={profile}"):
            options.add_argument(option)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
        yield browser
        browser.quit()


class Page:
    """The page as somebody sees it."""

    def __init__(self, driver: "Chrome", address: str) -> None:
        self.driver = driver
        driver.get("about:blank")  # or a slow browser may still show the page before this one
        WebDriverWait(driver, PATIENCE_S).until(lambda driver: not driver.find_elements("id", "body"))
        driver.get(address)
        self.wait_for("face=0")

    def one(self, name: str) -> "WebElement":
        return self.driver.find_element("id", name)

    def all(self, where: str) -> "list[WebElement]":
        return self.driver.find_elements("css selector", where)

    def wait_for(self, *parts: str) -> None:
        """Wait until all of the newest point is shown, whose query has these parts."""

        def there(_: object) -> bool:
            x, y = (float(self.one(axis).get_attribute("value")) for axis in "xy")
            shown = dict(parse_qsl(self.one("body").get_attribute("data-shown") or ""))
            near = shown and abs(float(shown["x"]) - x) < 0.01 and abs(float(shown["y"]) - y) < 0.01
            return bool(near) and all(part in urlencode(shown) for part in parts)

        waiting = WebDriverWait(self.driver, PATIENCE_S, ignored_exceptions=[StaleElementReferenceException])
        waiting.until(there)

    def point(self) -> tuple[float, float]:
        """Where the point is drawn, in the units of the space."""
        point = self.one("point")
        return float(point.get_attribute("cx")), -float(point.get_attribute("cy"))

    def pixels(self, name: str) -> np.ndarray:
        """What an image shows, as the browser has decoded it: uint8 [H,W]."""
        script = """
            const image = document.getElementById(arguments[0]);
            const canvas = document.createElement("canvas");
            [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
            const context = canvas.getContext("2d");
            context.drawImage(image, 0, 0);
            const {data, width} = context.getImageData(0, 0, canvas.width, canvas.height);
            return [width, Array.from(data).filter((_, i) => i % 4 === 0)];
        """
        width, values = self.driver.execute_script(script, name)
        return np.array(values, dtype=np.uint8).reshape(-1, width)

    def shares(self, bars: str) -> list[int]:
        """The percentages written beside a list of bars."""
        script = "return Array.from(document.querySelectorAll(arguments[0]), (part) => parseInt(part.textContent))"
        return self.driver.execute_script(script, f"#{bars} .percent")


@pytest.fixture
def page(driver, address) -> Iterator[Page]:
    yield Page(driver, address)
    assert driver.get_log("browser") == [], "errors in the browser's console"


def test_another_face_is_chosen_and_the_point_dragged(page, explorer):
    before = page.pixels("edited")
    page.all("#strip button")[3].click()
    page.wait_for("face=3")
    assert page.one("title").text == "Happy"
    np.testing.assert_array_equal(page.pixels("original"), explorer.faces[3].numpy())
    chosen = page.pixels("edited")
    assert (chosen != before).mean() > 0.5

    start = page.point()
    side = page.one("space").size["width"]
    drag = ActionChains(page.driver).move_to_element(page.one("point")).click_and_hold()
    for _ in range(6):
        drag.move_by_offset(round(side / 16), -round(side / 24))
    drag.release().perform()
    x, y = page.point()
    assert x == pytest.approx(start[0] + 6 / 16 * 2.08, abs=0.05)
    assert y == pytest.approx(start[1] + 6 / 24 * 2.08, abs=0.05)
    page.wait_for("face=3", f"x={x:g}&y={y:g}")
    dragged = page.pixels("edited")
    assert (dragged != chosen).mean() > 0.3
    expected = explorer.editor.edit(explorer.faces[3:4], torch.tensor([[x, y]]))[0]
    np.testing.assert_array_equal(dragged, expected.numpy())
    assert [page.one(f"{axis}-value").text for axis in "xy"] == [f"{x:.2f}", f"{y:.2f}"]

    ActionChains(page.driver).move_to_element_with_offset(page.one("space"), -20, 30).perform()
    assert page.point() == (x, y), "the point was let go"


def test_the_arrow_keys_move_the_point_without_a_mouse(page):
    x, y = page.point()
    keys = ActionChains(page.driver).send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_UP)
    keys.key_down(Keys.SHIFT).send_keys(Keys.ARROW_LEFT).key_up(Keys.SHIFT).perform()
    assert page.point() == pytest.approx((x + 0.04 - 0.1, y + 0.02), abs=2e-3)
    ActionChains(page.driver).key_down(Keys.SHIFT).send_keys(Keys.ARROW_DOWN * 15).key_up(Keys.SHIFT).perform()
    assert page.point()[1] == -1, "it stays in the square"
    page.wait_for("y=-1")


def test_the_seven_centres_are_a_click_away_and_the_bars_follow(page, explorer):
    buttons = page.all("#centres button")
    assert [button.text for button in buttons] == list(EMOTIONS)
    predictions = set()
    for emotion, button in enumerate(buttons):
        button.click()
        page.wait_for("face=0")
        assert page.point() == pytest.approx(explorer.editor.space.centres[emotion].tolist(), abs=1e-3)
        mixture = page.shares("mixture")
        assert np.argmax(mixture) == emotion and 97 <= sum(mixture) <= 103
        edit = explorer.editor.edit(explorer.faces[:1], torch.tensor([page.point()]))
        expected = (100 * explorer.predict(edit)[0]).tolist()
        assert page.shares("prediction") == pytest.approx(expected, abs=0.51)
        predictions.add(tuple(page.shares("prediction")))
    assert len(predictions) > 1
    assert "brightness" in page.one("classifier").text


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_window(driver, address, width):
    metrics = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 800}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        page = Page(driver, address)
        assert driver.execute_script("return document.documentElement.scrollWidth") <= width
        box = page.one("space").rect
        assert box["width"] == pytest.approx(box["height"]) and box["width"] > 300
        assert page.one("edited").rect["width"] > 150
    finally:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_page_says_when_the_command_has_ended(driver):
    faces = torch.zeros(1, 48, 48, dtype=torch.uint8)
    alone = Explorer(Editor.load(None, torch.device("cpu")), faces, ["grey"], by_mouth, "brightness")
    with ExplorerServer(alone, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = Page(driver, server.url)
        assert not page.one("problem").is_displayed() and not page.one("strip").is_displayed()
        server.explorer.answer = lambda target: 1 / 0
        page.all("#centres button")[0].click()
        WebDriverWait(driver, PATIENCE_S).until(lambda _: page.one("problem").is_displayed())
        assert "Is the command still running?" in page.one("problem").text
        server.shutdown()
    driver.get_log("browser")
