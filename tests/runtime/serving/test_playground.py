"""The page at ``/``, in a browser where there is one, and what it is made of."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import run_sync as in_loop
from tests.backends import until
from tests.runtime.events.recorded_races import STREAMS
from tests.runtime.race_harness import Rewards

from frontrunner.runtime.engines import BranchScript, Piece
from frontrunner.runtime.serving.playground.form_schema import lacking
from frontrunner.runtime.serving.responses.websocket import SOCKETS
from frontrunner.strategies.registry import parameter_names, strategy_names

from .conftest import ENDLESS, FORCED, Serve, Served
from .playground_page import Keys, Page, axe, chromium, driven, held
from .test_thinking import CHANNELS, ON_CHANNELS, TAGS
from .test_thinking import WRITTEN as THOUGHT_AND_SAID

pytestmark = pytest.mark.slow  # it drives a browser

#: Slow enough to be replayed.
STEADY = BranchScript.answering("42", seconds=2.5, tokens=250)
#: Seconds of a race that is to be ended by a person, however long that takes.
LONG = 400
STUCK = BranchScript((Piece(0.01, "Well, "),), stall=True)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("chromium")) as driver:
        yield driver


def page_of(browser: Any, served: Served) -> Page:
    return Page(browser, f"http://127.0.0.1:{served.port}/")


# ── in a browser ──────────────────────────────────────────────────────────────────────────────


async def test_ask_and_watch(serve: Serve, browser: Any) -> None:
    async with serve(STEADY) as served:
        page = page_of(browser, served)
        go_on = held(served.engine, 1.0)

        def steps() -> None:
            page.open()
            page.ask("What is 6 times 7?", deadline=LONG)
            page.wait(lambda: page.statuses() == ["running"] * 4)
            page.wait(lambda: all("step" in words for words in page.texts(".lane .tail")))
            page.wait(lambda: f"left of {LONG} s" in page.text("time-unit"))
            go_on()
            page.wait_until_over()
            assert page.text("standing-title") == "The answer"
            assert page.text("standing-answer") == "42"
            assert "finished" in page.statuses()
            assert page.texts(".bar .name") == ["42"]
            facts = dict(zip(page.texts("#facts dt"), page.texts("#facts dd"), strict=True))
            assert facts["Stop reason"] in ("lead out of reach", "clear front-runner")
            assert page.text("time-unit").endswith(" before the deadline")
            assert "generated" in facts["Tokens"]
            assert page.text("announcement").startswith("Decided after")
            assert not page.shown("problem")
            assert page.complaints() == []

        await driven(steps)
        (request, *_) = served.engine.requests
        assert tuple(request.prompt) == served.engine.encode("What is 6 times 7?")


async def test_the_example_is_ready_to_run(serve: Serve, browser: Any) -> None:
    async with serve() as served:
        page = page_of(browser, served)

        def steps() -> None:
            page.open().click("start")
            page.wait_until_over()
            assert len(page.statuses()) == served.runtime.settings.race.branches

        await driven(steps)


def agrees_with_its_lane(page: Page) -> None:
    """What is said of the branch that is furthest is what its lane says, at any moment."""
    title, numbers, tokens = page.js("""
      const texts = (s) => [...document.querySelectorAll(s)].map((e) => e.textContent);
      return [texts("#lead-title")[0], texts(".lane .number"), texts(".lane .tokens")];
    """)
    found = re.fullmatch(r"Branch (\d+) (is|got) furthest \((.+) tokens\)", title)
    if found is None:
        assert "writes" in title
        return
    counts = dict(zip(numbers, tokens, strict=True))
    assert counts[found[1]] == found[3]
    assert found[3] == max(tokens, key=lambda said: int(said.replace(",", "")))


async def test_cancel(serve: Serve, browser: Any) -> None:
    async with serve(ENDLESS) as served:
        page = page_of(browser, served)

        def steps() -> None:
            page.open().ask(deadline=LONG)
            page.wait(lambda: page.statuses() == ["running"] * 4)
            assert page.text("standing-answer") == "No votes yet"
            agrees_with_its_lane(page)
            page.click("cancel")
            page.wait_until_over()
            page.wait(lambda: page.text("standing-title") == "Cancelled")
            assert page.statuses() == ["cut"] * 4
            agrees_with_its_lane(page)
            assert page.text("label-decided") == f"cancelled {page.text('moment-said')}"
            assert page.complaints() == []

        await driven(steps)
        await served.idle()


async def test_the_race_of_a_page_that_is_left_is_cancelled(serve: Serve, browser: Any) -> None:
    async with serve(ENDLESS) as served:
        page = page_of(browser, served)

        def steps() -> None:
            page.open().ask(deadline=LONG)
            page.wait(lambda: page.statuses() == ["running"] * 4)
            page.driver.get("about:blank")

        await driven(steps)
        await until(lambda: served.engine.load().running == 0, turns=10_000)


async def test_by_keyboard_alone(serve: Serve, browser: Any) -> None:
    async with serve(ENDLESS) as served:
        page = page_of(browser, served)

        def steps() -> None:
            page.open()
            page.tab_to("question")
            page.press("a", holding=Keys.CONTROL)
            page.press("How many?")
            page.tab_to("deadline")
            page.press(str(LONG))
            page.tab_to("branches")
            page.press("3")
            page.press(Keys.ENTER, holding=Keys.CONTROL)
            page.wait(lambda: page.statuses() == ["running"] * 3)
            page.tab_to("cancel")
            page.press(Keys.ESCAPE)
            page.wait_until_over()
            page.wait(lambda: page.text("standing-title") == "Cancelled")
            assert page.focused().get_attribute("id") == "start"
            page.tab_to("moment")
            page.press(Keys.TAB)
            assert page.focused().get_attribute("aria-expanded") == "false"
            page.press(Keys.ENTER)
            page.wait(lambda: page.focused().get_attribute("aria-expanded") == "true")
            # Whichever branch got furthest is the first.
            assert page.texts(".lane[data-open] pre")[0].startswith("and then 0 and then 1 ")
            assert page.complaints() == []

        await driven(steps)


async def test_forced_answers_and_the_call_time(serve: Serve, browser: Any) -> None:
    async with serve(STUCK, forced=[FORCED]) as served:
        page = page_of(browser, served)

        def steps() -> None:
            page.open().ask(deadline=1.5)
            page.wait_until_over()
            assert page.statuses() == ["forced"] * 4
            assert all(said.strip().endswith(" 7") for said in page.texts(".lane .said"))
            assert page.texts(".bar .count") == ["4 forced"]
            assert page.text("label-call").startswith("call time")
            assert page.at("mark-call").is_displayed()

        await driven(steps)


async def test_a_deadline_without_an_answer(serve: Serve, browser: Any) -> None:
    silent = BranchScript((Piece(0.0, "hm "),), stall=True)
    async with serve(ENDLESS, forced=[silent]) as served:
        page = page_of(browser, served)

        def steps() -> None:
            page.open().ask(deadline=1.5, branches=2)
            page.wait_until_over()
            assert page.text("standing-title") == "No answer by the deadline"
            assert page.text("standing-why").startswith("Time was up. This is as far as")
            assert page.text("label-decided").startswith("ended ")
            assert page.text("copy-answer") == "Copy text"
            assert page.text("announcement").startswith("Ended after ")
            assert page.texts(".bar") == []

        await driven(steps)


async def test_a_branch_that_is_made_to_go_on(serve: Serve, browser: Any) -> None:
    pieces = (Piece(0.2, "so 𝟮"), Piece(0.2, "</think>"), Piece(0.2, "\\boxed{42}"))
    race = {"strategy": "budget_forcing", "parameters": {"min_tokens": 9}}
    async with serve(BranchScript(pieces), settings={"race": race}) as served:
        page = page_of(browser, served)

        def steps() -> None:
            page.open().ask(deadline=20, branches=1)
            page.wait_until_over()
            page.open_first_lane()
            assert page.texts(".lane[data-open] pre") == ["so 𝟮Waitso 𝟮</think>\\boxed{42}"]
            assert "made to go on once" in page.texts(".lane[data-open] .about")[0]
            assert page.complaints() == []

        await driven(steps)


async def test_what_the_model_says_stays_text(serve: Serve, browser: Any) -> None:
    said = "<img src=x onerror=alert(1)><script>document.title='taken'</script>"
    hostile = BranchScript.answering(said, seconds=0.2)
    async with serve(hostile) as served:
        page = page_of(browser, served)

        def steps() -> None:
            page.open().ask(deadline=10)
            page.wait_until_over()
            assert any(said in words for words in page.texts(".lane .tail"))
            assert page.find("#race img, #race script") == []
            assert page.driver.title == "Frontrunner"

        await driven(steps)


async def test_replay(serve: Serve, browser: Any) -> None:
    async with serve(STEADY) as served:
        page = page_of(browser, served)

        def steps() -> None:
            page.open().ask(deadline=20)
            page.wait_until_over()
            decided = page.statuses()
            texts = page.texts(".lane .tail")
            moment = page.at("moment")
            moment.send_keys(Keys.HOME)
            page.wait(lambda: page.text("standing-title") == "In front")
            moment.send_keys(*[Keys.ARROW_RIGHT] * 30)
            page.wait(lambda: page.statuses() == ["running"] * 4)
            assert page.texts(".lane .tail")[0] not in ("", texts[0])
            page.note("play")
            page.click("play")
            page.wait(lambda: "Pause" in page.noted("play"))
            page.wait(lambda: page.text("standing-title") == "The answer")
            page.wait(lambda: page.text("play") == "Replay")
            assert page.statuses() == decided
            assert page.texts(".lane .tail") == texts
            assert page.complaints() == []

        await driven(steps)


async def test_a_dropped_connection_is_taken_up_again(serve: Serve, browser: Any) -> None:
    async with serve(STEADY) as served:
        page = page_of(browser, served)
        go_on = held(served.engine, 1.0)

        def drop() -> None:
            for connection in list(served.app[SOCKETS]):
                connection.end(1013, "as if it had stalled")

        def steps() -> None:
            page.open().ask(deadline=20, branches=2)
            page.wait(lambda: page.statuses() == ["running"] * 2)
            in_loop(drop)
            go_on()
            page.wait_until_over()
            page.open_first_lane()
            told = page.texts(".lane[data-open] pre")[0]
            whole = "".join(piece.text for piece in STEADY.pieces)
            assert whole.startswith(told)
            assert len(told) > 0.9 * len(whole)
            assert page.text("standing-answer") == "42"
            assert not page.shown("problem")

        await driven(steps)


async def test_a_strategy_with_parameters(serve: Serve, browser: Any) -> None:
    async with serve() as served:
        page = page_of(browser, served)

        def steps() -> None:
            page.open()
            page.at("strategy").send_keys("first_to_m")
            page.click_on(page.find("#parameters-field summary")[0])
            page.fill("parameter-m", "1")
            page.ask(deadline=10)
            page.wait_until_over()
            assert "enough finished" in page.texts("#facts dd")
            page.fill("parameter-m", "0")
            page.click("start")
            page.wait(lambda: page.shown("problem"))
            assert "m must be" in page.text("problem-what")
            assert page.text("problem-todo")

        await driven(steps)


async def test_an_api_key(serve: Serve, browser: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAYGROUND_KEYS", "open-sesame")
    async with serve(keys_env="PLAYGROUND_KEYS") as served:
        page = page_of(browser, served)

        def steps() -> None:
            page.open()
            assert page.focused().get_attribute("id") == "key"
            assert page.shown("problem")
            page.press("wrong", Keys.TAB)
            page.wait(lambda: page.focused().get_attribute("id") == "key")
            page.fill("key", "open-sesame" + Keys.TAB)
            page.wait(lambda: not page.shown("problem"))
            page.ask(deadline=10)
            page.wait_until_over()
            assert page.text("standing-answer") == "42"
            assert "open-sesame" not in page.text("curl") + page.text("python")
            assert "FRONTRUNNER_API_KEY" in page.text("curl")
            page.open()  # the tab still knows it
            assert not page.shown("problem")
            kept = page.js("return JSON.stringify(Object.entries(localStorage))")
            assert "open-sesame" not in kept

        await driven(steps)


async def test_on_a_phone(serve: Serve, browser: Any) -> None:
    wide = BranchScript.answering("9" * 300, seconds=1.0, tokens=40)
    async with serve(wide) as served:
        page = page_of(browser, served)
        go_on = held(served.engine, 0.5)

        def steps() -> None:
            page.open(width=320, height=640)
            assert page.sideways() <= 0
            page.ask("W" * 500, deadline=20)
            page.wait(lambda: "running" in page.statuses())
            page.wait(lambda: page.at("lanes").rect["y"] < page.js("return scrollY + innerHeight"))
            assert page.sideways() <= 0
            go_on()
            page.wait_until_over()
            page.open_first_lane()
            for details in page.find("summary"):
                if details.is_displayed():
                    page.click_on(details)
            assert page.sideways() <= 0

        await driven(steps)


async def test_light_and_dark_and_without_motion(serve: Serve, browser: Any) -> None:
    async with serve() as served:
        page = page_of(browser, served)

        def brightness() -> list[int]:
            """Of the paper and of the ink, 0 to 765."""
            colours = page.js(
                "const s = getComputedStyle(document.body); return [s.backgroundColor, s.color]"
            )
            return [sum(map(int, c.strip("rgb()").split(","))) for c in colours]

        def steps() -> None:
            paper, ink = page.open(prefers_color_scheme="light") and brightness()
            assert paper > 700 > 150 > ink
            paper, ink = page.open(prefers_color_scheme="dark") and brightness()
            assert ink > 650 > 150 > paper
            page.open(prefers_reduced_motion="reduce").ask(deadline=10)
            page.wait_until_over()
            assert page.find(".bar")[0].value_of_css_property("transition-duration") == "0s"

        await driven(steps)


async def test_the_code_that_is_shown_works(serve: Serve, browser: Any) -> None:
    question = 'Mia\'s "6" \\ times 7?'
    async with serve() as served:
        page = page_of(browser, served)

        def run(*command: str) -> str:
            done = subprocess.run(command, capture_output=True, text=True, timeout=280)
            assert done.returncode == 0, done.stderr
            return done.stdout

        def steps() -> None:
            page.open().fill("question", question)
            page.fill("branches", "2")
            page.click_on(page.find("#code summary")[0])
            assert run(sys.executable, "-c", page.text("python")).startswith("42\n")
            if shutil.which("curl"):
                assert '"text":"42"' in run("sh", "-c", page.text("curl"))

        await driven(steps)
        asked = {tuple(request.prompt) for request in served.engine.requests}
        assert asked == {served.engine.encode(question)}


async def test_a_key_is_typed_and_start_is_clicked_at_once(
    serve: Serve, browser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLAYGROUND_KEYS", "open-sesame")
    async with serve(keys_env="PLAYGROUND_KEYS") as served:
        page = page_of(browser, served)

        def steps() -> None:
            page.open()
            page.js("sessionStorage.clear()")
            page.open().fill("key", "open-sesame")
            page.click("start")  # the fields get their values meanwhile
            page.wait_until_over()
            assert page.text("standing-answer") == "42"
            assert not page.shown("problem")

        await driven(steps)


async def test_what_was_wrong_does_not_stand_beside_what_is(serve: Serve, browser: Any) -> None:
    async with serve() as served:
        page = page_of(browser, served)

        def steps() -> None:
            page.open()
            page.at("strategy").send_keys("first_to_m")
            page.click_on(page.find("#parameters-field summary")[0])
            page.fill("parameter-m", "0")
            page.ask(deadline=10)
            page.wait(lambda: page.shown("problem"))
            page.fill("branches", "0")  # the browser itself complains of that
            page.click("start")
            page.wait(lambda: not page.shown("problem"))

        await driven(steps)


async def test_who_leads_why_others_were_cut_and_when_the_deadline_is(
    serve: Serve, browser: Any
) -> None:
    quick = BranchScript.answering("42", seconds=0.4, tokens=40)
    slow = BranchScript.answering("7", seconds=8, tokens=800)
    race = {"strategy": "first_to_m", "parameters": {"m": 3}}
    async with serve(quick, quick, quick, slow, settings={"race": race}) as served:
        page = page_of(browser, served)

        def steps() -> None:
            page.open().ask(deadline=20)
            page.wait_until_over()
            assert page.text("label-deadline") == "deadline 20 s"
            assert page.statuses() == ["finished"] * 3 + ["cut"]
            assert page.texts(".why")[-1] == "enough had finished"
            (cut,) = page.find(".lane[data-status=cancelled] .row")
            assert cut.accessible_name == "Branch 4 cut enough had finished"
            assert len(page.find(".lane[data-leads]")) == 3
            assert page.text("lead-title").startswith("Branch ")
            assert "42" in page.text("lead-text")
            # Bars are by tokens, and there is a line where branches finish.
            widths = [bar.size["width"] for bar in page.find(".lane .rule")]
            assert widths[0] > 0
            assert "about 40 tokens" in page.text("bars-mean")
            assert page.find("#lanes[data-finish]")
            page.click("zoom")
            page.wait(lambda: page.text("label-deadline") == "deadline 20 s →")
            # The replay is slow enough to be followed.
            assert float(page.at("speed").get_attribute("value") or 1) < 1
            assert page.complaints() == []

        await driven(steps)


async def test_many_branches_are_compact_and_in_order(serve: Serve, browser: Any) -> None:
    other = BranchScript.answering("7", seconds=0.1, tokens=10)
    right = BranchScript.answering("42", seconds=0.2, tokens=20)
    race = {"parameters": {"stop": "none", "weight": "none"}}
    branches = [*[other] * 4, *[right] * 20, *[STUCK] * 40]
    async with serve(*branches, settings={"race": race}) as served:
        page = page_of(browser, served)

        def steps() -> None:
            page.open().ask(deadline=LONG, branches=64)
            page.wait(lambda: len(page.find(".lane[data-status=running]")) >= 40)
            page.wait(lambda: len(page.find(".lane[data-leads]")) > 0)
            assert page.find("#lanes[data-compact]")
            assert not page.find(".words")[0].is_displayed()
            page.click("cancel")
            page.wait_until_over()
            # It was cancelled: nothing is decided.
            assert page.text("standing-answer") in ("42 was in front", "7 was in front")
            assert page.shown("save-trace")
            assert not page.shown("copy-answer")
            answers = [a for a in page.texts(".lane .answer") if a]
            assert answers == sorted(answers, key=["42", "7"].index)
            board = page.find(".board")[0]
            page.js("scrollTo(0, document.body.scrollHeight)")
            page.wait(
                lambda: page.js("return arguments[0].getBoundingClientRect().top", board) >= 0
            )
            page.js("scrollTo(0, 0)")
            page.at("order").send_keys("by number")
            page.wait(lambda: page.texts(".number") == [str(i + 1) for i in range(64)])
            page.at("density").send_keys("with words")
            page.wait(lambda: page.find(".words")[0].is_displayed())
            assert page.complaints() == []

        await driven(steps)


async def test_a_server_that_knows_the_race_no_more(serve: Serve, browser: Any) -> None:
    async with serve(ENDLESS) as served:
        page = page_of(browser, served)
        held(served.engine, 0.5)

        def forget() -> None:
            for connection in list(served.app[SOCKETS]):
                connection.end(1013, "as if it had stalled")

        def steps() -> None:
            page.open()
            # Of the race that is asked for again.
            page.js("""
              const Real = WebSocket;
              window.WebSocket = class extends Real {
                send(text) {
                  super.send(text.replace(/"response_id":"[^"]*"/, '"response_id":"resp_gone"'));
                }
              };
            """)
            page.ask(deadline=3)
            page.wait(lambda: page.statuses() == ["running"] * 4)
            in_loop(forget)
            page.wait(lambda: page.shown("problem"))
            page.wait(lambda: page.text("standing-title") == "Not decided: out of sight")
            page.wait(lambda: page.text("label-decided").startswith("last heard of"))
            assert float(page.text("time-left")) <= 3
            assert page.statuses() == ["lost"] * 4

        await driven(steps)


async def test_a_race_whose_events_were_missed_still_has_its_result(
    serve: Serve, browser: Any
) -> None:
    async with serve(STEADY, log_frames=8) as served:
        page = page_of(browser, served)
        go_on = held(served.engine, 1.0)

        def drop() -> None:
            for connection in list(served.app[SOCKETS]):
                connection.end(1013, "as if it had stalled")

        def steps() -> None:
            page.open()
            # It comes back as if it had seen nothing yet, which is not kept any more.
            page.js("""
              const Real = WebSocket;
              window.WebSocket = class extends Real {
                send(text) {
                  super.send(text.replace(/"starting_after":\\d+/, '"starting_after":0'));
                }
              };
            """)
            page.ask(deadline=20)
            page.wait(lambda: page.statuses() == ["running"] * 4)
            page.wait(lambda: all("step" in words for words in page.texts(".lane .tail")))
            in_loop(drop)
            page.wait(lambda: page.text("connection").startswith("Part of the race was not seen"))
            go_on()
            page.wait_until_over()
            assert page.text("standing-answer") == "42"
            assert page.statuses() == ["lost"] * 4
            assert set(page.texts(".why")) == {"its end was not seen"}
            assert not page.shown("problem")
            assert page.text("connection") == ""

        await driven(steps)


WRITTEN = """<think>hm</think>
# Steps
1. **first** $x^2$ costs $5
2. <img src=x onerror=alert(1)> [a](javascript:alert(1)) [b](https://example.com) ![c](https://example.com/c.png)

```python
print("$y$")
```
| a | b |
|---|---|
| 1 | 2 |

$$\\frac{1}{2}\\class{taken}{z}$$ \\href{javascript:alert(1)}{x} $\\href{javascript:alert(1)}{y}$

"""


async def test_markdown_and_formulas_and_no_more_than_that(serve: Serve, browser: Any) -> None:
    async with serve(BranchScript((Piece(0.1, WRITTEN + "\\boxed{42}", 50),))) as served:
        page = page_of(browser, served)

        def steps() -> None:
            page.open().ask(deadline=20, branches=2)
            page.wait_until_over()
            page.open_first_lane()
            page.wait(lambda: page.find(".texts math"))
            assert page.texts(".lane[data-open] .texts strong") == ["first"]
            assert page.texts(".lane[data-open] .texts .code code") == ['print("$y$")\n']
            assert page.texts(".lane[data-open] .texts td") == ["1", "2"]
            assert page.texts(".lane[data-open] .texts a") == ["b"]
            assert page.find("#race img, #race script, #race iframe, .taken") == []
            assert page.js("return document.querySelectorAll('a[href^=javascript]').length") == 0
            assert "<img src=x" in page.texts(".lane[data-open] .texts")[0]
            assert WRITTEN.strip() in page.texts(".lane[data-open] .written pre")[0]
            assert page.driver.title == "Frontrunner"
            assert page.complaints() == []

        await driven(steps)


HOSTILE = "\n\n".join(
    (
        "$" + "\\sqrt{" * 250 + "x" + "}" * 250 + "$",
        "$" + "{" * 900 + "x" + "}" * 900 + "$",
        "$\\def\\a{\\b\\b}\\def\\b{\\a\\a}\\a$",
        "$x" + "^{y" * 300 + "}" * 300 + "$",
        "> " * 400 + "deep",
        "- " * 400 + "deep",
        "[" * 2_000 + "](" * 2_000,
        "*_" * 2_000 + "`" * 999,
    )
)


async def test_a_hostile_text_costs_the_page_nothing(serve: Serve, browser: Any) -> None:
    async with serve(BranchScript((Piece(0.1, HOSTILE + "\n\n\\boxed{42}", 50),))) as served:
        page = page_of(browser, served)

        def steps() -> None:
            page.open().ask(deadline=20, branches=2)
            page.wait_until_over()
            page.open_first_lane()
            page.wait(lambda: page.find(".lane[data-open] .texts blockquote"))
            # What is too deep for Markdown is still there as it was written.
            assert page.texts(".lane[data-open] .written pre")[0].count("deep") == 2
            deepest = page.js("""
              let most = 0;
              for (let e of document.querySelectorAll(".lane[data-open] .texts *")) {
                let depth = 0;
                for (; e; e = e.parentElement) depth += 1;
                most = Math.max(most, depth);
              }
              return most;
            """)
            assert deepest < 120
            assert page.text("standing-answer") == "42"
            assert page.complaints() == []

        await driven(steps)


@pytest.mark.parametrize(
    ("thinking", "text"),
    [
        pytest.param(TAGS, THOUGHT_AND_SAID, id="marks"),
        pytest.param(CHANNELS, ON_CHANNELS, id="channels"),
    ],
)
async def test_thinking_and_reply_are_told_apart(
    serve: Serve, browser: Any, thinking: dict[str, Any], text: str
) -> None:
    async with serve(
        BranchScript((Piece(0.1, text, 20),)), settings={"thinking": thinking}
    ) as served:
        page = page_of(browser, served)

        def steps() -> None:
            page.open().ask(deadline=20, branches=2)
            page.wait_until_over()
            page.open_first_lane()
            page.wait(lambda: page.texts(".lane[data-open] .kind") == ["Thinking", "Reply"])
            thought, said = page.texts(".lane[data-open] .prose > div")
            assert thought.startswith("six sevens")
            assert said.startswith("It is 42")
            # In the bar, too: what was said is its end.
            whole = page.find(".lane .rule")[0].size["width"]
            assert 0 < page.find(".lane .reply")[0].size["width"] < whole
            assert page.texts("#lead-text .kind") == ["Thinking", "Reply"]
            assert page.complaints() == []

        await driven(steps)


async def test_right_to_left(serve: Serve, browser: Any) -> None:
    answer = "שלום"
    async with serve(BranchScript.answering(answer, seconds=0.1)) as served:
        page = page_of(browser, served)

        def steps() -> None:
            page.open().ask("מה?", deadline=20, branches=2)
            page.wait_until_over()
            assert page.text("standing-answer") == answer
            for selector in ("#standing-answer", ".lane .answer", ".bar .name"):
                element = page.find(selector)[0]
                assert element.value_of_css_property("direction") == "rtl"
                hidden = page.js(
                    "return arguments[0].scrollWidth - arguments[0].clientWidth", element
                )
                assert hidden <= 0

        await driven(steps)


async def test_earlier_races_and_a_follow_up(serve: Serve, browser: Any) -> None:
    async with serve() as served:
        page = page_of(browser, served)

        def steps() -> None:
            page.open()
            if page.shown("earlier"):  # of other tests
                page.click_on(page.find("#earlier summary")[0])
                page.click("forget")
                page.wait(lambda: not page.shown("earlier"))
            page.ask("What is 6 times 7?", deadline=10)
            page.wait_until_over()
            page.click("follow-up")
            assert page.focused().get_attribute("id") == "question"
            assert page.texts("#turns li") == ["You What is 6 times 7?", "Reply 42"]
            page.press("And 2 more?")
            page.click_on(page.find("#asking-field summary")[0])
            page.fill("system", "Be short.")
            page.fill("temperature", "0.5")
            page.click("start")
            page.wait(lambda: page.text("earlier-title") == "Earlier races (2)")
            assert '"role": "assistant"' in page.text("curl")
            page.open()  # they are still there
            page.click_on(page.find("#earlier summary")[0])
            assert page.texts(".asked") == ["And 2 more?", "What is 6 times 7?"]
            page.click_on(page.find("#earlier-list button")[1])
            page.wait(lambda: page.text("standing-answer") == "42")
            assert len(page.statuses()) == 4
            assert page.shown("replay")
            page.click("forget")
            page.wait(lambda: not page.shown("earlier"))
            assert page.complaints() == []

        await driven(steps)
        asked = served.engine.requests[-1]
        assert asked.sampling.temperature == 0.5


async def test_a_saved_race_is_opened_with_its_calls_of_tools(
    serve: Serve, browser: Any, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"frontrunner_trace": 1, "branches": [')
    async with serve() as served:
        page = page_of(browser, served)

        def steps() -> None:
            page.open()
            page.at("open-file").send_keys(str(STREAMS / "tools.ndjson"))
            page.wait(lambda: page.text("standing-answer") == "7")
            assert page.statuses() == ["finished", "finished", "lost"]
            assert page.texts(".tool-lane .called") == ["add(a: 3, b: 4)", "add(a: 0, b: 4)"]
            given, failed = page.texts(".tool-lane .told")
            assert failed.startswith("failed: ")
            assert given.startswith("7 (")
            assert given.endswith("for branches 1, 2)")
            assert len(page.find(".acts .call")) == 3
            page.open_first_lane()
            assert len(page.texts(".lane[data-open] .calls li")) == 1
            assert page.shown("earlier")  # it is kept
            page.note("play")
            page.click("play")
            page.wait(lambda: "Pause" in page.noted("play"))
            page.at("open-file").send_keys(str(broken))
            page.wait(lambda: page.shown("problem"))
            told = page.text("problem-what")
            assert told.startswith("The file broken.jsonl cannot be opened. Line 1")
            assert page.complaints() == []

        await driven(steps)


async def test_parameters_that_mean_nothing_are_not_shown(serve: Serve, browser: Any) -> None:
    async with serve() as served:
        page = page_of(browser, served)

        def steps() -> None:
            page.open()
            page.click_on(page.find("#parameters-field summary")[0])
            assert page.shown("parameter-max_flip_risk")
            assert page.text("about-max_flip_risk").startswith("Probability in [0, 1)")
            assert not page.shown("parameter-window")
            page.at("parameter-stop").send_keys("esc")
            page.wait(lambda: page.shown("parameter-window"))
            assert not page.shown("parameter-max_flip_risk")
            page.ask(deadline=10)
            page.wait_until_over()
            assert not page.shown("problem")

        await driven(steps)


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_axe_finds_nothing_serious(serve: Serve, browser: Any, theme: str) -> None:
    source = axe()
    slow = BranchScript.answering("7", seconds=8, tokens=800)
    text = "**so** $x^2$\n\n```\ncode\n```\n"
    quick = BranchScript((Piece(0.2, text + "\\boxed{42}", 20),))
    async with serve(quick, quick, quick, slow) as served:
        page = page_of(browser, served)

        def steps() -> None:
            page.open(prefers_color_scheme=theme)
            assert page.serious(source) == []
            page.ask(deadline=20)
            page.wait_until_over()
            for details in page.find("summary"):
                if details.is_displayed():
                    page.click_on(details)
            page.open_first_lane()
            page.click("follow-up")
            assert page.serious(source) == []
            page.ask("And?", deadline=20, branches=32)
            page.wait_until_over()
            assert page.serious(source) == []

        await driven(steps)


# ── what it is made of ────────────────────────────────────────────────────────────────────────

FILES = ("", "playground/main.js", "playground/page.css")


async def test_its_files_are_kept_and_asked_about(serve: Serve) -> None:
    async with serve() as served:
        for path in FILES:
            async with served.http.get(path) as response:
                assert response.status == 200
                assert response.headers["Cache-Control"] == "no-cache"
                tag = response.headers["ETag"]
            async with served.http.get(path, headers={"If-None-Match": tag}) as response:
                assert response.status == 304
                assert await response.read() == b""
            async with served.http.get(path, headers={"If-None-Match": '"old"'}) as response:
                assert response.status == 200


async def test_it_runs_no_script_but_its_own(serve: Serve) -> None:
    async with serve() as served, served.http.get("") as response:
        policy = dict(
            directive.partition(" ")[::2]
            for directive in response.headers["Content-Security-Policy"].split("; ")
        )
        page = await response.text()
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["trusted-types"] == "'none'"
    assert "//" not in page.replace("http://www.w3.org/2000/svg", "")
    assert " style=" not in page
    assert " onclick=" not in page


async def test_it_is_open_and_what_it_asks_for_is_not(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLAYGROUND_KEYS", "open-sesame")
    async with serve(keys_env="PLAYGROUND_KEYS") as served:
        for path in FILES:
            async with served.http.get(path) as response:
                assert response.status == 200
        async with served.http.get("playground/offer") as response:
            assert response.status == 401


class Judge(Rewards):
    """It only compares."""

    agreement = 0.8
    min_replies = 2

    def predict(self, *_: object) -> float:
        return 0.0


def test_a_judge_gives_no_scores_of_single_branches() -> None:
    assert lacking(None) == "a reward model"
    assert lacking(Rewards([])) is None
    assert "compares" in (lacking(Judge([])) or "")


async def test_what_is_offered(serve: Serve) -> None:
    settings = {"race": {"deadline": 4.0, "branches": 8, "parameters": {"min_votes": 4}}}
    async with serve(settings=settings) as served, served.http.get("playground/offer") as response:
        offered = await response.json()
    race = served.runtime.settings.race
    assert offered["defaults"] == {
        "deadline": 4.0,
        "branches": 8,
        "strategy": race.strategy,
        "parameters": {"min_votes": 4},
        "temperature": served.runtime.settings.sampling.temperature,
        "answers": "boxed",
    }
    assert "tool_call" not in offered["answers"]  # needs tools besides
    assert {"boxed", "json", "text"} <= set(offered["answers"])
    assert offered["limits"]["branches"] == served.engine.info.max_branches
    strategies = {strategy["name"]: strategy for strategy in offered["strategies"]}
    assert tuple(strategies) == strategy_names()
    for name, strategy in strategies.items():
        named = [parameter["name"] for parameter in strategy["parameters"]]
        assert named == [key for key in parameter_names(name) if key != "branches"]
    assert strategies["majority"]["needs"] is None
    assert strategies["weighted"]["needs"] == "a reward model"
    assert "``" not in str(offered)
    told = {p["name"]: p for p in strategies["weighted"]["parameters"]}
    assert told["threshold"]["of"] == ["beta", "dirichlet"]
    assert told["threshold"]["about"].startswith("posterior probability")
    assert told["beta"]["default"] == 0.949976
    kinds = {p["name"]: p["kind"] for p in strategies["majority"]["parameters"]}
    assert kinds["stop"] == "choice"
    assert kinds["min_votes"] == "integer"
    assert kinds["max_flip_risk"] == "number"
    assert kinds["force_answers"] == "switch"
