"""Train the demo's reward model: a body that knows its arithmetic under two more layers and one
logit, "right so far".

``python -m frontrunner.runtime.demo.train_reward --body RUN/steps/target-01700 --out DIR``, where
``RUN`` is what ``train`` wrote, first trains on written solutions with slips, of which there is no
end, then on branches of train-split problems sampled from the target on vLLM; every line is
labelled by what the generator knows. The body is the target before it learnt to slip, and stays as
it is: it predicts each result one token early, and the new layers learn to compare that with what
was written. It then reports on branches of the select split. Samples are kept in ``--out`` and not
drawn again; the run is seeded and logs one JSON line every few steps.
"""

import argparse
import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import AutoConfig, LlamaForSequenceClassification, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from ..engines.vllm_start import model_folder
from .corpus import prompt_text
from .labels import line_labels
from .problems import LEVELS, Problem, draw_problem, hard_problems
from .sampling import Sample, demo_settings, sampled
from .selection import Scored, Selection, select
from .slips import draw_slips
from .solutions import Style, draw_style, write_solution
from .tokenizer import END
from .train import Model, learning_rate, optimizers

CONTEXT: Final = 1024
MICROBATCH_TOKENS: Final = 8192
#: Layers over the target's: one compares, the next brings together.
NEW_LAYERS: Final = 2
#: Share of steps with a slip in written solutions: about half of them are right.
SLIPS: Final = 0.12
#: Written solutions that are drawn at a time.
_POOL: Final = 1024
#: Weight of a text's end, where whole branches are scored, over that of a line's.
END_WEIGHT: Final = 4.0


@dataclass(frozen=True, slots=True)
class Example:
    """A branch as the reward model reads it."""

    ids: list[int]  # (num_tokens,)
    places: list[int]  # (num_labels,) tokens at which a score is read
    labels: list[float]  # (num_labels,)
    weights: list[float]  # (num_labels,)


def make_example(problem: Problem, branch: Sample, tokenizer: PreTrainedTokenizerFast) -> Example:
    """The branch with its labels: each line's at its line break, the answer's at the end.

    The end is read twice: at the text's last token, where a forced answer ends, and at the token
    that ends the turn, which the chat template puts after a branch that ended by itself.
    """
    ids: list[int] = tokenizer.encode(prompt_text(problem.question), add_special_tokens=False)
    places: list[int] = []
    labels: list[float] = []
    weights: list[float] = []
    # Without the last line: broken off, or the one with the answer.
    lines = branch.text.split("\n")
    for line, right in zip(lines[:-1], line_labels(problem, branch.text), strict=False):
        ids += tokenizer.encode(line + "\n", add_special_tokens=False)
        places.append(len(ids) - 1)
        labels.append(float(right))
        weights.append(1.0)
    ids += tokenizer.encode(lines[-1], add_special_tokens=False)
    if branch.finished:
        right = branch.answer == str(problem.answer)
        for end in ([], [tokenizer.vocab[END]]):
            ids += end
            places.append(len(ids) - 1)
            labels.append(float(right))
            weights.append(END_WEIGHT / 2)
    kept = [i for i, place in enumerate(places) if place < CONTEXT]
    return Example(
        ids[:CONTEXT],
        [places[i] for i in kept],
        [labels[i] for i in kept],
        [weights[i] for i in kept],
    )


def batches(rng: random.Random, examples: Sequence[Example]) -> list[list[Example]]:
    """One epoch of batches of about ``MICROBATCH_TOKENS`` tokens, each of nearly equal lengths."""
    grouped: list[list[Example]] = [[]]
    # A little noise: the same neighbours would meet in every epoch.
    order = sorted(examples, key=lambda e: -len(e.ids) * rng.uniform(0.95, 1.05))
    for example in order:
        batch = grouped[-1]
        longest = max([len(example.ids), *(len(e.ids) for e in batch)])
        if batch and longest * (len(batch) + 1) > MICROBATCH_TOKENS:
            grouped.append([example])
        else:
            batch.append(example)
    rng.shuffle(grouped)
    return grouped


def write_branch(rng: random.Random) -> tuple[Problem, Sample]:
    """A train-split problem of any level with a written solution, right or slipped.

    Without a check: a written one always tells whether there was a slip, and the model would learn
    to read no more than its last sentence, which in the target's own branches tells little.
    """
    problem = draw_problem(rng, rng.choice(LEVELS), "train")
    worked = draw_slips(problem, rng, SLIPS)
    text = write_solution(worked, Style(draw_style(rng).wording, checked=False), rng)
    return problem, Sample(0, text, str(worked.answer), finished=True)


def written_batches(
    rng: random.Random, tokenizer: PreTrainedTokenizerFast
) -> Iterator[list[Example]]:
    """Endless batches of written solutions."""
    while True:
        pool = [make_example(*write_branch(rng), tokenizer) for _ in range(_POOL)]
        yield from batches(rng, pool)


def sampled_batches(
    rng: random.Random, examples: Sequence[Example], epochs: int
) -> Iterator[list[Example]]:
    """``epochs`` epochs of the target's own branches."""
    for _ in range(epochs):
        yield from batches(rng, examples)


def build_model(folder: str, new_layers: int = NEW_LAYERS) -> Model:
    """The target's body, frozen, under ``new_layers`` layers that begin by changing nothing."""
    config: Any = AutoConfig.from_pretrained(folder)
    config.num_labels = 1
    config.num_hidden_layers += new_layers
    model: Any = LlamaForSequenceClassification.from_pretrained(
        folder, config=config, dtype=torch.float32
    )
    model.model.requires_grad_(False)
    for layer in model.model.layers[config.num_hidden_layers - new_layers :]:
        layer.requires_grad_(True)
        nn.init.zeros_(layer.self_attn.o_proj.weight)
        nn.init.zeros_(layer.mlp.down_proj.weight)
    model.model.norm.requires_grad_(True)
    # A head of zeros begins at even odds.
    nn.init.zeros_(model.score.weight)
    return model


def logits_at_places(
    model: Model, batch: Sequence[Example], device: str, body: Model = None
) -> Tensor:
    """(num_labels,) logits of all examples' places, in their order; ``body`` may be compiled."""
    ids = torch.zeros((len(batch), max(len(e.ids) for e in batch)), dtype=torch.long)
    rows: list[int] = []
    for row, example in enumerate(batch):
        ids[row, : len(example.ids)] = torch.tensor(example.ids)
        rows += [row] * len(example.places)
    places = [place for example in batch for place in example.places]
    # Padding comes after all places, and attention is causal: no mask is needed.
    body = model.model if body is None else body
    hidden = body(input_ids=ids.to(device), use_cache=False).last_hidden_state
    return model.score(hidden[rows, places].float()).squeeze(-1)


def fine_tune(
    stage: str,
    model: Model,
    batches: Iterator[list[Example]],
    args: argparse.Namespace,
    log: Path,
    *,
    steps: int,
    lr: float,
) -> None:
    """``steps`` steps, or fewer where ``batches`` end; ``lr`` is the peak learning rate."""
    model.to(args.device).train()
    chosen = optimizers(model, lr)
    # A quarter faster on a CPU; needs a C++ compiler, so it can be switched off.
    body = torch.compile(model.model, dynamic=True) if args.compile else model.model
    began, seen, losses = time.monotonic(), 0, list[float]()
    with log.open("a") as file:
        for step, batch in enumerate(islice(batches, steps), start=1):
            with torch.autocast(args.device.split(":")[0], torch.bfloat16):
                logits = logits_at_places(model, batch, args.device, body).float()
            labels = torch.tensor([x for e in batch for x in e.labels], device=args.device)
            weights = torch.tensor([x for e in batch for x in e.weights], device=args.device)
            summed = nn.functional.binary_cross_entropy_with_logits(
                logits, labels, weights, reduction="sum"
            )
            loss = summed / weights.sum()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for optimizer in chosen:
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate(step - 1, steps, lr)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            losses.append(loss.item())
            seen += sum(len(e.ids) for e in batch)
            if step % 20 == 0 or step == steps:
                seconds = time.monotonic() - began
                row = {
                    "stage": stage,
                    "step": step,
                    "loss": round(sum(losses) / len(losses), 5),
                    "tokens_per_second": round(seen / seconds),
                    "elapsed": round(seconds, 1),
                }
                losses.clear()
                print(json.dumps(row), file=file, flush=True)
                print(json.dumps(row), flush=True)


@torch.inference_mode()
def report(
    model: Model,
    problems: Sequence[Problem],
    branches: Sequence[Sample],
    tokenizer: PreTrainedTokenizerFast,
    device: str,
) -> Selection:
    """How the model's scores choose among ``branches``, read at the end of each text."""
    model.to(device).eval()
    scores: list[float] = []
    for start in range(0, len(branches), 64):
        batch: list[Example] = []
        for branch in branches[start : start + 64]:
            ids = make_example(problems[branch.problem], branch, tokenizer).ids
            batch.append(Example(ids, [len(ids) - 1], [0.0], [0.0]))
        scores += torch.sigmoid(logits_at_places(model, batch, device)).tolist()
    races: list[list[Scored]] = [[] for _ in problems]
    for branch, score in zip(branches, scores, strict=True):
        right = branch.answer == str(problems[branch.problem].answer)
        races[branch.problem].append(Scored(branch.answer, score, right))
    return select(races)


def export(model: Model, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write ``model`` in bfloat16 safetensors, as vLLM loads it (``runner="pooling"``)."""
    model.cpu().to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    file = folder / "tokenizer.json"  # its line breaks and blanks are more than half of it
    data = json.loads(file.read_text())
    file.write_text(json.dumps(data, ensure_ascii=False, separators=(",", ":")))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True, help="folder for samples, log and model")
    parser.add_argument("--target", default="demo", help="the checkpoint whose branches it judges")
    parser.add_argument("--body", help="the checkpoint that it is built on (default: the target)")
    parser.add_argument("--written-steps", type=int, default=500, help="on written solutions")
    parser.add_argument("--problems", type=int, default=80, help="sampled, of the train split")
    parser.add_argument("--select-problems", type=int, default=40, help="of the select split")
    parser.add_argument("--branches", type=int, default=16, help="a problem")
    parser.add_argument("--epochs", type=int, default=2, help="over the sampled branches")
    parser.add_argument("--lr", type=float, default=2e-3, help="peak learning rate")
    parser.add_argument("--sampled-lr", type=float, default=1e-3, help="... on sampled branches")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
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
    log = out / "training.ndjson"
    rng = random.Random(f"reward/{args.seed}")
    fine_tune(
        "written", model, written_batches(rng, tokenizer), args, log,
        steps=args.written_steps, lr=args.lr,
    )  # fmt: skip
    examples = [make_example(train[b.problem], b, tokenizer) for b in drawn[0]]
    examples = [e for e in examples if e.places]
    steps = args.epochs * len(batches(random.Random(0), examples))
    fine_tune(
        "sampled", model, sampled_batches(rng, examples, args.epochs), args, log,
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
