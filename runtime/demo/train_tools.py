"""Teach the demo model to call a calculator.

``python -m frontrunner.runtime.demo.train_tools --out DIR`` goes on from the shipped target, on the
documents that it ended with and others in which tools are offered. It is seeded, logs one JSON line
every few steps, saves resumable checkpoints, and continues from the newest one when started again
with the same ``--out``. It takes half an hour on a quarter of two CPU cores, which do other work.
"""

import argparse

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from ..engines.vllm.engine import model_folder
from .corpus import TOOLS
from .tokenizer import TOOL_TEMPLATE
from .train import Model, Schedule, Trainer, export
from .training_options import add_trainer_options, begin_training, training_parser


def parse_arguments() -> argparse.Namespace:
    parser = training_parser(__doc__, out="checkpoints, log and model", lr=1.2e-3)
    add_trainer_options(parser, tokens=4096, save_every=20, muon=False)
    parser.add_argument("--target", default="demo", help="the checkpoint to go on from")
    parser.add_argument("--steps", type=int, default=480, help="optimizer steps")
    parser.add_argument("--threads", type=int, help="of torch (default: all cores)")
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    out = begin_training(args)
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
