"""What every training run of the demo's models is told on the command line, and how it begins."""

import argparse
from pathlib import Path

import torch
from transformers.utils import logging as transformers_logging


def training_parser(description: str | None, *, out: str, lr: float) -> argparse.ArgumentParser:
    """A parser of the options that all runs have: a folder, a learning rate, a seed, a device.

    Args:
        description: what ``--help`` says first.
        out: what ``--out`` is a folder for.
        lr: the peak learning rate where none is given.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", required=True, help=f"folder for {out}")
    parser.add_argument("--lr", type=float, default=lr, help="peak learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser


def add_trainer_options(
    parser: argparse.ArgumentParser, *, tokens: int, save_every: int, muon: bool
) -> None:
    """Options of ``train.Trainer``; the arguments are their defaults."""
    parser.add_argument("--tokens", type=int, default=tokens, help="of a microbatch")
    parser.add_argument("--accumulate", type=int, default=1, help="microbatches a step")
    parser.add_argument(
        "--muon",
        action=argparse.BooleanOptionalAction,
        default=muon,
        help="Muon for the layers' matrices; AdamW for all is half the work of a small batch",
    )
    parser.add_argument(
        "--save-every", type=int, default=save_every, help="steps between checkpoints"
    )


def begin_training(args: argparse.Namespace) -> Path:
    """Make the folder that ``--out`` names, and keep transformers quiet.

    Returns:
        The folder.
    """
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    return out
