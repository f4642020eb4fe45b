"""The playground in headless Chromium, used as a person would use it.

Selenium blocks, so what it does runs in a thread (``driven``) beside the server's event loop. A
browser on a busy machine may see nothing for seconds: what is so for a moment only is looked at
while the server's time stands (``held``), or noted by the page itself (``Page.note``).
"""

import asyncio
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from anyio.from_thread import run_sync as in_loop
from anyio.to_thread import run_sync
from tests.backends import SteadyLoop

from frontrunner.runtime.engines import ScriptedEngine
from frontrunner.runtime.engines.protocol import Generation

webdriver = pytest.importorskip("selenium.webdriver")

from selenium.common.exceptions import ElementClickInterceptedException  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.remote.webelement import WebElement  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

T = TypeVar("T")

_SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def chromium(profile: Path) -> Iterator[Any]:
    """A browser with a fresh profile; skips the test where there is none."""
    binary, driver_path = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver_path is None:
        pytest.skip("needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for switch in (*_SWITCHES, f"--user-data-dir={profile}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(driver_path))
    try:
        yield driver
    finally:
        driver.quit()


def axe() -> str:
    """The script that looks for what keeps people from using a page; skips the test where it is
    not installed (``.ci/install dev`` does)."""
    folders = [
        *filter(None, os.environ.get("NODE_PATH", "").split(os.pathsep)),
        Path(sys.prefix, "node", "node_modules"),
    ]
    for folder in folders:
        script = Path(folder, "axe-core", "axe.min.js")
        if script.exists():
            return script.read_text(encoding="utf-8")
    pytest.skip("needs axe-core: run .ci/install dev")


class Page:
    """The page, by what is on it."""

    def __init__(self, driver: Any, url: str) -> None:
        self.driver = driver
        self.url = url

    def open(self, *, width: int = 1280, height: int = 900, **media: str) -> "Page":
        """Load it, in a window of this size, for a person with these preferences."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = [{"name": k.replace("_", "-"), "value": v} for k, v in media.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        self.driver.get_log("browser")  # what others left there
        self.driver.get(self.url)
        self.wait(lambda: self.find("html[data-ready]"))
        return self

    # ── what is there ─────────────────────────────────────────────────────────────────────────

    def wait(self, condition: Callable[[], T], seconds: float = 90) -> T:
        """What ``condition`` gives, as soon as that is true."""
        return WebDriverWait(self.driver, seconds, 0.05).until(lambda _: condition())

    def find(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def at(self, element_id: str) -> WebElement:
        return self.driver.find_element(By.ID, element_id)

    def click(self, element_id: str) -> None:
        """Click it as soon as it can be."""
        self.click_on(self.at(element_id))

    def click_on(self, element: WebElement) -> None:
        """Click it as soon as it can be: while a race runs, what is above it may grow, and the
        pointer then meets something else where it was."""

        def clicked() -> bool:
            try:
                element.click()
            except ElementClickInterceptedException:
                return False
            return True

        self.wait(clicked)

    def text(self, element_id: str) -> str:
        return self.js("return document.getElementById(arguments[0]).textContent", element_id)

    def texts(self, selector: str) -> list[str]:
        """The texts of all such elements, read at one moment."""
        return self.js(
            "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)", selector
        )

    def note(self, element_id: str) -> None:
        """From now on note all that it says."""
        self.js(
            """
            const element = document.getElementById(arguments[0]);
            const said = [];
            (window.noted ??= {})[arguments[0]] = said;
            const note = () => said.push(element.textContent);
            const all = {childList: true, characterData: true, subtree: true};
            new MutationObserver(note).observe(element, all);
            """,
            element_id,
        )

    def noted(self, element_id: str) -> list[str]:
        """What it has said since."""
        return self.js("return window.noted[arguments[0]]", element_id)

    def statuses(self) -> list[str]:
        """Of the lanes, in words."""
        return self.texts(".lane .fate")

    def shown(self, element_id: str) -> bool:
        return self.at(element_id).is_displayed()

    def js(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def complaints(self) -> list[str]:
        """What the browser's console says is wrong."""
        return [
            entry["message"]
            for entry in self.driver.get_log("browser")
            if entry["level"] in ("SEVERE", "WARNING")
        ]

    def serious(self, axe_source: str) -> list[str]:
        """What axe finds on it of serious and critical impact, as ``rule: element``."""
        self.js(axe_source)
        found = self.driver.execute_async_script(
            """
            const told = arguments[arguments.length - 1];
            axe.run(document, {resultTypes: ["violations"]}).then(
              ({violations}) => told(violations
                .filter(({impact}) => impact === "serious" || impact === "critical")
                .flatMap(({id, nodes}) => nodes.map((n) => `${id}: ${n.html.slice(0, 200)}`))),
              (error) => told([String(error)]));
            """
        )
        return list(found)

    # ── what a person does ────────────────────────────────────────────────────────────────────

    def fill(self, element_id: str, text: str) -> None:
        field = self.at(element_id)
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(text)

    def ask(self, question: str | None = None, *, deadline: float, branches: int = 4) -> None:
        """Fill the form and press the button."""
        if question is not None:
            self.fill("question", question)
        self.fill("deadline", str(deadline))
        self.fill("branches", str(branches))
        self.click("start")

    def press(self, *keys: str, holding: str | None = None) -> None:
        """Press keys wherever the focus is."""
        chain = ActionChains(self.driver)
        if holding is not None:
            chain.key_down(holding)
        chain.send_keys(*keys)
        if holding is not None:
            chain.key_up(holding)
        chain.perform()

    def open_first_lane(self) -> None:
        """Show all of the text of the branch whose lane is the first: by what matters, so that it
        may be any branch."""
        self.click_on(self.find(".row")[0])
        self.wait(lambda: self.find(".lane[data-open]"))

    def focused(self) -> WebElement:
        return self.driver.switch_to.active_element

    def tab_to(self, element_id: str, most: int = 60) -> None:
        """Press Tab until that element has the focus, which must be seen at every stop."""
        for _ in range(most):
            if self.focused().get_attribute("id") == element_id:
                return
            self.press(Keys.TAB)
            assert self.focused().value_of_css_property("outline-style") != "none"
        raise AssertionError(f"Tab does not lead to {element_id}")

    # ── what follows ──────────────────────────────────────────────────────────────────────────

    def wait_until_over(self) -> None:
        self.wait(lambda: self.shown("replay"))

    def sideways(self) -> int:
        """Pixels by which the page is wider than its window."""
        return self.js("return document.documentElement.scrollWidth - innerWidth")


def held(engine: ScriptedEngine, seconds: float) -> Callable[[], None]:
    """Let time stop so many seconds after the engine's next request begins: the race is then as it
    is at that moment, for as long as a test looks at it.

    Returns:
        What lets time go on, for ``driven``'s thread. It goes on by itself as that ends.
    """
    loop = _steady_loop()

    def chosen(_: Generation) -> None:
        engine.script.chooser = None
        loop.hold_at(loop.time() + seconds)

    engine.script.chooser = chosen
    return lambda: in_loop(loop.release)


async def driven(steps: Callable[[], T]) -> T:
    """Do ``steps`` in a thread."""
    try:
        return await run_sync(steps)
    finally:
        if isinstance(loop := asyncio.get_running_loop(), SteadyLoop):
            loop.release()


def _steady_loop() -> SteadyLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SteadyLoop)
    return loop
