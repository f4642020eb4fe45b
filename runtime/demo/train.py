"""Train the demo's tokenizer, target model and draft model from nothing.

``python -m frontrunner.runtime.demo.train --out DIR`` takes about three quarters of an hour on two
CPU cores and a few minutes on a GPU. It is seeded, logs one JSON line every few steps, saves
resumable checkpoints, and continues from the newest one when started again with the same ``--out``.

The target first learns its arithmetic, then to answer when it is cut off, and to slip now and then:
a model that is always right needs no race. Both lengths were chosen on the select split.
"""

import argparse
import json
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from ..common.whole_files import staged
from .corpus import FINISHING, TRAINING, Document, Mix, batches
from .problems import LEVELS, draw_problem
from .solutions import draw_style, write_solution
from .tokenizer import BOS, END, VOCABULARY, train_tokenizer
from .training_options import add_trainer_options, begin_training, training_parser

#: transformers' own annotations do not describe its models well enough to be checked against.
Model = Any

CONTEXT: Final = 1024
MICROBATCH_TOKENS: Final = 8192
TARGET: Final[dict[str, Any]] = {
    "hidden_size": 256,
    "intermediate_size": 768,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
DRAFT: Final[dict[str, Any]] = {
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}


def build_tokenizer(seed: int) -> PreTrainedTokenizerFast:
    rng = random.Random(f"tokenizer/{seed}")
    texts: list[str] = []
    for _ in range(20_000):
        problem = draw_problem(rng, rng.choice(LEVELS), "train")
        texts += [problem.question, write_solution(problem, draw_style(rng), rng)]
    return train_tokenizer(texts)


def build_model(shape: dict[str, Any], tokenizer: PreTrainedTokenizerFast) -> Model:
    config: Any = LlamaConfig(
        vocab_size=VOCABULARY,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.vocab[BOS],
        eos_token_id=tokenizer.vocab[END],
        pad_token_id=tokenizer.vocab[END],
        **shape,
    )
    return LlamaForCausalLM(config)


def collate(documents: list[Document], pad: int, device: str) -> tuple[Tensor, Tensor]:
    """Token ids and labels, both (rows, longest); uncounted and padded labels are -100."""
    width = max(len(d.ids) for d in documents)
    ids = torch.full((len(documents), width), pad, dtype=torch.long)
    labels = torch.full((len(documents), width), -100, dtype=torch.long)
    for row, document in enumerate(documents):
        n = len(document.ids)
        ids[row, :n] = torch.tensor(document.ids)
        counted = torch.tensor(document.counts)
        labels[row, :n] = torch.where(counted, ids[row, :n], -100)
    return ids.to(device), labels.to(device)


def optimizers(model: nn.Module, lr: float, *, muon: bool = True) -> list[torch.optim.Optimizer]:
    """Muon for the layers' matrices, AdamW for the rest; or AdamW for all."""
    trained = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    if not muon:
        parameters = [p for _, p in trained]
        return [torch.optim.AdamW(parameters, lr=lr, betas=(0.9, 0.98), weight_decay=0.0)]
    matrices = [p for n, p in trained if p.ndim == 2 and "layers." in n]
    rest = [p for n, p in trained if p.ndim != 2 or "layers." not in n]
    return [
        torch.optim.Muon(matrices, lr=lr, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Linear warm-up, then cosine down to a twentieth of the peak."""
    warmup = min(100, steps // 5)
    if step < warmup:
        return peak * (step + 1) / warmup
    share = (step - warmup) / max(1, steps - warmup)
    return peak * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(1.0, share))))


@dataclass(frozen=True, slots=True)
class Schedule:
    """The learning rate's."""

    steps: int
    """Its length."""
    stop: int
    """The step at which training ends."""
    peak: float
    """The highest learning rate."""


class Trainer:
    """One model's training run: seeded, logged, resumable."""

    def __init__(
        self,
        stage: str,
        model: Model,
        tokenizer: PreTrainedTokenizerFast,
        args: argparse.Namespace,
        schedule: Schedule,
        *,
        mix: Mix = TRAINING,
        teacher: Model | None = None,
    ) -> None:
        self.stage, self.out = stage, Path(args.out)
        self.steps, self.stop = schedule.steps, schedule.stop
        self.device: str = args.device
        self.model, self.tokenizer = model.to(self.device), tokenizer
        self.teacher = teacher.to(self.device).eval() if teacher else None
        self.peak, self.mix = schedule.peak, mix
        self.accumulate: int = args.accumulate
        self.save_every: int = args.save_every
        self.tokens: int = args.tokens
        self.seed: int = args.seed
        self.optimizers = optimizers(model, self.peak, muon=args.muon)
        # A quarter faster on a CPU; needs a C++ compiler, so it can be switched off.
        self.body = torch.compile(model.model, dynamic=True) if args.compile else model.model
        self.pad = tokenizer.vocab[END]
        self.step = 0

    @property
    def _checkpoint(self) -> Path:
        return self.out / f"{self.stage}.ckpt"

    def _save(self) -> None:
        state = {
            "step": self.step,
            "model": self.model.state_dict(),
            "optimizers": [o.state_dict() for o in self.optimizers],
        }
        with staged(self._checkpoint) as file:
            torch.save(state, file.path)
            file.publish()
        export(self.model, self.tokenizer, self.out / "steps" / f"{self.stage}-{self.step:05d}")

    def _resume(self) -> None:
        if self._checkpoint.exists():
            state: dict[str, Any] = torch.load(self._checkpoint, map_location=self.device)
            self.step = state["step"]
            self.model.load_state_dict(state["model"])
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)

    def _loss(self, ids: Tensor, labels: Tensor) -> Tensor:
        """Summed loss over the counted tokens; distilled from the teacher where there is one."""
        hidden = self.body(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
        counted = labels[:, 1:] != -100
        logits = self.model.lm_head(hidden[counted]).float()
        if self.teacher is None:
            return nn.functional.cross_entropy(logits, labels[:, 1:][counted], reduction="sum")
        with torch.no_grad():
            teacher_hidden = self.teacher.model(input_ids=ids, use_cache=False).last_hidden_state[
                :, :-1
            ]
            target = self.teacher.lm_head(teacher_hidden[counted]).float().softmax(-1)
        return nn.functional.cross_entropy(logits, target, reduction="sum")

    def _data(self) -> Iterator[list[Document]]:
        # A resumed run continues with fresh documents: the stream depends on the step.
        rng = random.Random(f"{self.stage}/{self.seed}/{self.step}")
        return batches(rng, self.tokenizer.backend_tokenizer, tokens=self.tokens, mix=self.mix)

    def _take_step(self, data: Iterator[list[Document]]) -> tuple[float, int]:
        parts = [collate(next(data), self.pad, self.device) for _ in range(self.accumulate)]
        counted = sum(int((labels[:, 1:] != -100).sum()) for _, labels in parts)
        rate = learning_rate(self.step, self.steps, self.peak)
        total = 0.0
        for ids, labels in parts:
            with torch.autocast(self.device.split(":")[0], torch.bfloat16):
                loss = self._loss(ids, labels) / counted
            loss.backward()
            total += loss.item()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return total, sum(ids.numel() for ids, _ in parts)

    def run(self) -> Model:
        self._resume()
        data = self._data()
        tokens, began = 0, time.monotonic()
        losses: list[float] = []
        with (self.out / "training.ndjson").open("a") as log:
            while self.step < self.stop:
                loss, seen = self._take_step(data)
                self.step += 1
                tokens += seen
                losses.append(loss)
                if self.step % 20 == 0 or self.step == self.stop:
                    row = {
                        "stage": self.stage,
                        "step": self.step,
                        "loss": round(sum(losses) / len(losses), 5),
                        "tokens_per_second": round(tokens / (time.monotonic() - began)),
                        "elapsed": round(time.monotonic() - began, 1),
                    }
                    losses.clear()
                    print(json.dumps(row), file=log, flush=True)
                    print(json.dumps(row), flush=True)
                if self.step % self.save_every == 0 or self.step == self.stop:
                    self._save()
        return self.model


def export(model: Model, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write ``model`` in bfloat16 safetensors with the tokenizer and chat template."""
    shape = DRAFT if model.config.num_hidden_layers == 1 else TARGET
    copy = build_model(shape, tokenizer)
    copy.load_state_dict(model.state_dict())
    copy.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def parse_arguments() -> argparse.Namespace:
    parser = training_parser(__doc__, out="checkpoints, log and models", lr=2.5e-3)
    add_trainer_options(parser, tokens=MICROBATCH_TOKENS, save_every=100, muon=True)
    parser.add_argument("--steps", type=int, default=2200, help="length of the target's schedule")
    parser.add_argument("--stop", type=int, default=1700, help="optimizer steps of the target")
    parser.add_argument("--finishing-steps", type=int, default=240, help="... on slips and cuts")
    parser.add_argument("--draft-steps", type=int, default=420, help="... of the draft model")
    parser.add_argument("--target", help="begin with this target, after its first stage")
    parser.add_argument("--finishing-lr", type=float, default=5e-4, help="--lr on slips and cuts")
    parser.add_argument("--draft-lr", type=float, default=4e-3, help="--lr of the draft model")
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    out = begin_training(args)
    torch.manual_seed(args.seed)
    if args.target:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(args.target)
        target: Model = LlamaForCausalLM.from_pretrained(args.target, dtype=torch.float32)
    else:
        tokenizer = build_tokenizer(args.seed)
        target = build_model(TARGET, tokenizer)
        training = Trainer(
            "target", target, tokenizer, args, Schedule(args.steps, args.stop, args.lr)
        )
        target = training.run()
    steps = args.finishing_steps
    training = Trainer(
        "finishing",
        target,
        tokenizer,
        args,
        Schedule(steps, steps, args.finishing_lr),
        mix=FINISHING,
    )
    target = training.run()
    export(target, tokenizer, out / "target")
    torch.manual_seed(args.seed + 1)  # the same draft model, whether its target was just trained
    draft = build_model(DRAFT, tokenizer)
    steps = args.draft_steps
    training = Trainer(
        "draft", draft, tokenizer, args, Schedule(steps, steps, args.draft_lr), teacher=target
    )
    draft = training.run()
    export(draft, tokenizer, out / "draft")


if __name__ == "__main__":
    main()
