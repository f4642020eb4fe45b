"""The trial of ``init`` and ``doctor`` on the real engine, with the model that ships."""

from frontrunner.runtime.cli.common.findings import Level
from frontrunner.runtime.cli.common.trial import first_race, run_trial
from frontrunner.runtime.cli.common.trial_findings import findings_of
from frontrunner.runtime.cli.common.trial_settings import better_kind, measured
from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines.protocol import Engine
from frontrunner.runtime.engines.vllm.start import model_folder
from frontrunner.runtime.model_files.inspection import inspect
from frontrunner.runtime.model_files.proposal import Machine, propose
from frontrunner.runtime.runtime import Runtime


async def test_a_trial_of_the_demo(borrowed: Engine, demo_settings: Settings) -> None:
    told: list[tuple[str, float]] = []
    async with Runtime(borrowed, demo_settings) as runtime:
        first = await first_race(runtime, lambda title, share: told.append((title, share)))
        assert better_kind(first) is None
        trial = await run_trial(
            runtime, lambda title, share: told.append((title, share)), begun=first
        )
    assert trial.unhurried[0] is first.unhurried[0]
    # It was trained to end with a box, and does so unless it is cut.
    assert trial.answered_share >= 0.9
    assert len(trial.unhurried) == len(trial.hurried) == 3
    assert sum(trial.is_right(i, result.answer) for i, result in enumerate(trial.unhurried)) >= 2
    assert max(share for _, share in told) == 1.0
    found = {finding.name: finding for finding in findings_of(trial, demo_settings)}
    assert found["branches"].level is Level.GOOD
    assert "speed" in found
    if trial.forced:
        assert found["forced answers"].level is not Level.BAD

    proposal = propose(
        inspect(model_folder("demo")), Machine(True, 2**33), engine={"model": "demo"}
    )
    settings = Settings.from_dict(measured(proposal, trial, demo_settings, None).nested)
    assert settings.lengths is not None
    assert settings.lengths.median < settings.lengths.p95 < demo_settings.sampling.max_tokens
    assert settings.answers.kind == "boxed"
