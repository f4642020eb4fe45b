"""Teach the demo model to call a calculator.

``python -m frontrunner.runtime.demo.train_tools --out DIR`` goes on from the shipped target, on the
documents that it ended with and others in which tools are offered. It is seeded, logs one JSON line
every few steps, saves resumable checkpoints, and continues from the newest one when started again
with the same ``--out``. It takes half an hour on a quarter of two CPU cores, which do other work.
"""

import argparse
from pathlib import Path

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from ..engines.vllm.engine import model_folder
from .corpus import TOOLS
from .tokenizer import TOOL_TEMPLATE
from .train import Model, Schedule, Trainer, export


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True, help="folder for checkpoints, log and model")
    parser.add_argument("--target", default="demo", help="the checkpoint to go on from")
    parser.add_argument("--steps", type=int, default=480, help="optimizer steps")
    parser.add_argument("--tokens", type=int, default=4096, help="of a microbatch")
    parser.add_argument("--accumulate", type=int, default=1, help="microbatches a step")
    parser.add_argument("--lr", type=float, default=1.2e-3, help="peak learning rate")
    parser.add_argument(
        "--muon",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="Muon for the layers' matrices; AdamW for all is half the work of a small batch",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save-every", type=int, default=20, help="steps between checkpoints")
    parser.add_argument("--threads", type=int, help="of torch (default: all cores)")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    folder = model_folder(args.target)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    tokenizer.chat_template = TOOL_TEMPLATE
    model: Model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    schedule = Schedule(args.steps, args.steps, args.lr)
    training = Trainer("tools", model, tokenizer, args, schedule, mix=TOOLS)
    export(training.run(), tokenizer, out / "tools")


if __name__ == "__main__":
    main()
