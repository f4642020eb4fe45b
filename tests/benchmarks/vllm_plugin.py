"""What races inside vLLM's own server keep, and what they cost the others, on the CPU build.

1. Requests without a deadline: to a server with the plugin (``in_place``) and to one without, in
   turns. Their bytes, without ids and times, at temperature 0; and how long they take, as the ratio
   of the medians.
2. Races through the openai package with a deadline: how much later than it the reply was there for
   the client.
3. A client that leaves a race: seconds until vLLM's own metrics say that nothing runs.
4. The server killed, and told to end, while it races: seconds until all of its processes are gone.
"""

import argparse
import asyncio
import os
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import psutil
from aiohttp import ClientSession
from common import progress, quartiles, report
from openai import AsyncOpenAI

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.vllm_server import VllmServer, start_server

from frontrunner.runtime.demo.problems import hard_problems

_PLAIN = "frontrunner_cpu_corrections,frontrunner_orphans"  # the same corrections, no races
_NAMES = re.compile(rb'"(?:id|created|system_fingerprint)": ?(?:"[^"]*"|\d+),?')


def bodies(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Requests of each kind, without a deadline."""
    messages = [{"role": "user", "content": text}]
    drawn = {"model": "demo", "temperature": 0, "max_tokens": 48}
    chat = {**drawn, "messages": messages}
    return [
        ("/v1/chat/completions", chat),
        ("/v1/chat/completions", {**chat, "stream": True}),
        ("/v1/completions", {**drawn, "prompt": text}),
    ]


async def asked(http: ClientSession, url: str, body: dict[str, Any]) -> tuple[float, bytes]:
    began = time.perf_counter()
    async with http.post(url, json=body) as response:
        said = await response.read()
    took = time.perf_counter() - began
    return took, joined(said) if body.get("stream") else _NAMES.sub(b"", said)


def joined(stream: bytes) -> bytes:
    """A stream with its pieces of text put together: how many tokens come in one is a matter of
    time, on any server of vLLM's."""
    told, text = list[bytes](), ""
    for line in stream.splitlines():
        if not line.startswith(b"data: {"):
            told.append(line)
            continue
        message = orjson.loads(line[6:])
        choice = message["choices"][0] if message["choices"] else {"delta": {}}
        text += choice["delta"].pop("content", None) or ""
        if choice["delta"] or choice.get("finish_reason"):
            told.append(_NAMES.sub(b"", orjson.dumps(message)))
    return b"\n".join([line for line in told if line]) + text.encode()


async def unchanged(plain: VllmServer, racing: VllmServer, count: int) -> dict[str, Any]:
    """The same requests to both, in turns."""
    seconds: dict[str, list[float]] = {"plain": [], "plugin": []}
    different: dict[str, int] = {}
    questions = [problem.question for problem in hard_problems("test", count)]
    async with ClientSession() as http:
        for done in range(-5, count):
            turns = [("plain", plain), ("plugin", racing)]
            random.Random(done).shuffle(turns)
            path, body = bodies(questions[done])[done % 3]
            said = dict[str, bytes]()
            for name, server in turns:
                took, said[name] = await asked(http, server.url + path, body)
                if done >= 0:  # the first ones are warm-up
                    seconds[name].append(took)
            if done >= 0 and said["plain"] != said["plugin"]:
                kind = f"{path}{' streamed' if body.get('stream') else ''}"
                different[kind] = different.get(kind, 0) + 1
            progress(max(0, done + 1), count, "without a deadline")
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    ratios = [b / a for a, b in zip(seconds["plain"], seconds["plugin"], strict=True)]
    return {
        "requests": count,
        "different_bytes": different,
        "seconds": {name: quartiles(times) for name, times in seconds.items()},
        "ratio_of_medians": round(medians["plugin"] / medians["plain"], 4),
        "median_of_ratios": round(statistics.median(ratios), 4),
    }


async def deadlines(server: VllmServer, count: int) -> dict[str, Any]:
    """Races with deadlines from 0.3 to 1.5 seconds, through the openai package."""
    client = AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
    rng, late, reasons = random.Random(0), list[float](), dict[str, int]()
    answered = 0
    for done, problem in enumerate(hard_problems("test", count)):
        deadline = rng.uniform(0.3, 1.5)
        began = time.perf_counter()
        reply = await client.chat.completions.create(
            model="demo",
            messages=[{"role": "user", "content": problem.question}],
            extra_body={"frontrunner": {"deadline": deadline}},
        )
        late.append(time.perf_counter() - began - deadline)
        told: Any = reply.model_dump()["frontrunner"]
        reasons[told["stop_reason"]] = reasons.get(told["stop_reason"], 0) + 1
        answered += told["answer"] is not None
        progress(done + 1, count, "races")
    late.sort()
    return {
        "races": count,
        "answered": answered,
        "stop_reasons": reasons,
        "late_ms": {
            "median": round(1000 * statistics.median(late), 1),
            "p99": round(1000 * late[min(count - 1, int(0.99 * count))], 1),
            "most": round(1000 * late[-1], 1),
        },
        "later_than_the_deadline": sum(seconds > 0 for seconds in late),
    }


async def start_race(server: VllmServer) -> Any:
    """A streamed race of a minute, which has begun."""
    client = AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
    stream = await client.chat.completions.create(
        model="demo",
        messages=[{"role": "user", "content": hard_problems("test", 1)[0].question}],
        stream=True,
        extra_body={
            "frontrunner": {"deadline": 60, "branches": 32, "parameters": {"stop": "none"}}
        },
    )
    await anext(aiter(stream))
    return stream


async def left(server: VllmServer, count: int) -> dict[str, Any]:
    took, before = list[float](), list[int]()
    for done in range(count):
        stream = await start_race(server)
        before.append(server.requests())
        await stream.close()
        began = time.perf_counter()
        while server.requests():  # noqa: ASYNC110 - vLLM's own metrics say it
            await asyncio.sleep(0.01)
        took.append(time.perf_counter() - began)
        progress(done + 1, count, "clients that leave")
    return {"clients": count, "requests_before": max(before), "seconds_until_idle": max(took)}


async def ended(server: VllmServer, how: str) -> float:
    """Seconds until nothing of the server is left."""
    await start_race(server)
    family = server.family
    began = time.perf_counter()
    getattr(server.process, how)()
    _, alive = await asyncio.to_thread(psutil.wait_procs, family, 90)
    return round(time.perf_counter() - began, 2) if not alive else -1.0


@asynccontextmanager
async def servers(
    folder: Path, port: int, *told: dict[str, str]
) -> AsyncIterator[list[VllmServer]]:
    """Servers with these environments, which start at the same time."""
    with ExitStack() as ending:
        started = [
            start_server(port + n, folder / f"log{n}", environment)
            for n, environment in enumerate(told)
        ]
        for server in started:
            ending.callback(server.end)
        for server in started:
            await asyncio.to_thread(server.wait)
        yield started


async def main(args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = folder / "races.toml"
        config.write_text("[vllm_plugin]\nin_place = true\n")
        races = {"VLLM_PLUGINS": "frontrunner", "FRONTRUNNER_CONFIG": str(config)}
        report({"cores": len(os.sched_getaffinity(0)), "load": os.getloadavg()[0]})
        async with servers(folder, args.port, races, {"VLLM_PLUGINS": _PLAIN}) as (racing, plain):
            report({"without_a_deadline": await unchanged(plain, racing, args.count)})
            plain.end()
            report({"races": await deadlines(racing, args.races)})
            report({"clients_that_leave": await left(racing, 5)})
            report({"seconds_until_gone": {"killed": await ended(racing, "kill")}})
        async with servers(folder, args.port, races) as (again,):
            report({"restarted": await deadlines(again, 5)})
            report({"seconds_until_gone": {"told_to_end": await ended(again, "terminate")}})
        report({"load": os.getloadavg()[0]})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="requests without a deadline")
    parser.add_argument("--races", type=int, default=200, help="with a deadline")
    parser.add_argument("--port", type=int, default=8197)
    asyncio.run(main(parser.parse_args()))
