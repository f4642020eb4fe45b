"""The reward model's examples, and a training run of a few steps on a tiny model."""

import argparse
import random
from pathlib import Path
from typing import Any

import pytest

from frontrunner.runtime.demo.problems import draw_problem
from frontrunner.runtime.demo.sampling import Sample
from frontrunner.runtime.demo.solutions import Style, write_solution
from frontrunner.runtime.engines.vllm_start import model_folder

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from transformers import (  # noqa: E402
    AutoModel,
    LlamaConfig,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
)

from frontrunner.runtime.demo.reward_examples import (  # noqa: E402
    CONTEXT,
    batches,
    make_example,
    sampled_batches,
    write_branch,
    written_batches,
)
from frontrunner.runtime.demo.reward_model import (  # noqa: E402
    NEW_LAYERS,
    Judge,
    build_model,
    export,
    logits_at_places,
)
from frontrunner.runtime.demo.train_reward import fine_tune, report  # noqa: E402


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast.from_pretrained(model_folder("demo"))


PROBLEM = draw_problem(random.Random(3), 4, "train")
TEXT = write_solution(PROBLEM, Style("terse", False), random.Random(3))
RIGHT = Sample(0, TEXT, str(PROBLEM.answer), True)
WRONG = Sample(0, TEXT.replace(f"{PROBLEM.answer}}}", "1}"), "1", True)


def tiny() -> LlamaForSequenceClassification:
    torch.manual_seed(0)
    make: Any = LlamaConfig  # its signature does not name all that it takes
    shape = make(
        vocab_size=1024, hidden_size=32, intermediate_size=32, num_hidden_layers=1 + NEW_LAYERS,
        num_attention_heads=2, num_key_value_heads=1, num_labels=1,
        bos_token_id=0, eos_token_id=3, pad_token_id=3,
    )  # fmt: skip
    return LlamaForSequenceClassification(shape)


def test_labels_stand_at_the_line_breaks_and_at_the_end(tokenizer: PreTrainedTokenizerFast) -> None:
    example = make_example(PROBLEM, WRONG, tokenizer)
    read = [tokenizer.decode([example.ids[place]]) for place in example.places]
    assert read == ["\n"] * 4 + ["}.", "<|end|>"]
    assert example.labels == [1.0] * 4 + [0.0, 0.0]
    whole = str(tokenizer.decode(example.ids))
    assert PROBLEM.question in whole
    assert whole.endswith(WRONG.text + "<|end|>")
    assert make_example(PROBLEM, RIGHT, tokenizer).labels == [1.0] * 6


def test_a_branch_that_was_cut_has_no_end(tokenizer: PreTrainedTokenizerFast) -> None:
    cut = Sample(0, TEXT[: len(TEXT) // 2], None, False)
    example = make_example(PROBLEM, cut, tokenizer)
    assert len(example.places) == cut.text.count("\n")
    long = make_example(PROBLEM, Sample(0, "1. 2\n" * CONTEXT, None, False), tokenizer)
    assert len(long.ids) == CONTEXT
    assert max(long.places) < CONTEXT


def test_every_example_is_in_one_batch_of_the_epoch(tokenizer: PreTrainedTokenizerFast) -> None:
    examples = [make_example(PROBLEM, RIGHT, tokenizer) for _ in range(150)]
    epoch = batches(random.Random(0), examples)
    assert len(epoch) > 1
    assert sorted(map(id, (e for batch in epoch for e in batch))) == sorted(map(id, examples))


def test_written_solutions_are_of_the_train_split_and_half_of_them_right(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    rng = random.Random(5)
    drawn = [write_branch(rng) for _ in range(400)]
    assert {problem.split for problem, _ in drawn} == {"train"}
    right = sum(branch.answer == str(problem.answer) for problem, branch in drawn)
    assert 0.4 <= right / 400 <= 0.7
    batch = next(written_batches(rng, tokenizer))
    assert {label for example in batch for label in example.labels} == {0.0, 1.0}


def test_new_layers_begin_by_changing_nothing_and_the_body_stays_as_it_is() -> None:
    folder = str(model_folder("demo"))
    body: Any = AutoModel.from_pretrained(folder, dtype=torch.float32)
    model = build_model(folder)
    ids = torch.arange(4, 40)[None]
    torch.testing.assert_close(model.model(ids).last_hidden_state, body(ids).last_hidden_state)
    assert model.config.num_hidden_layers == body.config.num_hidden_layers + 2
    trained = {
        name.split(".")[2]
        for name, p in model.named_parameters()
        if p.requires_grad and "layers" in name
    }
    assert trained == {"4", "5"}


def test_padding_does_not_reach_what_is_read(tokenizer: PreTrainedTokenizerFast) -> None:
    model = tiny().eval()
    short = make_example(PROBLEM, Sample(0, "1. 2\n", None, False), tokenizer)
    alone = logits_at_places(model, [short], "cpu")
    beside = logits_at_places(model, [short, make_example(PROBLEM, RIGHT, tokenizer)], "cpu")
    torch.testing.assert_close(alone, beside[: len(alone)])


def test_the_comparing_layer_learns_what_the_body_did_not_expect(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    judge = Judge(build_model(str(model_folder("demo"))), tokenizer, compiled=False)
    right, wrong = (make_example(PROBLEM, branch, tokenizer) for branch in (RIGHT, WRONG))
    # With a head of zeros every doubt is even: its loss is least where surprises are even too.
    assert judge.losses([right], "cpu")[1].item() == pytest.approx(0.6931, abs=1e-4)
    trained = {name for name, p in judge.named_parameters() if p.requires_grad}
    assert {"doubt.weight", "model.score.weight"} <= trained
    assert not trained & {"body_norm.weight", "model.model.embed_tokens.weight"}
    sum(judge.losses([right, wrong], "cpu")).backward()  # pyright: ignore[reportAttributeAccessIssue]
    assert judge.doubt.weight.grad is not None
    assert judge.model.model.layers[0].mlp.up_proj.weight.grad is None


def test_the_layers_run_as_the_model_does(tokenizer: PreTrainedTokenizerFast) -> None:
    model = tiny().eval()
    ids = torch.arange(4, 40)[None]
    _, _, last = Judge(model, tokenizer, compiled=False)._layers(ids)
    torch.testing.assert_close(last, model.model(ids).last_hidden_state)


def test_a_few_steps_learn_to_tell_two_branches_apart(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    model = tiny()
    branches = [RIGHT, WRONG]
    examples = [make_example(PROBLEM, branch, tokenizer) for branch in branches]
    args = argparse.Namespace(device="cpu")
    log = tmp_path / "training.ndjson"
    stream = sampled_batches(random.Random(0), examples, epochs=60)
    judge = Judge(model, tokenizer, compiled=False)
    fine_tune("sampled", judge, stream, args, log, steps=60, lr=5e-3)
    selection = report(model, [PROBLEM], branches, tokenizer, "cpu")
    assert selection.best_of_n == 1.0
    assert selection.pass_at_1 == 0.5
    assert log.read_text().count("\n") == 3
    export(model, tokenizer, tmp_path / "reward")
    loaded = LlamaForSequenceClassification.from_pretrained(tmp_path / "reward")
    assert loaded.config.num_labels == 1
    assert loaded.dtype == torch.bfloat16
