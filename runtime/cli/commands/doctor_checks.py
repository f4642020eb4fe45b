"""The checks of ``frontrunner doctor``; each returns what it found and never raises."""

import os
import platform
import sys
from contextlib import aclosing, suppress
from importlib.metadata import PackageNotFoundError, distribution, entry_points
from pathlib import Path
from subprocess import PIPE
from typing import Any, Final

import anyio
import orjson

from frontrunner import __version__

from ...answers import Equivalence, WorkerPool
from ...config import DEMO_DRAFT_MODEL, DEMO_MODEL, DEMO_MODELS, Settings
from ...engines.protocol import Generation, Sampling
from ...engines.vllm.engine import model_folder
from ...errors import BadRequest, FrontrunnerError
from ...model_files.inspection import GGUF_ADVICE, inspect
from ...runtime import Runtime
from ..common.engine_startup import RuntimeFactory, started
from ..common.findings import Finding, Level
from ..common.machine import installed_version, memory_bytes
from ..common.printable import one_line
from ..common.trial import KINDS, quiet, run_trial
from ..common.trial_findings import findings_of
from ..common.trial_progress import trial_progress
from .doctor_model import tools_finding

_GIB = 2**30
#: What importing vLLM may take on a slow disk, in seconds.
_IMPORT_LIMIT = 300.0
#: What an engine may take to start and to generate one token, in seconds: a hub model loads.
_ENGINE_LIMIT = 1800.0
_PLUGIN: Final = "frontrunner_cpu_corrections"
_INSTALL: Final = (
    "pip install 'frontrunner[vllm]' on a machine with a GPU, or 'frontrunner[cpu]' without one"
)
#: Prints a line of JSON for each library that could be imported, so that the rest is known even
#: if one of them takes the whole process down.
_PROBE: Final = """\
import json
import torch
print(json.dumps({"torch": {
    "version": torch.__version__,
    "cuda": torch.version.cuda or torch.version.hip,
    "gpus": torch.cuda.device_count() if torch.cuda.is_available() else 0,
}}), flush=True)
import vllm
import vllm.v1.engine.async_llm
from vllm.platforms import current_platform
print(json.dumps({"vllm": {
    "version": vllm.__version__,
    "device": current_platform.device_type,
}}), flush=True)
"""


def python() -> Finding:
    detail = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.platform != "linux":
        return Finding("python", Level.BAD, detail, "vLLM runs on Linux: use a container")
    if sys.version_info[:2] > (3, 14):
        return Finding("python", Level.WARNING, detail, "vLLM is built for Python 3.11 to 3.14")
    return Finding("python", Level.GOOD, detail)


def installation() -> Finding:
    place = Path(__file__).resolve().parents[3]
    try:
        url = distribution("frontrunner").read_text("direct_url.json")
    except PackageNotFoundError:
        detail = f"{__version__} from {place}, not installed"
        return Finding("frontrunner", Level.WARNING, detail, "pip install -e . in the checkout")
    editable = url is not None and orjson.loads(url).get("dir_info", {}).get("editable", False)
    mode = f"editable, from {place}" if editable else "installed as a package"
    return Finding("frontrunner", Level.GOOD, f"{__version__}, {mode}")


def processor() -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    flags: set[str] = set()
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("flags", "Features")):
                flags = set(line.partition(":")[2].split())
                break
    known = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16")
    has = [flag for flag in known if flag in flags]
    detail = f"{cores} cores, {', '.join(has) or 'no vector instructions known to vLLM'}"
    if not has:
        return Finding("processor", Level.WARNING, detail, "vLLM needs a GPU here")
    if cores == 1:
        return Finding("processor", Level.WARNING, detail, "with one core the engine waits for us")
    return Finding("processor", Level.GOOD, detail)


def memory() -> Finding:
    known = memory_bytes()
    if known is None:
        return Finding("memory", Level.WARNING, "unknown: there is no /proc/meminfo")
    total, free = known
    detail = f"{free / _GIB:.1f} GiB free of {total / _GIB:.1f}"
    if free < 3 * _GIB:
        advice = "the demo on a CPU needs about 3 GiB: end something else"
        return Finding("memory", Level.WARNING, detail, advice)
    return Finding("memory", Level.GOOD, detail)


async def libraries() -> list[Finding]:
    """Import torch and vLLM in a process of their own, so that a crash is a finding.

    Cancelling it ends that process.
    """
    with anyio.move_on_after(_IMPORT_LIMIT):
        done = await anyio.run_process(
            [sys.executable, "-c", _PROBE],
            check=False,
            stdout=PIPE,
            stderr=PIPE,
            env=os.environ | {"VLLM_LOGGING_LEVEL": "ERROR"},
        )
        seen: dict[str, dict[str, Any]] = {}
        for line in done.stdout.splitlines():
            with suppress(orjson.JSONDecodeError, TypeError):
                seen |= orjson.loads(line)
        last = one_line(
            (done.stderr.decode(errors="replace").strip() or "no word").splitlines()[-1]
        )
        ended = f"its import ended with status {done.returncode}: {last}"
        return [_torch(seen.get("torch"), ended), _vllm(seen, ended)]
    return [Finding("vllm", Level.BAD, f"not imported after {_IMPORT_LIMIT:g} s", _INSTALL)]


def _torch(seen: dict[str, Any] | None, ended: str) -> Finding:
    if seen is None:
        return Finding("torch", Level.BAD, ended, _INSTALL)
    gpu = Path("/dev/nvidiactl").exists()
    if seen["cuda"] is None:
        detail = f"{seen['version']}, for CPU"
        if gpu:
            return Finding("torch", Level.WARNING, detail, f"there is a GPU: {_INSTALL}")
        return Finding("torch", Level.GOOD, detail)
    detail = f"{seen['version']}, for CUDA {seen['cuda']}, {seen['gpus']} GPUs usable"
    if seen["gpus"]:
        return Finding("torch", Level.GOOD, detail)
    advice = "nvidia-smi says whether the driver works" if gpu else "pip install 'frontrunner[cpu]'"
    return Finding("torch", Level.WARNING, detail, advice)


def _vllm(seen: dict[str, dict[str, Any]], ended: str) -> Finding:
    vllm = seen.get("vllm")
    if vllm is None:
        detail = ended if "torch" in seen else "not tried, because torch cannot be imported"
        return Finding("vllm", Level.BAD, detail, _INSTALL)
    detail = f"{vllm['version']}, runs on {vllm['device'] or 'nothing'}"
    if not vllm["device"]:
        return Finding("vllm", Level.BAD, detail, "this build finds no device: " + _INSTALL)
    if vllm["device"] == "cpu" and (seen["torch"]["gpus"] or 0) > 0:
        return Finding("vllm", Level.WARNING, detail, f"a GPU is not used: {_INSTALL}")
    return Finding("vllm", Level.GOOD, detail)


def companions() -> list[Finding]:
    """CUDA builds of these, next to a CPU torch, break the import of transformers."""
    found = {name: _version(name) for name in ("torchvision", "torchaudio", "torchcodec")}
    installed = [name for name, its in found.items() if its is not None]
    torch = _version("torch") or ""
    if not installed or not torch.endswith("+cpu"):
        return []
    wrong = [name for name in installed if not (found[name] or "").endswith("+cpu")]
    if not wrong:
        return []
    detail = f"{', '.join(wrong)} for CUDA next to torch {torch}: transformers cannot be imported"
    advice = f"text models need none of them: pip uninstall {' '.join(wrong)}"
    return [Finding("companions", Level.BAD, detail, advice)]


def plugin(settings: Settings | None) -> Finding:
    """Without it vLLM's CPU backend garbles speculation, and some seeded requests end it."""
    registered = any(e.name == _PLUGIN for e in entry_points(group="vllm.general_plugins"))
    speculates = settings is not None and settings.engine.speculation.method != "none"
    needed = speculates or (_version("torch") or "").endswith("+cpu")
    level = Level.BAD if needed else Level.WARNING
    allowed = os.environ.get("VLLM_PLUGINS")
    if not registered:
        detail = "our corrections of vLLM's CPU backend are not registered with vLLM"
        return Finding("plugin", level, detail, "install Frontrunner again")
    if allowed is not None and _PLUGIN not in allowed.split(","):
        detail = "the environment variable VLLM_PLUGINS keeps out our corrections of vLLM"
        return Finding("plugin", level, detail, f"add {_PLUGIN} to it")
    return Finding("plugin", Level.GOOD, "vLLM's CPU backend is corrected where it needs to be")


def models(settings: Settings) -> list[Finding]:
    if settings.engine.kind != "vllm":
        return []  # the endpoint's own
    target, draft = settings.engine.model, settings.engine.speculation.draft_model
    found = [_model("model", target, needed=True)]
    if draft is not None:
        return [*found, _model("draft model", draft, needed=True)]
    if target == DEMO_MODEL:
        return [*found, _model("draft model", DEMO_DRAFT_MODEL, needed=False)]
    return found


def _model(name: str, model: str, *, needed: bool) -> Finding:
    folder = Path(model_folder(model))
    if folder.suffix.lower() == ".gguf":
        return Finding(name, Level.BAD, f"{folder} is a GGUF file", GGUF_ADVICE)
    if not folder.is_absolute():
        return Finding(name, Level.GOOD, f"{model} of the hub, loaded at the first start")
    if not (folder / "config.json").exists():
        level = Level.BAD if needed else Level.WARNING
        if not needed:
            advice = "only configs that draft with it need it"
        elif model in (*DEMO_MODELS, DEMO_DRAFT_MODEL):
            advice = "it ships inside the package: install Frontrunner again"
        else:
            advice = "correct the config, or copy the model there"
        return Finding(name, level, f"no model in {folder}", advice)
    try:
        weights = inspect(folder).weight_bytes
    except BadRequest as error:
        return Finding(name, Level.BAD, str(error))
    if not weights:
        return Finding(name, Level.BAD, f"no weights in {folder}", "copy the model again")
    return Finding(name, Level.GOOD, f"{folder}, {weights / 2**20:,.1f} MiB of weights")


async def answer_worker() -> Finding:
    r"""Ask a worker process whether ``\sqrt{8}`` is ``2\sqrt{2}``."""
    async with WorkerPool(1) as pool:
        ready = await pool.warm_up()
        equal = await Equivalence(pool, timeout_s=10.0).same(r"\sqrt{8}", r"2\sqrt{2}")
    if equal:
        return Finding("answers", Level.GOOD, r"\sqrt{8} = 2\sqrt{2} in a worker process")
    detail = (
        r"a worker cannot tell \sqrt{8} from 2\sqrt{2}" if ready else "no worker process started"
    )
    advice = "pip install --force-reinstall latex2sympy2-extended sympy"
    return Finding("answers", Level.BAD, detail, advice)


async def engine(
    settings: Settings, make_runtime: RuntimeFactory, *, race: bool = False
) -> list[Finding]:
    """Generate one token on the configured engine, and race three questions if that is wanted.

    Cancelling it stops the engine.
    """
    found: list[Finding] = []
    try:
        with anyio.fail_after(_ENGINE_LIMIT):
            began = anyio.current_time()
            chosen = quiet(settings) if race else settings
            async with started(make_runtime(chosen), show=True) as runtime:
                ready = anyio.current_time()
                found.append(await _token(runtime, ready - began))
                if settings.engine.kind == "openai" and settings.engine.tokenizer is None:
                    found.append(tools_finding(runtime.engine.info.chat))
                if race:
                    found += await _races(runtime)
    except (FrontrunnerError, TimeoutError) as error:
        detail = one_line(str(error)) or f"nothing after {_ENGINE_LIMIT:g} s"
        advice = 'engine.log_level = "INFO" in the config shows what vLLM says'
        found.append(Finding("engine", Level.BAD, detail, advice))
    return found


async def _races(runtime: Runtime) -> list[Finding]:
    """
    Raises:
        FrontrunnerError: the engine failed.
    """
    kind = runtime.settings.answers.kind
    if kind not in KINDS:
        detail = f"not raced: the questions have numbers for answers, and answers.kind is {kind!r}"
        return [Finding("branches", Level.WARNING, detail)]
    with trial_progress() as told:
        return findings_of(await run_trial(runtime, told), runtime.settings)


async def _token(runtime: Runtime, start: float) -> Finding:
    """
    Raises:
        FrontrunnerError: the engine lost the request.
    """
    began, tokens = anyio.current_time(), 0
    prompt = runtime.engine.encode_chat([{"role": "user", "content": "Hello"}])
    request = Generation("doctor", prompt, 1, Sampling())
    async with aclosing(runtime.engine.generate(request)) as chunks:
        async for chunk in chunks:
            tokens += len(chunk.token_ids)
    spent = anyio.current_time() - began
    if tokens != 1:
        return Finding("engine", Level.BAD, f"generated {tokens} tokens instead of one", None)
    detail = f"started in {start:.1f} s, a token in {spent * 1000:.0f} ms"
    return Finding("engine", Level.GOOD, detail)


def _version(name: str) -> str | None:
    return installed_version(name, "") or None
