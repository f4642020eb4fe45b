"""Simulated engines, models and small pilots for the tests of planning."""

from random import Random

from frontrunner.runtime.cost_model.acceptance import NOTHING_ACCEPTED, Acceptance
from frontrunner.runtime.cost_model.step_time import StepTime
from frontrunner.runtime.engines.simulated import SimulatedEngine, SimulatedHardware, constant_k
from frontrunner.runtime.engines.workloads import SampledWorkload
from frontrunner.runtime.planning.engine_model import EngineModel, Linear
from frontrunner.runtime.planning.runtime_models import AccuracyModel, RuntimeModels
from frontrunner.runtime.planning.schedule import KSchedule
from frontrunner.runtime.traces.recordings import RecordedBranch, RecordedQuestion
from frontrunner.strategies.lengths import LengthModel
from frontrunner.strategies.protocol import ProbeAnswer

#: Small, and with a knee in sight: a step of 4 ms alone, of 8 ms from 33 branches on.
STEP = StepTime(constant=0.003, weights=0.001, context=2e-8, row=0.0001, token=2e-5, draft=0.0005)
LENGTHS = LengthModel.from_quantiles(200, 400)
COUNTS = (1, 2, 4, 8, 16, 32, 64)
TOKENS = (50, 100, 200, 400, 800)
#: More branches are better, given the tokens; and tokens help as far as 400.
ACCURACY = AccuracyModel(
    COUNTS,
    TOKENS,
    tuple(tuple((0.3 + 0.08 * n) * min(1.0, t / 400) for t in TOKENS) for n in range(len(COUNTS))),
)
MODELS = RuntimeModels(
    EngineModel(
        "draft_model",
        (0, 3),
        STEP,
        Acceptance((0,), (0.6,)),
        Linear(STEP.seconds(1, 100), STEP.row, 1e-5),
        Linear(0.01, 0.0005),
        0.001,
        1.3,
        0.03,
    ),
    KSchedule(((1, 3), (32, 0))),
    ACCURACY,
    LengthModel.from_quantiles(200, 400),
    prompt=100,
    return_margin=0.03,
)
QUESTIONS = [f"Question {n}: what is {n} + {n}? Think step by step." for n in range(5)]


def simulated_engine(
    *,
    step: StepTime = STEP,
    k: int = 0,
    acceptance: Acceptance = NOTHING_ACCEPTED,
    lengths: LengthModel = LENGTHS,
    max_branches: int = 64,
    cache_tokens: int = 1_000_000,
) -> SimulatedEngine:
    hardware = SimulatedHardware(
        step, acceptance, constant_k(k), max_branches, 4096, 512, cache_tokens, 16
    )
    return SimulatedEngine(hardware, SampledWorkload(lengths, {"7": 0.6, "8": 0.3, "9": 0.1}))


def small_pilot(
    questions: int = 8,
    branches: int = 16,
    *,
    median: int = 200,
    p95: int = 400,
    probes: bool = True,
) -> list[RecordedQuestion]:
    """Questions of rising difficulty; a branch forced early guesses."""
    rng = Random(5)
    lengths = LengthModel.from_quantiles(median, p95)
    pilot: list[RecordedQuestion] = []
    for number in range(questions):
        chance = 0.9 - 0.6 * number / questions
        made: list[RecordedBranch] = []
        for _ in range(branches):
            tokens = max(8, round(lengths.quantile(rng.uniform(0.02, 0.98))))
            answer = "1" if rng.random() < chance else rng.choice("23")
            guesses = tuple(
                ProbeAnswer(at, answer if rng.random() < at / tokens else rng.choice("456"))
                for at in range(32, tokens, 32)
            )
            made.append(RecordedBranch(tokens, answer, probes=guesses if probes else None))
        pilot.append(
            RecordedQuestion(f"q{number}", "1", tuple(made), frozenset({"1"}), question=str(number))
        )
    return pilot
