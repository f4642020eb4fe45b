"""The doctor says what is wrong, and what to do about it."""

import sys
from pathlib import Path

import orjson
import pytest

from frontrunner.runtime.cli.commands import doctor_checks as checks
from frontrunner.runtime.cli.commands.doctor_checks import Finding, Level
from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines import BranchScript
from frontrunner.runtime.errors import EngineStartError
from frontrunner.runtime.runtime import Runtime

from .conftest import RunCli, scripted

pytestmark = pytest.mark.slow  # it starts processes of its own


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def no_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if torch and vLLM were in order, without the seconds that importing them takes.

    They are looked at in ``tests/engine/test_doctor_on_vllm.py``.
    """

    async def libraries() -> list[Finding]:
        return [Finding("vllm", Level.GOOD, "0")]

    monkeypatch.setattr(checks, "libraries", libraries)


@pytest.mark.usefixtures("no_imports")
def test_json_without_an_engine(run_cli: RunCli) -> None:
    done = run_cli("doctor", "--no-engine", "--json")
    report = orjson.loads(done.out)
    assert set(report) == {"healthy", "findings"}
    assert done.status == (0 if report["healthy"] else 1)
    for finding in report["findings"]:
        assert set(finding) == {"name", "level", "detail", "advice"}
        assert finding["level"] in ("good", "warning", "bad")
        assert finding["detail"]
    levels = {finding["name"]: finding["level"] for finding in report["findings"]}
    assert {"python", "frontrunner", "config", "processor", "memory", "vllm", "plugin"} <= set(
        levels
    )
    assert levels["answers"] == "good"
    assert report["healthy"] == ("bad" not in levels.values())
    assert "engine" not in levels


@pytest.mark.usefixtures("no_imports")
def test_a_token_is_generated_on_the_configured_engine(run_cli: RunCli) -> None:
    one = scripted(BranchScript.answering(None, seconds=0.01, tokens=1))
    done = run_cli("doctor", make_runtime=one)
    assert "✓ engine         started in " in done.out
    assert "\x1b" not in done.out


@pytest.mark.usefixtures("no_imports")
def test_an_engine_that_does_not_start_is_a_finding(run_cli: RunCli) -> None:
    def broken(settings: Settings) -> Runtime:
        raise EngineStartError("no luck")

    done = run_cli("doctor", make_runtime=broken)
    assert done.status == 1
    assert "✗ engine         no luck" in done.out


@pytest.mark.usefixtures("no_imports")
def test_a_bad_config_is_a_finding(run_cli: RunCli, tmp_path: Path) -> None:
    config = tmp_path / "engine.toml"
    config.write_text("[engin]")
    done = run_cli("doctor", "--config", str(config))
    assert done.status == 1
    assert f"✗ config         {config}: engin: unknown key" in done.out


def test_models(tmp_path: Path) -> None:
    def of(model: str) -> Finding:
        settings = Settings.from_dict({"engine": {"model": model}})
        return checks.models(settings)[0]

    missing = of(str(tmp_path / "missing"))
    assert (missing.level, missing.detail) == (Level.BAD, f"no model in {tmp_path / 'missing'}")
    (tmp_path / "config.json").write_text("{}")
    assert of(str(tmp_path)).level is Level.BAD
    (tmp_path / "model.safetensors").write_bytes(bytes(2**20))
    whole = of(str(tmp_path))
    assert whole.level is Level.GOOD
    assert whole.detail.endswith("1.0 MiB of weights")
    assert of("somebody/some-model").level is Level.GOOD


def test_cuda_companions_of_a_cpu_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"torch": "2.13.0+cpu", "torchvision": "0.28.0", "torchaudio": "2.13.0+cpu"}
    monkeypatch.setattr(checks, "_version", versions.get)
    (finding,) = checks.companions()
    assert finding.level is Level.BAD
    assert finding.advice == "text models need none of them: pip uninstall torchvision"
    versions["torch"] = "2.13.0"
    assert checks.companions() == []


def test_the_plugin_may_be_kept_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Entry:
        name = "frontrunner_cpu_corrections"

    drafting = Settings.from_dict({"engine": {"speculation": {"method": "ngram"}}})
    monkeypatch.setattr(checks, "entry_points", lambda group: [Entry()])
    monkeypatch.setattr(checks, "_version", {"torch": "2.13.0"}.get)
    monkeypatch.delenv("VLLM_PLUGINS", raising=False)
    assert checks.plugin(drafting).level is Level.GOOD
    monkeypatch.setenv("VLLM_PLUGINS", "another")
    assert checks.plugin(drafting).level is Level.BAD
    assert checks.plugin(Settings()).level is Level.WARNING
    monkeypatch.setattr(checks, "entry_points", lambda group: [])
    assert checks.plugin(drafting).level is Level.BAD


@pytest.mark.parametrize(
    ("probe", "bad"),
    [
        ("raise ImportError('no torch')", {"torch", "vllm"}),
        ("import os; os.abort()", {"torch", "vllm"}),
        (
            'print(\'{"torch": {"version": "2+cpu", "cuda": null, "gpus": 0}}\', flush=True);'
            "import os; os.abort()",
            {"vllm"},
        ),
    ],
)
async def test_a_library_that_crashes_is_a_finding(
    monkeypatch: pytest.MonkeyPatch, probe: str, bad: set[str]
) -> None:
    monkeypatch.setattr(checks, "_PROBE", probe)
    found = await checks.libraries()
    assert {finding.name for finding in found if finding.level is Level.BAD} == bad
    assert all(finding.advice for finding in found if finding.level is Level.BAD)


def test_this_machine() -> None:
    assert checks.python().level is not Level.BAD or sys.platform != "linux"
    assert "cores" in checks.processor().detail
    assert "GiB" in checks.memory().detail


def doctored(run_cli: RunCli, config: Path, *branches: BranchScript) -> str:
    return run_cli("doctor", "--config", str(config), make_runtime=scripted(*branches)).out


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Of an engine that is scripted, whatever it says."""
    file = tmp_path / "my.toml"
    file.write_text('[engine]\nkind = "openai"\nurl = "http://127.0.0.1:9"\n')
    return file


@pytest.mark.usefixtures("no_imports")
def test_with_a_config_it_races(run_cli: RunCli, config: Path) -> None:
    out = doctored(run_cli, config, BranchScript.answering("60", seconds=0.02))
    assert "✗ endpoint " in out
    assert "✓ branches       48 of 48 branches answered in a \\boxed{} by themselves" in out
    assert "16 of 48" in out
    config.write_text(config.read_text() + '[prompt]\ninstruction = ""\n')
    out = doctored(run_cli, config, BranchScript.answering(None, seconds=0.02))
    assert "✗ branches       no branch answers in a \\boxed{}: 48 of 48 ended without one" in out
    assert '→ nobody asks for the form: set prompt.instruction = "auto"' in out
    one = run_cli("doctor", "--config", str(config), "--no-race", make_runtime=scripted()).out
    assert "branches" not in one


@pytest.mark.usefixtures("no_imports")
@pytest.mark.parametrize(
    ("kind", "closing", "form"),
    [
        ("multiple_choice", "The answer is ({answer}).", "with a letter"),
        ("last_number", "So that is {answer}.", "with a number"),
    ],
)
def test_the_questions_are_of_the_kind(
    run_cli: RunCli, config: Path, kind: str, closing: str, form: str
) -> None:
    config.write_text(f'{config.read_text()}[answers]\nkind = "{kind}"\n')
    answer = "B" if kind == "multiple_choice" else "12"
    script = BranchScript.answering(answer, seconds=0.02, closing=closing)
    out = doctored(run_cli, config, script)
    assert f"48 of 48 branches answered {form} by themselves" in out
    assert "1 of 3 answers were right" in out


@pytest.mark.usefixtures("no_imports")
def test_other_kinds_are_not_raced(run_cli: RunCli, config: Path) -> None:
    config.write_text(config.read_text() + '[answers]\nkind = "json"\n')
    out = doctored(run_cli, config)
    assert "! branches       not raced: the questions have numbers for answers" in out


def test_the_drafts_of_the_demo_are_for_the_demo() -> None:
    assert len(checks.models(Settings())) == 2
    other = Settings.from_dict({"engine": {"model": "somebody/some-model"}})
    assert [finding.name for finding in checks.models(other)] == ["model"]
    gguf = Settings.from_dict({"engine": {"model": "/models/some-q4.gguf"}})
    (finding,) = checks.models(gguf)
    assert (finding.level, finding.detail) == (Level.BAD, "/models/some-q4.gguf is a GGUF file")
