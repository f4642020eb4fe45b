"""Train the demo's reward model (``reward_model.py`` says what it is).

``python -m frontrunner.runtime.demo.train_reward --body RUN/steps/target-01700 --out DIR``, where
``RUN`` is what ``train`` wrote, first trains on written solutions with slips, of which there is no
end, then on branches of train-split problems sampled from the target on vLLM; every line is
labelled by what the generator knows. The body is the target before it learnt to slip, and stays as
it is. It then reports on branches of the select split. Samples and the first stage are kept in
``--out`` and not made again; the run is seeded and logs one JSON line every few steps.
"""

import argparse
import json
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn
from transformers import PreTrainedTokenizerFast

from ..engines.vllm.start import model_folder
from .problems import Problem, hard_problems
from .reward_examples import Example, batches, make_example, sampled_batches, written_batches
from .reward_model import Judge, begin_comparing, build_model, digit_tokens, export, worst_lines
from .sampling import Sample, demo_settings, sampled
from .selection import Scored, Selection, select
from .train import Model, learning_rate, optimizers
from .training_options import begin_training, training_parser

#: What the log calls them: of the labels, and of the surprises.
LOSSES: Final = ("loss", "surprise")


def fine_tune(
    stage: str,
    judge: Judge,
    batches: Iterator[list[Example]],
    args: argparse.Namespace,
    log: Path,
    *,
    steps: int,
    lr: float,
) -> None:
    """``steps`` steps, or fewer where ``batches`` end; ``lr`` is the peak learning rate."""
    judge.to(args.device).train()
    chosen = optimizers(judge, lr)
    began, seen = time.monotonic(), 0
    losses: list[tuple[float, ...]] = []
    with log.open("a") as file:
        for step, batch in enumerate(islice(batches, steps), start=1):
            with torch.autocast(args.device.split(":")[0], torch.bfloat16):
                judged, doubted = judge.losses(batch, args.device)
            (judged + doubted).backward()
            nn.utils.clip_grad_norm_(judge.parameters(), 1.0)
            for optimizer in chosen:
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate(step - 1, steps, lr)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            losses.append((judged.item(), doubted.item()))
            seen += sum(len(e.ids) for e in batch)
            if step % 20 == 0 or step == steps:
                seconds = time.monotonic() - began
                row = {
                    "stage": stage,
                    "step": step,
                    **{
                        name: round(statistics.fmean(found), 5)
                        for name, found in zip(LOSSES, zip(*losses, strict=True), strict=True)
                    },
                    "tokens_per_second": round(seen / seconds),
                    "elapsed": round(seconds, 1),
                }
                losses.clear()
                print(json.dumps(row), file=file, flush=True)
                print(json.dumps(row), flush=True)


def report(
    model: Model,
    problems: Sequence[Problem],
    branches: Sequence[Sample],
    tokenizer: PreTrainedTokenizerFast,
    device: str,
) -> Selection:
    """How the model's scores choose among ``branches``."""
    model.to(device).eval()
    scores: list[float] = []
    for start in range(0, len(branches), 64):
        batch = [
            make_example(problems[branch.problem], branch, tokenizer)
            for branch in branches[start : start + 64]
        ]
        scores += worst_lines(model, batch, device)
    races: list[list[Scored]] = [[] for _ in problems]
    for branch, score in zip(branches, scores, strict=True):
        right = branch.answer == str(problems[branch.problem].answer)
        races[branch.problem].append(Scored(branch.answer, score, right))
    return select(races)


def parse_arguments() -> argparse.Namespace:
    parser = training_parser(__doc__, out="samples, log and model", lr=2e-3)
    parser.add_argument("--target", default="demo", help="the checkpoint whose branches it judges")
    parser.add_argument("--body", help="the checkpoint that it is built on (default: the target)")
    parser.add_argument("--comparing-steps", type=int, default=300, help="on spoilt solutions")
    parser.add_argument("--written-steps", type=int, default=300, help="... on written ones too")
    parser.add_argument("--problems", type=int, default=80, help="sampled, of the train split")
    parser.add_argument("--select-problems", type=int, default=40, help="of the select split")
    parser.add_argument("--branches", type=int, default=16, help="a problem")
    parser.add_argument("--epochs", type=int, default=4, help="over the sampled branches")
    parser.add_argument("--sampled-lr", type=float, default=1e-3, help="--lr on sampled branches")
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    out = begin_training(args)
    began = time.monotonic()
    # Another seed than the evaluation's: its select problems are not chosen on.
    train = hard_problems("train", args.problems, seed=args.seed + 1)
    held_out = hard_problems("select", args.select_problems, seed=args.seed + 1)
    settings = demo_settings(None if args.target == "demo" else args.target)
    drawn = [
        sampled(out / f"{name}.ndjson", settings, asked, branches=args.branches, seed=seed)
        for name, asked, seed in (("train", train, 10_000), ("select", held_out, 20_000))
    ]
    print(json.dumps({"stage": "sampled", "elapsed": round(time.monotonic() - began, 1)}))

    torch.manual_seed(args.seed)
    folder = model_folder(args.target)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model = build_model(args.body or folder)
    rng = random.Random(f"reward/{args.seed}")
    measured = list(islice(written_batches(rng, tokenizer, spoilt=0.5), 8))
    begin_comparing(model, measured, digit_tokens(tokenizer))
    judge = Judge(model, tokenizer, args.compile)
    log = out / "training.ndjson"
    compared = out / "comparing.ckpt"
    if not compared.exists():
        fine_tune(
            "comparing", judge, written_batches(rng, tokenizer, spoilt=1.0), args, log,
            steps=args.comparing_steps, lr=args.lr,
        )  # fmt: skip
        torch.save(judge.state_dict(), compared)
    judge.load_state_dict(torch.load(compared))
    judge.begin_gathering(measured)
    fine_tune(
        "written", judge, written_batches(rng, tokenizer, spoilt=0.5), args, log,
        steps=args.written_steps, lr=args.lr,
    )  # fmt: skip
    examples = [make_example(train[b.problem], b, tokenizer) for b in drawn[0]]
    examples = [e for e in examples if e.labels]
    steps = args.epochs * len(batches(random.Random(0), examples))
    fine_tune(
        "sampled", judge, sampled_batches(rng, examples, args.epochs), args, log,
        steps=steps, lr=args.sampled_lr,
    )  # fmt: skip
    selection = report(model, held_out, drawn[1], tokenizer, args.device)
    export(model, tokenizer, out / "reward")
    summary: dict[str, Any] = {
        "stage": "select",
        "elapsed": round(time.monotonic() - began, 1),
        **asdict(selection),
    }
    (out / "selection.json").write_text(json.dumps(summary, indent=2) + "\n")
    print(json.dumps(summary), flush=True)


if __name__ == "__main__":
    main()
