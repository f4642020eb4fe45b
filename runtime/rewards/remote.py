"""A scoring endpoint over HTTP.

What it may speak (``rewards.api``):

- ``classify``: vLLM's ``/classify``, an outcome model's probabilities. One conversation a request,
  or with a template ``batch`` plain texts.
- ``pooling``: vLLM's ``/pooling`` with ``task: token_classify``, for which the server must be
  started: ``--pooler-config '{"task": "token_classify"}'``. A process model's server must pick the
  steps as well (``"tok_pooling_type": "STEP", "step_tag_id": …`` beside the task), since only it
  has the tokens: the rows that come are the steps. Of an outcome model the last row counts.
- ``score``: vLLM's ``/score``, pairs of question and text (cross-encoders).
- ``json``: for servers of your own. ``{"model": …, "items": [{"question": [messages], "text": …,
  "complete": …}]}`` is answered by ``{"scores": [number or null, …]}``, as many, in their order.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import aiohttp
import anyio
import orjson
import structlog

from ..common.http_endpoints import (
    RETRYABLE_STATUSES,
    SHOWN_CHARS,
    AnswerTooLong,
    TryAgain,
    authorization,
    read_answer,
    retry_after,
    with_retries,
)
from ..config import RemoteRewards
from ..errors import EngineClosed
from .inputs import Template, aggregate, conversation, question_text, split_steps
from .protocol import Scoring

#: Bytes of an answer: a process model's has two numbers for each token of each text.
_MAX_ANSWER = 4 * 2**20
#: Bytes of a refusal that are read.
_MAX_REFUSAL = 4096

_log = structlog.get_logger("frontrunner.rewards")


class EndpointError(Exception):
    """The endpoint gave no scores for a request."""


class _OverloadedError(EndpointError, TryAgain):
    """It may, if it is asked again."""

    def __init__(self, message: str, after: float = 0.0) -> None:
        super().__init__(message)
        self.after = after


def _parsed(data: bytes) -> Any:
    """JSON, also as servers in Python write it: with NaN and Infinity."""
    try:
        return orjson.loads(data)
    except ValueError:
        return json.loads(data)


@dataclass(frozen=True, slots=True)
class _Call:
    """One request, for the items at ``places``."""

    places: Sequence[int]
    body: Mapping[str, Any]
    read: Callable[[Any], Sequence[float | None]]


class RemoteReward:
    """A ``RewardModel`` behind a URL; needs asyncio, as aiohttp does."""

    def __init__(self, settings: RemoteRewards) -> None:
        """
        Args:
            settings: of kind ``remote``.
        """
        self._settings = settings
        self._url = settings.url
        self._template = Template.parse(settings.template) if settings.template else None
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        key = authorization("rewards.key_env", self._settings.key_env)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._settings.connections),
            headers={"Accept": "application/json", "Accept-Encoding": "identity", **key},
            timeout=aiohttp.ClientTimeout(total=None),  # ours are anyio's
            auto_decompress=False,  # of an answer it could make any amount
        )

    async def aclose(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            with anyio.CancelScope(shield=True):
                await session.close()

    async def score(self, items: Sequence[Scoring]) -> Sequence[float | None]:
        if self._session is None:
            raise EngineClosed("the reward model is not running")
        scores: list[float | None] = [None] * len(items)

        async def run(call: _Call) -> None:
            try:
                read = call.read(await self._ask(call.body))
                if len(read) != len(call.places):
                    raise EndpointError(f"{len(read)} scores for {len(call.places)} texts")
            except (EndpointError, LookupError, TypeError, ValueError, AttributeError) as error:
                _log.warning(
                    "frontrunner.scores_failed",
                    count=len(call.places),
                    error=f"{type(error).__name__}: {error}"[:SHOWN_CHARS],
                )
                return
            for place, score in zip(call.places, read, strict=True):
                scores[place] = score if score is not None and isfinite(score) else None

        async with anyio.create_task_group() as tasks:
            for call in self._calls(items):
                tasks.start_soon(run, call)
        return scores

    # ── asking ────────────────────────────────────────────────────────────────────────────────

    async def _ask(self, body: Mapping[str, Any]) -> Any:
        """The endpoint's JSON, after retries if the time allows them.

        Raises:
            EndpointError: with its complaint.
        """
        until = anyio.current_time() + self._settings.timeout

        async def post() -> Any:
            try:
                with anyio.fail_after(until - anyio.current_time()):
                    return await self._post(body)
            except TimeoutError:
                raise EndpointError(f"no answer in {self._settings.timeout:g} s") from None

        return await with_retries(post, retries=self._settings.retries, until=until)

    async def _post(self, body: Mapping[str, Any]) -> Any:
        session = self._session
        if session is None:
            raise EndpointError("closed meanwhile")
        try:
            async with session.post(self._url, json=body) as response:
                if response.status in RETRYABLE_STATUSES:
                    raise _OverloadedError(f"HTTP {response.status}", retry_after(response))
                if response.status >= 400:
                    said = (await response.content.read(_MAX_REFUSAL)).decode("utf-8", "replace")
                    raise EndpointError(f"HTTP {response.status}: {said[:SHOWN_CHARS]}")
                return _parsed(await read_answer(response, _MAX_ANSWER))
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as error:
            raise _OverloadedError(f"{type(error).__name__}: {error}") from error
        except AnswerTooLong as error:
            raise EndpointError(str(error)) from error
        except aiohttp.ClientError as error:
            raise EndpointError(f"{type(error).__name__}: {error}") from error

    # ── what is asked, and how the answers are read ───────────────────────────────────────────

    def _calls(self, items: Sequence[Scoring]) -> list[_Call]:
        match self._settings.endpoint_api:
            case "classify" | "pooling" if self._template is None:
                return [self._chat_call(place, item) for place, item in enumerate(items)]
            case "classify" | "pooling":
                return [self._text_call(items, places) for places in self._batches(items)]
            case "score":
                return [self._pair_call(items, places) for places in self._batches(items)]
            case "json":
                return [self._json_call(items, places) for places in self._batches(items)]

    def _batches(self, items: Sequence[Scoring]) -> list[range]:
        size = self._settings.batch
        return [range(i, min(i + size, len(items))) for i in range(0, len(items), size)]

    def _named(self, body: dict[str, Any]) -> dict[str, Any]:
        model = self._settings.model
        return body if model is None else {"model": model, **body}

    def _pooled(self, body: dict[str, Any]) -> dict[str, Any]:
        if self._settings.endpoint_api == "pooling":
            body["task"] = "token_classify"
        return self._named({**body, "use_activation": self._settings.activation})

    def _chat_call(self, place: int, item: Scoring) -> _Call:
        turns = conversation(item.question, self._settings.system)
        body = {
            "messages": [*turns, {"role": "assistant", "content": self._text(item)}],
            "add_generation_prompt": False,
            "continue_final_message": not item.complete,
        }
        return _Call([place], self._pooled(body), self._read_pooled)

    def _text_call(self, items: Sequence[Scoring], places: Sequence[int]) -> _Call:
        assert self._template is not None
        texts = [self._template.fill(items[i].question, self._text(items[i])) for i in places]
        return _Call(places, self._pooled({"input": texts}), self._read_pooled)

    def _text(self, item: Scoring) -> str:
        settings = self._settings
        if settings.task == "prm" and settings.step_marker is not None:
            return "".join(split_steps(item.text, settings.step_delimiter, settings.step_marker))
        return item.text

    def _read_pooled(self, answer: Any) -> Sequence[float | None]:
        rows = sorted(answer["data"], key=lambda row: row["index"])
        if self._settings.endpoint_api == "classify":
            return [float(row["probs"][self._settings.label]) for row in rows]
        return [self._read_steps(row["data"]) for row in rows]

    def _read_steps(self, rows: Sequence[Any]) -> float | None:
        label = self._settings.label
        steps = [float(row[label] if isinstance(row, list) else row) for row in rows]
        orm = self._settings.task == "orm"
        return aggregate(steps, "last" if orm else self._settings.aggregation)

    def _pair_call(self, items: Sequence[Scoring], places: Sequence[int]) -> _Call:
        body = {
            "text_1": [question_text(items[i].question) for i in places],
            "text_2": [items[i].text for i in places],
            "use_activation": self._settings.activation,
        }

        def read(answer: Any) -> Sequence[float | None]:
            rows = sorted(answer["data"], key=lambda row: row["index"])
            return [float(row["score"]) for row in rows]

        return _Call(places, self._named(body), read)

    def _json_call(self, items: Sequence[Scoring], places: Sequence[int]) -> _Call:
        asked = [
            {
                "question": [dict(turn) for turn in items[i].question],
                "text": items[i].text,
                "complete": items[i].complete,
            }
            for i in places
        ]

        def read(answer: Any) -> Sequence[float | None]:
            return [None if score is None else float(score) for score in answer["scores"]]

        return _Call(places, self._named({"items": asked}), read)
