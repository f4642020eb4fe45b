"""The playground's example on the real engine, in a browser."""

from pathlib import Path

from aiohttp.test_utils import TestServer
from tests.runtime.serving.playground_page import Page, chromium, driven

from frontrunner.runtime.runtime import Runtime
from frontrunner.runtime.serving import create_app

# In the page itself: a race of the demo is over in half a second, and a driver on a busy machine
# is slower than that.
CANCEL_AS_SOON_AS_IT_RUNS = """
const cancel = document.getElementById("cancel");
const watch = new MutationObserver(() => {
  const fates = [...document.querySelectorAll(".lane .fate")].map(e => e.textContent);
  if (cancel.checkVisibility() && fates.includes("running")) {
    watch.disconnect();
    cancel.click();
  }
});
const all = {subtree: true, childList: true, characterData: true, attributes: true};
watch.observe(document.body, all);
"""


async def test_the_example_is_raced_and_another_race_cancelled(
    runtime: Runtime, tmp_path: Path
) -> None:
    server = TestServer(create_app(runtime))
    await server.start_server()

    def steps() -> None:
        with chromium(tmp_path) as driver:
            page = Page(driver, str(server.make_url("/"))).open()
            page.ask(deadline=400, branches=16)
            page.wait(lambda: "running" in page.statuses())
            page.wait(lambda: any(page.texts(".lane .tail")))
            page.wait(lambda: page.shown("replay"), seconds=300)
            assert page.text("standing-title") == "The answer"
            assert page.text("standing-answer").isdigit()
            assert len(page.statuses()) == 16
            assert page.text("standing-answer") in page.texts(".bar[data-leads] .name")
            page.js(CANCEL_AS_SOON_AS_IT_RUNS)
            page.click("start")
            page.wait(lambda: page.text("standing-title") == "Cancelled")
            assert page.complaints() == []

    try:
        await driven(steps)
    finally:
        await server.close()
    assert runtime.load().running == 0
