"""One way to ask, in a process of its own: a peer through its own API, a script, or Frontrunner.

``peers.py`` starts it, with the Python of the environment that holds the peer. It reads lines
``{"id", "question", "n", "seed", "deadline"}`` and writes a line for each, as soon as it is
answered: ``{"id", "text", "seconds", "tokens", "error", "cpu"}``; ``text`` is what holds the
answer, ``cpu`` the seconds of CPU that this process and its children that have ended have taken so
far. Questions are answered at the same time if they come so. Nothing of a peer is imported but in
its own function.
"""

import argparse
import asyncio
import collections
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

#: Asks one question: its line, and what it gives: a text that holds the answer, and the tokens of
#: all branches where the client is told them.
Ask = Callable[[dict[str, Any]], Awaitable[tuple[str, int | None]]]


def last_boxed(text: str | None) -> str:
    """What stands in the last box, or nothing: the same for every row."""
    begin = (text or "").rfind("\\boxed{")
    if text is None or begin < 0:
        return ""
    depth, at = 1, begin + 7
    while at < len(text) and depth:
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        at += 1
    return text[begin + 7 : at - 1].strip() if not depth else ""


def boxed(answer: str) -> str:
    return f"\\boxed{{{answer}}}" if answer else ""


def majority(texts: list[str]) -> str:
    votes = collections.Counter(answer for text in texts if (answer := last_boxed(text)))
    return boxed(votes.most_common(1)[0][0]) if votes else ""


def openai_client(args: argparse.Namespace, stack: AsyncExitStack) -> Any:
    import httpx
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    limits = httpx.Limits(max_connections=1000, max_keepalive_connections=1000)
    http = DefaultAsyncHttpxClient(limits=limits, timeout=args.limit)
    return AsyncOpenAI(base_url=args.url, api_key="EMPTY", max_retries=0, http_client=http)


async def one_reply(client: Any, args: argparse.Namespace, question: str, n: int = 1) -> list[str]:
    reply = await client.chat.completions.create(
        model=args.model,
        messages=[{"role": "user", "content": question}],
        max_tokens=args.max_tokens,
        temperature=args.temperature,
        n=n,
    )
    return [choice.message.content or "" for choice in reply.choices]


async def single(args: argparse.Namespace, stack: AsyncExitStack) -> Ask:
    """One branch."""
    client = openai_client(args, stack)

    async def ask(line: dict[str, Any]) -> tuple[str, None]:
        return (await one_reply(client, args, line["question"]))[0], None

    return ask


async def raw_n(args: argparse.Namespace, stack: AsyncExitStack) -> Ask:
    """One request with ``n``, and the majority of what comes."""
    client = openai_client(args, stack)

    async def ask(line: dict[str, Any]) -> tuple[str, None]:
        return majority(await one_reply(client, args, line["question"], line["n"])), None

    return ask


async def script_all(args: argparse.Namespace, stack: AsyncExitStack) -> Ask:
    """As many requests as branches, and the majority once all have come."""
    client = openai_client(args, stack)

    async def ask(line: dict[str, Any]) -> tuple[str, None]:
        asked = [one_reply(client, args, line["question"]) for _ in range(line["n"])]
        replies = await asyncio.gather(*asked, return_exceptions=True)
        return majority([r[0] for r in replies if isinstance(r, list)]), None

    return ask


async def script_lead(args: argparse.Namespace, stack: AsyncExitStack) -> Ask:
    """The same, but over as soon as an answer leads by three votes."""
    client = openai_client(args, stack)

    async def ask(line: dict[str, Any]) -> tuple[str, None]:
        votes: collections.Counter[str] = collections.Counter()
        tasks = [
            asyncio.create_task(one_reply(client, args, line["question"])) for _ in range(line["n"])
        ]
        try:
            for done in asyncio.as_completed(tasks):
                try:
                    answer = last_boxed((await done)[0])
                except Exception:  # noqa: BLE001 (a branch that failed is no vote)
                    continue
                if answer:
                    votes[answer] += 1
                    first, *others = [count for _, count in votes.most_common(2)]
                    if first - (others[0] if others else 0) >= 3:
                        break
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return boxed(votes.most_common(1)[0][0]) if votes else "", None

    return ask


async def its_hub(name: str, args: argparse.Namespace, stack: AsyncExitStack) -> Ask:
    """its_hub's self-consistency: all, adaptive in rounds, or until its Beta posterior is sure."""
    import its_hub as hub

    model = await stack.enter_async_context(
        hub.OpenAICompatibleLanguageModel(
            endpoint=args.url,
            api_key="EMPTY",
            model_name=args.model,
            temperature=args.temperature,
            max_completion_tokens=args.max_tokens,
        )
    )
    orchestrator = hub.LMOrchestrator(max_concurrency=-1)
    made = {
        "its_hub SelfConsistency": lambda: hub.SelfConsistency(
            last_boxed, orchestrator=orchestrator
        ),
        "its_hub Adaptive": lambda: hub.AdaptiveSelfConsistency(
            consistency_space_projection_func=last_boxed, orchestrator=orchestrator
        ),
        "its_hub Beta": lambda: hub.BetaSelfConsistency(
            0.95, last_boxed, orchestrator=orchestrator
        ),
    }[name]()

    async def ask(line: dict[str, Any]) -> tuple[str, None]:
        result = await made.ainfer(
            model, line["question"], budget=line["n"], return_response_only=False
        )
        return result.the_one["content"] or "", None

    return ask


async def optillm(args: argparse.Namespace, stack: AsyncExitStack) -> Ask:
    """optillm's majority voting: one request with ``n``, with its own way to find answers."""
    import optillm.plugins.majority_voting_plugin as voting
    from openai import OpenAI

    client = OpenAI(base_url=args.url, api_key="EMPTY", max_retries=0, timeout=args.limit)

    async def ask(line: dict[str, Any]) -> tuple[str, None]:
        config = {
            "k": line["n"],
            "temperature": args.temperature,
            "max_tokens": args.max_tokens,
        }
        said = await asyncio.to_thread(voting.run, "", line["question"], client, args.model, config)
        text = said[0] if isinstance(said, tuple) else said
        return text if last_boxed(text) else boxed(text.strip()), None

    return ask


async def frontrunner(name: str, args: argparse.Namespace, stack: AsyncExitStack) -> Ask:
    """Our runtime in this process, with its own engine or over the server."""
    from frontrunner.runtime.config import Settings, demo_config_path
    from frontrunner.runtime.config.engine import OpenAISettings
    from frontrunner.runtime.config.speculation import CrossBranchSpeculation
    from frontrunner.runtime.runtime import Runtime

    settings = Settings.from_toml(args.config or demo_config_path())
    changed: dict[str, Any] = {"max_branches": args.max_branches}
    if "cross_branch" in name:
        changed["speculation"] = CrossBranchSpeculation(tokens=8)
    weighed = {"weight": "likelihood", "stop": "flip_risk", "max_flip_risk": 0.08, "min_votes": 2}
    parameters = weighed if name.endswith("likelihood") else None
    engine = settings.engine.model_copy(update=changed)
    if name == "Frontrunner over the server":
        engine = OpenAISettings(url=args.url, model=args.model, max_branches=args.max_branches)
    settings = settings.model_copy(update={"engine": engine})
    runtime = await stack.enter_async_context(Runtime.from_config(settings))

    async def ask(line: dict[str, Any]) -> tuple[str, int]:
        result = await runtime.solve(
            line["question"],
            branches=line["n"],
            deadline=line["deadline"],
            seed=line["seed"],
            parameters=parameters,
        )
        return boxed(result.answer or ""), result.tokens_generated

    return ask


async def plugin(args: argparse.Namespace, stack: AsyncExitStack) -> Ask:
    """The race inside vLLM's own server: one request of an OpenAI client."""
    client = openai_client(args, stack)

    async def ask(line: dict[str, Any]) -> tuple[str, None]:
        reply = await client.chat.completions.create(
            model=args.model,
            messages=[{"role": "user", "content": line["question"]}],
            extra_body={"frontrunner": {"deadline": line["deadline"], "branches": line["n"]}},
        )
        return boxed(reply.model_dump()["frontrunner"]["answer"] or ""), None

    return ask


async def ask_of(args: argparse.Namespace, stack: AsyncExitStack) -> Ask:
    name: str = args.row
    if name.startswith("its_hub"):
        return await its_hub(name, args, stack)
    if name.startswith("Frontrunner") and name != "Frontrunner in vllm serve":
        return await frontrunner(name, args, stack)
    made = {
        "single branch": single,
        "n in one request": raw_n,
        "script, waits for all": script_all,
        "script, lead of 3": script_lead,
        "optillm majority_voting": optillm,
        "Frontrunner in vllm serve": plugin,
    }
    return await made[name](args, stack)


async def answer(ask: Ask, line: dict[str, Any], limit: float) -> None:
    text, tokens, error = "", None, None
    began = time.perf_counter()
    try:
        text, tokens = await asyncio.wait_for(ask(line), limit)
    except Exception as raised:  # noqa: BLE001 (it is told)
        error = f"{type(raised).__name__}: {raised}"[:200]
    seconds = time.perf_counter() - began
    taken = os.times()
    said = {
        "id": line["id"],
        "text": boxed(last_boxed(text)),
        "seconds": seconds,
        "tokens": tokens,
        "error": error,
        "cpu": taken.user + taken.system,
    }
    print(json.dumps(said), flush=True)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("row")
    parser.add_argument("--url", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--config")
    parser.add_argument("--max-tokens", type=int, required=True)
    parser.add_argument("--temperature", type=float, required=True)
    parser.add_argument("--limit", type=float, required=True, help="seconds for an answer")
    parser.add_argument("--max-branches", type=int, required=True, help="of our engines")
    args = parser.parse_args()
    reading = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        ask = await ask_of(args, stack)
        print(json.dumps({"ready": True}), flush=True)
        async with asyncio.TaskGroup() as group:
            while line := await reading.run_in_executor(None, sys.stdin.readline):
                group.create_task(answer(ask, json.loads(line), args.limit))


if __name__ == "__main__":
    asyncio.run(main())
