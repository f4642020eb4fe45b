"""What ``frontrunner doctor`` finds out about a model by its files and its tokenizer, before the
engine starts; each check returns what it found and never raises."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from subprocess import DEVNULL, PIPE
from typing import Any, Final

import anyio
import anyio.to_thread

from ...answers import make_extractor
from ...common.logs import configure_logs
from ...config import OpenAISettings, PoolSettings, Settings, VllmSettings
from ...engines.openai.served_model import endpoint_prompt, inspect_endpoint
from ...engines.openai.tokens import LocalTokenizer
from ...engines.protocol import ChatSupport, Message
from ...engines.vllm.start import model_folder
from ...errors import BadRequest, FrontrunnerError
from ...model_files.cache_room import cache_room
from ...model_files.families import with_family
from ...model_files.inspection import ModelFiles, inspect
from ...model_files.proposal import LARGE_VOCABULARY, check_servable
from ...prompts.instructions import AnswerForm, fitted, instruction_for, with_instruction
from ..common.findings import Finding, Level
from ..common.machine import this_machine
from ..common.printable import one_line, printable
from ..common.trial import quiet

_GIB: Final = 2**30
_QUESTION: Final = "Tom has 3 apples and buys 5 more. How many apples has he now?"
#: Text as people write it, which a tokenizer must give back as it was.
_SAMPLE: Final = "The total is 12.5 euros, he said;\n  then 7 × 3 = 21 — naïve, isn't it?"
#: Characters of the prompt that are shown, at its beginning and its end.
_SHOWN: Final = 400
#: Branches at which the cost of sampling is measured, and how often.
_ROWS: Final = 16
_TIMES: Final = 3
#: Seconds that it may take, the import of vLLM included.
_MEASURING: Final = 120.0
_MEASURE: Final = """\
import sys, time, torch
from vllm.v1.sample.ops.topk_topp_sampler import apply_top_k_top_p
vocabulary, top_p, rows, times = (float(word) for word in sys.argv[1:])
rows = int(rows)
for k, p in ((None, torch.full((rows,), top_p)), (torch.full((rows,), 50), None)):
    best = 1e9
    for _ in range(int(times)):
        logits = torch.randn(rows, int(vocabulary))
        began = time.perf_counter()
        apply_top_k_top_p(logits, k, p)
        best = min(best, time.perf_counter() - began)
    print(best, flush=True)
"""


async def model_findings(settings: Settings) -> list[Finding]:
    """What the files of the configured model, or its endpoint, and its tokenizer show."""
    log = quiet(settings).log
    configure_logs(log.level, log.format)  # what it would warn of is found here
    engine = settings.engine
    if isinstance(engine, PoolSettings):
        return await _member_findings(settings, engine)
    if isinstance(engine, OpenAISettings):
        files, found = await _endpoint(engine)
        name = engine.tokenizer
    else:
        files, found = await anyio.to_thread.run_sync(_files, engine)
        name = model_folder(engine.model)
    if files is None:
        return found
    if isinstance(engine, OpenAISettings) and name is None:
        found += await _endpoint_prompt(settings, engine, files)
    if name is not None:
        found += await anyio.to_thread.run_sync(_tokenizer_findings, settings, name)
    if isinstance(engine, VllmSettings) and this_machine().on_cpu:
        found += await _cpu_findings(engine, settings, files)
    return found


async def _member_findings(settings: Settings, pool: PoolSettings) -> list[Finding]:
    """The same of each member of a pool, under its name."""
    found: list[Finding] = []
    for name, member in zip(pool.names, pool.members, strict=True):
        one = settings.model_copy(update={"engine": member})
        of_member = await model_findings(one)
        found += [replace(finding, name=f"{name}: {finding.name}") for finding in of_member]
    return found


async def _endpoint(engine: OpenAISettings) -> tuple[ModelFiles | None, list[Finding]]:
    try:
        files = await inspect_endpoint(engine)
    except FrontrunnerError as error:
        advice = "start the server, or correct engine.url and engine.key_env"
        return None, [Finding("endpoint", Level.BAD, one_line(str(error)), advice)]
    server = files.server or "a server that does not say its version"
    detail = f"{server} serves {one_line(files.model)}"
    if files.served_context is not None:
        return files, [
            Finding("endpoint", Level.GOOD, f"{detail}, context {files.served_context:,} tokens")
        ]
    if engine.max_context_tokens is not None:
        return files, [Finding("endpoint", Level.GOOD, detail)]
    advice = "set engine.max_context_tokens"
    detail += ", and does not say how long its context is"
    return files, [Finding("endpoint", Level.BAD, detail, advice)]


async def _endpoint_prompt(
    settings: Settings, engine: OpenAISettings, files: ModelFiles
) -> list[Finding]:
    """The prompt as the endpoint renders it, where it can be asked."""
    try:
        told = with_family(settings)
        messages = conversation(told, ChatSupport())
        arguments = told.prompt.template_arguments
        text = await endpoint_prompt(engine, files.model, messages, arguments)
    except FrontrunnerError as error:
        return [Finding("prompt", Level.BAD, one_line(str(error)), None)]
    if text is None:
        return []
    return [Finding("prompt", Level.GOOD, shown(text))]


def _files(engine: VllmSettings) -> tuple[ModelFiles | None, list[Finding]]:
    try:
        files = inspect(model_folder(engine.model))
        check_servable(files)
    except BadRequest as error:
        said, _, advice = str(error).removeprefix("engine.model: ").partition(": ")
        return None, [Finding("model files", Level.BAD, one_line(said), advice or None)]
    facts = [files.architecture, files.dtype and f"saved in {files.dtype}"]
    if files.vocabulary_size is not None:
        facts.append(f"vocabulary {files.vocabulary_size:,}")
    if files.context_tokens is not None:
        facts.append(f"context {files.context_tokens:,} tokens")
    detail = ", ".join(fact for fact in facts if fact) or "a config.json that says little"
    return files, [Finding("model files", Level.GOOD, detail)]


# ── the tokenizer, and the prompt that it makes ───────────────────────────────────────────────


def _tokenizer_findings(settings: Settings, name: str) -> list[Finding]:
    try:
        from transformers import AutoTokenizer

        tokenizer: Any = AutoTokenizer.from_pretrained(name)
        found = [_round_trip(tokenizer, suffix_of(settings))]
    except ImportError:
        advice = "pip install transformers, which vLLM's installation brings"
        return [Finding("tokenizer", Level.WARNING, "not looked at: no transformers", advice)]
    except Exception as error:  # noqa: BLE001 - a broken file may make the library raise anything
        said = one_line(str(error)) or type(error).__name__
        advice = "copy tokenizer.json and tokenizer_config.json from where the model is from"
        return [Finding("tokenizer", Level.BAD, f"it cannot be loaded: {said[:200]}", advice)]
    try:
        settings = with_family(settings)
        return [*found, *_prompt(settings, LocalTokenizer(tokenizer, settings.prompt), tokenizer)]
    except FrontrunnerError as error:
        return [*found, Finding("prompt", Level.BAD, one_line(str(error)), None)]


def suffix_of(settings: Settings) -> str:
    """The text that a branch which is cut goes on from."""
    if settings.forcing.suffix is not None:
        return settings.forcing.suffix
    return make_extractor(settings.answers).suffix or ""


def _round_trip(tokenizer: Any, suffix: str) -> Finding:
    """Whether text comes out of the tokenizer as it went in, but for blanks that it joins."""
    for text in filter(None, (suffix, _SAMPLE)):
        ids: Sequence[int] = tokenizer.encode(text, add_special_tokens=False)
        back: str = tokenizer.decode(ids, skip_special_tokens=False)
        if back.split() != text.split():
            detail = f"it writes {shown(back)} for {shown(text)}"
            advice = (
                "a conversion has damaged it: copy tokenizer.json and tokenizer_config.json from "
                "where the model is from"
            )
            return Finding("tokenizer", Level.BAD, detail, advice)
    detail = "it gives back what it takes"
    if suffix:
        detail += f", and so the suffix of forced answers: {shown(suffix)}"
    return Finding("tokenizer", Level.GOOD, detail)


def conversation(settings: Settings, chat: ChatSupport) -> Sequence[Message]:
    """A question as a race would put it to the model, with the instruction that it adds.

    Raises:
        BadRequest: ``prompt.placement`` does not go with the model.
    """
    messages: Sequence[Message] = fitted([{"role": "user", "content": _QUESTION}], chat)
    form = AnswerForm(settings.answers.kind, settings.answers.json_schema)
    added = instruction_for(settings.prompt, None, form, settings.answers.kind)
    if added is None or not added.needed(messages):
        return messages
    return with_instruction(messages, added.text, settings.prompt.placement, chat)


def _prompt(settings: Settings, local: LocalTokenizer, tokenizer: Any) -> list[Finding]:
    chat = local.chat
    try:
        messages = conversation(settings, chat)
        text = local.chat_text(messages)
        ids = local.encode_chat(messages, None)
    except FrontrunnerError as error:
        return [Finding("prompt", Level.BAD, one_line(str(error)), None)]
    found: list[Finding] = []
    if chat.template:
        found.append(Finding("prompt", Level.GOOD, shown(text)))
    else:
        advice = (
            "right for a base model; a model that was tuned for chats has its template in "
            "tokenizer_config.json or chat_template.jinja: copy it, or set prompt.chat_template"
        )
        detail = f"there is no chat template, so it is laid out plainly: {shown(text)}"
        found.append(Finding("prompt", Level.WARNING, detail, advice))
    found.append(tools_finding(chat))
    if not chat.system:
        detail = "the chat template shows none: what it says is put before the user's message"
        found.append(Finding("system message", Level.GOOD, detail))
    found.append(_start(ids, tokenizer))
    return found


def tools_finding(chat: ChatSupport) -> Finding:
    """Whether the model hears of the tools of a request."""
    if chat.tools is None:
        return Finding("tools", Level.GOOD, "it is not known whether the model is shown them")
    if chat.tools:
        return Finding("tools", Level.GOOD, "the chat template shows them to the model")
    silent = "the chat template leaves tools out without a word, and the model never hears of them"
    detail = silent if chat.template else "without a chat template none are shown"
    advice = "for requests with tools set prompt.chat_template to one that shows them"
    return Finding("tools", Level.WARNING, detail, advice)


def _start(ids: Sequence[int], tokenizer: Any) -> Finding:
    """Whether a prompt begins with the token that begins a text, once, where the model wants it."""
    start = tokenizer.bos_token_id
    name = "start of text"
    if start is None:
        return Finding(name, Level.GOOD, "the model has no token for it")
    token = tokenizer.bos_token
    count = next((i for i, other in enumerate(ids) if other != start), len(ids))
    wanted = tokenizer.encode("a")[:1] == [start]
    if count > 1:
        detail = f"prompts begin with {count} {token}, one too many"
        advice = "take it out of the chat template: set prompt.chat_template to one without"
        return Finding(name, Level.BAD, detail, advice)
    if count:
        return Finding(name, Level.GOOD, f"prompts begin with {token}, once")
    if wanted:
        detail = f"prompts of conversations lack {token}, with which the tokenizer begins texts"
        advice = "set prompt.chat_template to a template that writes it ({{ bos_token }})"
        return Finding(name, Level.WARNING, detail, advice)
    return Finding(name, Level.GOOD, f"neither template nor tokenizer begins texts with {token}")


def shown(text: str) -> str:
    """A prompt in one line: its beginning and its end, line breaks as ⏎."""
    said = printable(text.replace("\n", "⏎"))
    if len(said) > 2 * _SHOWN:
        said = f"{said[:_SHOWN]} […] {said[-_SHOWN:]}"
    return f"“{said}”"


# ── a CPU's memory, and its time ──────────────────────────────────────────────────────────────


async def _cpu_findings(
    engine: VllmSettings, settings: Settings, files: ModelFiles
) -> list[Finding]:
    found = [_context(engine, files, settings), await _sampling(_top_p(settings), files)]
    return [finding for finding in found if finding is not None]


def _top_p(settings: Settings) -> float:
    """The ``top_p`` that races are drawn with."""
    try:
        return with_family(settings).sampling.top_p
    except FrontrunnerError:
        return settings.sampling.top_p


def _context(engine: VllmSettings, files: ModelFiles, settings: Settings) -> Finding | None:
    """The context against the KV cache."""
    room = cache_room(engine, files)
    if room is None:
        return None
    if not room.fits:
        return Finding("context", Level.BAD, room.problem, room.advice)
    branches, longest = settings.race.branches, settings.sampling.max_tokens
    held = room.tokens // max(1, branches)
    detail = f"{room.context:,} tokens; the KV cache holds {room.tokens:,}"
    if held < min(longest, room.context):
        detail += f", {held:,} for each of {branches} branches that may write {longest:,}"
        size = f"{room.cache_gib * min(longest, room.context) / max(1, held):.1f}"
        advice = f"the last branches would wait: set engine.cache_gib = {size}, if memory allows"
        return Finding("context", Level.WARNING, detail, advice)
    return Finding("context", Level.GOOD, detail)


async def _sampling(top_p: float, files: ModelFiles) -> Finding | None:
    """What ``top_p`` costs, measured here: a CPU sorts the vocabulary for it at every step."""
    vocabulary = files.vocabulary_size or 0
    if top_p >= 1 or vocabulary <= LARGE_VOCABULARY:
        return None
    advice = "set sampling.top_p = 1.0 and sampling.top_k = 50 instead, which is cheap"
    detail = f"top_p = {top_p:g} makes a CPU sort {vocabulary:,} tokens at every step"
    measured = await sampling_seconds(vocabulary, top_p)
    if measured is not None:
        costly, cheap = (f"{1000 * seconds:.0f} ms" for seconds in measured)
        detail += f": {costly} for {_ROWS} branches, as measured here, and top_k alone {cheap}"
    return Finding("sampling", Level.WARNING, detail, advice)


async def sampling_seconds(vocabulary: int, top_p: float) -> tuple[float, float] | None:
    """Seconds that vLLM's sampler takes on this CPU to leave out unlikely tokens, for one step of
    some branches: by ``top_p``, and by ``top_k``. None: it cannot be measured.

    It is done in a process of its own, since libraries of vLLM's say a lot when they end.
    Cancelling it ends that process.
    """
    with anyio.move_on_after(_MEASURING):
        done = await anyio.run_process(
            [sys.executable, "-c", _MEASURE, str(vocabulary), str(top_p), str(_ROWS), str(_TIMES)],
            check=False,
            stdout=PIPE,
            stderr=DEVNULL,
            env=os.environ | {"VLLM_LOGGING_LEVEL": "ERROR"},
        )
        with suppress(ValueError, IndexError):
            costly, cheap = map(float, done.stdout.split()[-2:])
            return costly, cheap
    return None
