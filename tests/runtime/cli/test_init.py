"""``init`` writes a config that works, whole or not at all, and says what its races showed."""

import json
import os
import signal
from pathlib import Path

import pytest

from frontrunner.runtime.config import Settings, VllmSettings, demo_config_path
from frontrunner.runtime.engines import BranchScript, Piece
from frontrunner.runtime.errors import EngineStartError
from frontrunner.runtime.runtime import Runtime

from .conftest import RunCli, read_until, scripted, scripted_process

pytestmark = pytest.mark.slow  # it starts processes of its own

BOXED = BranchScript.answering("12", seconds=0.02)
PROSE = BranchScript.answering("12", seconds=0.02, closing="The answer is {answer}.")
SILENT = BranchScript.answering(None, seconds=0.02)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with a model's files, without weights."""
    folder = tmp_path / "some-model"
    folder.mkdir()
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 2048,
        "vocab_size": 1000,
        "dtype": "bfloat16",
    }
    (folder / "config.json").write_text(json.dumps(config))
    template = {"chat_template": "{% for m in messages %}{{ m.content }}{% endfor %}"}
    (folder / "tokenizer_config.json").write_text(json.dumps(template))
    return folder


def no_engine(settings: Settings) -> Runtime:
    raise AssertionError("no engine is wanted")


def left_behind(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def test_a_model_that_answers_as_it_is_asked(run_cli: RunCli, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "my.toml"
    done = run_cli("init", str(model), "--out", str(out), make_runtime=scripted(BOXED))
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("some-model, on a ")
    assert "✓ branches       48 of 48 branches answered in a \\boxed{} by themselves" in done.out
    assert "confidence " in done.out
    assert "1 of 3 answers were right (of single branches 16 of 48)" in done.out
    assert "do not read it as the chance of being right" in done.out
    assert "tokens a second by 16 branches together" in done.out
    assert f"--config {out}" in done.out
    assert left_behind(tmp_path) == ["my.toml"]
    settings = Settings.from_toml(out)
    assert isinstance(settings.engine, VllmSettings)
    assert Path(settings.engine.model) == model
    assert settings.answers.kind == "boxed"
    assert settings.race.deadline <= 120.0  # of what was measured
    text = out.read_text()
    assert 'model = "./some-model"' in text
    for line in text.splitlines():  # each line has its reason
        assert not line or line[0] in "#[" or "#" in line or line.startswith(("model", "p95"))


def test_a_model_that_boxes_nothing_is_read_otherwise(
    run_cli: RunCli, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "my.toml"
    done = run_cli("init", str(model), "--out", str(out), make_runtime=scripted(PROSE))
    assert done.status == 0
    assert "48 of 48 branches answered with a number by themselves" in done.out
    assert Settings.from_toml(out).answers.kind == "last_number"
    assert "asked for a \\boxed{}, 0 of 16 branches gave one" in out.read_text()


def test_a_model_that_answers_nothing_is_written_down_so(
    run_cli: RunCli, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "my.toml"
    done = run_cli("init", str(model), "--out", str(out), make_runtime=scripted(SILENT))
    assert done.status == 1
    assert (
        "✗ branches       no branch answers in a \\boxed{}: 48 of 48 ended without one" in done.out
    )
    assert "I do not know." in done.out
    text = " ".join(line.removeprefix("# ") for line in out.read_text().splitlines())
    assert "In the trial 0 of 48 branches answered in a \\boxed{} by themselves" in text
    Settings.from_toml(out)


def test_branches_that_are_cut_at_their_limit(run_cli: RunCli, model: Path, tmp_path: Path) -> None:
    talks = BranchScript(tuple(Piece(0.0001, f"word{i} ", 10) for i in range(400)))
    done = run_cli("init", str(model), "--out", str(tmp_path / "a"), make_runtime=scripted(talks))
    assert done.status == 1
    assert "were cut at sampling.max_tokens = " in done.out
    assert "→ raise sampling.max_tokens" in done.out


def test_what_a_damaged_tokenizer_writes(run_cli: RunCli, model: Path, tmp_path: Path) -> None:
    odd = BranchScript((Piece(0.01, "TheĠansĠwerĠisĠ12.", 5),))
    done = run_cli("init", str(model), "--out", str(tmp_path / "a"), make_runtime=scripted(odd))
    assert "✗ branches" in done.out or "48 of 48" in done.out
    silent = BranchScript((Piece(0.01, "Ġnoneofitisknown" * 9, 5),))
    done = run_cli("init", str(model), "--out", str(tmp_path / "b"), make_runtime=scripted(silent))
    assert "tokenizer.json was damaged" in done.out


def test_a_file_that_exists_stays(run_cli: RunCli, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "my.toml"
    out.write_text("mine")
    done = run_cli("init", str(model), "--out", str(out), make_runtime=no_engine)
    assert done.status == 2
    assert "--force" in done.err
    assert out.read_text() == "mine"
    forced = run_cli("init", str(model), "--out", str(out), "--force", "--no-race")
    assert forced.status == 0
    Settings.from_toml(out)
    assert left_behind(tmp_path) == ["my.toml"]


def test_an_engine_that_does_not_start(run_cli: RunCli, model: Path, tmp_path: Path) -> None:
    def broken(settings: Settings) -> Runtime:
        raise EngineStartError("no luck")

    out = tmp_path / "my.toml"
    done = run_cli("init", str(model), "--out", str(out), make_runtime=broken)
    assert done.status == 2
    assert f"error: {out} is written, but its engine does not run: no luck" in done.err
    Settings.from_toml(out)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("/nowhere/model",), "there is no folder"),
        (("ftp://host/v1",), "must begin with http"),
        (("http://127.0.0.1:9/v1",), "is it running there"),
        (("{model}", "--key-env", "KEY"), "--key-env is for endpoints"),
        (("{model}", "--out", "/nowhere/at/all.toml"), "cannot write /nowhere/at/all.toml"),
    ],
)
def test_what_cannot_be_written(
    run_cli: RunCli, model: Path, arguments: tuple[str, ...], said: str
) -> None:
    out = () if "--out" in arguments else ("--out", str(model.parent / "my.toml"))
    given = [argument.format(model=model) for argument in arguments]
    done = run_cli("init", *given, *out, make_runtime=no_engine)
    assert done.status == 2
    assert said in done.err
    assert left_behind(model.parent) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_nothing(model: Path, tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "my.toml"
    with scripted_process("endless", "init", str(model), "--out", str(out)) as started:
        read_until(started.stdout, b"some-model")
        os.kill(started.pid, number)
        _, err = started.communicate()
        assert (started.returncode, err) == (128 + number, b"")
    assert left_behind(tmp_path) == []


def test_the_demos_model(run_cli: RunCli, tmp_path: Path) -> None:
    out = tmp_path / "my.toml"
    done = run_cli("init", "demo", "--out", str(out), make_runtime=scripted(BOXED))
    assert done.status == 0
    settings = Settings.from_toml(out)
    assert settings.engine.model == "demo"
    assert settings.forcing.suffix == "\nTime is up. The answer is \\boxed{"
    demo = Settings.from_toml(demo_config_path())
    assert settings.race.parameters == demo.race.parameters
