"""Whether the page keeps up with many branches: frames while a race runs, and memory over many.

The page runs in Chromium, on a socket of its own that tells races as the server does, so that what
is measured is the page alone.

1. 64 branches at 60 tokens a second each, several times: the frames that took longest, beside those
   of the page while it stands still (what the machine itself drops), and how busy the page's thread
   is: its processor time, which does not grow with what else the machine does.
2. 100 races as fast as they can be told: memory after each ten, with what is garbage collected.

    python tests/benchmarks/page_frames.py
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import anyio
from common import progress, report

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.runtime.serving.conftest import served
from tests.runtime.serving.playground_page import Page, chromium, driven

ARGUMENTS = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
)
ARGUMENTS.add_argument("--branches", type=int, default=64)
ARGUMENTS.add_argument("--rate", type=float, default=60, help="tokens a second of a branch")
ARGUMENTS.add_argument("--tokens", type=int, default=600, help="of a branch, about")
ARGUMENTS.add_argument("--repeats", type=int, default=5, help="of the first part")
ARGUMENTS.add_argument("--races", type=int, default=100, help="in the second part")

#: In the place of the server's socket. Branches end after different numbers of tokens; the race is
#: decided once 70 % have, or with ``quick`` told in one go.
SOCKET = """
window.told = {branches: 64, rate: 60, tokens: 600, quick: false};
window.WebSocket = class extends EventTarget {
  static OPEN = 1;
  readyState = 1;
  constructor() { super(); setTimeout(() => this.dispatchEvent(new Event("open"))); }
  close() { clearInterval(this.timer); }
  send(text) {
    if (JSON.parse(text).type !== "response.create") return;
    const {branches, rate, tokens, quick} = window.told;
    const began = performance.now();
    let number = 0, clock = 0, done = 0, told = 0;
    const at = () => quick ? clock : (performance.now() - began) / 1000;
    const emit = (event) => this.dispatchEvent(new MessageEvent("message", {
      data: JSON.stringify({...event, sequence_number: number++}),
    }));
    const sent = new Array(branches).fill(0);
    const share = (i) => 0.6 + 0.5 * ((i * 37) % branches) / branches;
    const ends = sent.map((_, i) => Math.round(tokens * share(i)));
    const votes = {};
    const one = (branch) => {
      if (sent[branch] >= ends[branch]) return;
      const text = ` word${sent[branch] % 97}`;
      emit({type: "frontrunner.branch.delta", at: at(), branch, text, tokens: 1, forced: false});
      if (++sent[branch] < ends[branch]) return;
      const answer = branch % 4 ? "59" : "61";
      votes[answer] = (votes[answer] ?? 0) + 1;
      done += 1;
      const end = {status: "finished", tokens: sent[branch], answer, reason: null};
      emit({type: "frontrunner.branch.ended", at: at(), branch, ...end});
      const standing = {votes: {...votes}, forced_votes: {}, leader: "59", weights: {...votes}};
      emit({type: "frontrunner.vote", at: at(), ...standing});
    };
    const over = () => {
      clearInterval(this.timer);
      const counts = {launched: branches, finished: done, cancelled: branches - done};
      const frontrunner = {
        race_id: "r", answer: "59", confidence: 0.99, stop_reason: "clinched", notes: [], votes,
        forced_votes: {}, branches: counts, tokens_generated: 1, tokens_saved: 1, elapsed: at(),
        overshoot: 0,
      };
      const response = {id: "r", status: "completed", output: [], frontrunner};
      emit({type: "response.completed", response});
    };
    emit({type: "response.created", response: {id: "r", status: "in_progress"}});
    emit({type: "frontrunner.race.started", at: 0, race_id: "r", deadline: 60, branches});
    for (let branch = 0; branch < branches; branch++) {
      emit({type: "frontrunner.branch.started", at: 0, branch, parent: null, inherited_tokens: 0});
    }
    const enough = Math.floor(branches * 0.7);
    if (quick) {
      while (done < enough) {
        clock += 1 / rate;
        for (let branch = 0; branch < branches; branch++) one(branch);
      }
      return over();
    }
    this.timer = setInterval(() => {
      const due = Math.floor(at() * rate * branches);
      while (told < due && done < enough) one(told++ % branches);
      if (done >= enough) over();
    }, 8);
  }
};
"""
WATCH = """
window.frames_taken = [];
let before = null;
const step = (now) => {
  if (before !== null) window.frames_taken.push(now - before);
  before = now;
  window.watching = requestAnimationFrame(step);
};
cancelAnimationFrame(window.watching);
window.watching = requestAnimationFrame(step);
"""


def thread_seconds(driver: Any) -> float:
    """Processor time of the page's thread."""
    metrics = driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    return next(m["value"] for m in metrics if m["name"] == "ThreadTime")


def watched(page: Page) -> list[float]:
    """Milliseconds of each frame since ``WATCH``, shortest first."""
    return sorted(page.js("cancelAnimationFrame(window.watching); return window.frames_taken"))


def frames_of(page: Page, seconds: float) -> list[float]:
    page.js(WATCH)
    time.sleep(seconds)
    return watched(page)


def one_race(page: Page, args: argparse.Namespace) -> dict[str, float]:
    driver = page.driver
    page.js("window.told = {...window.told, ...arguments[0]}", vars(args) | {"quick": False})
    still = frames_of(page, 3.0)
    page.js(WATCH)
    busy, began = thread_seconds(driver), time.monotonic()
    page.ask(deadline=60, branches=args.branches)
    page.wait(lambda: page.js("return document.querySelector('#race').ariaBusy") == "true")
    page.wait(lambda: page.js("return document.querySelector('#race').ariaBusy") == "false", 120)
    taken = time.monotonic() - began
    frames = watched(page)
    return {
        "seconds": taken,
        "frames": len(frames),
        "median_ms": statistics.median(frames),
        "p99_ms": frames[int(0.99 * len(frames))],
        "longest_ms": frames[-1],
        "over_100_ms": sum(frame > 100 for frame in frames),
        "still_longest_ms": still[-1],
        "still_over_100_ms": sum(frame > 100 for frame in still),
        "thread_busy": (thread_seconds(driver) - busy) / taken,
    }


def memory(page: Page) -> float:
    """Megabytes of the page's heap that are in use."""
    page.driver.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
    return page.driver.execute_cdp_cmd("Runtime.getHeapUsage", {})["usedSize"] / 1e6


def many_races(page: Page, args: argparse.Namespace) -> list[float]:
    page.js("window.told = {...window.told, quick: true}")
    found = [memory(page)]
    for race in range(args.races):
        page.js("document.querySelector('#start').click()")
        page.wait(lambda: page.js("return document.querySelector('#race').ariaBusy") == "false")
        page.wait(lambda: page.shown("replay"))
        if (race + 1) % 10 == 0:
            found.append(memory(page))
        progress(race + 1, args.races, "races")
    return found


async def main(args: argparse.Namespace) -> None:
    def steps() -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder, chromium(Path(folder)) as driver:
            driver.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
            driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": SOCKET})
            page = Page(driver, f"http://127.0.0.1:{server.port}/")
            page.open()
            races = [one_race(page, args) for _ in range(args.repeats)]
            heap = many_races(page, args)
        names = races[0]
        middle = {name: round(statistics.median(r[name] for r in races), 3) for name in names}
        return {"median_of_races": middle, "each": races, "heap_mb_by_ten_races": heap}

    async with served() as server:
        report(await driven(steps))


if __name__ == "__main__":
    anyio.run(main, ARGUMENTS.parse_args())
