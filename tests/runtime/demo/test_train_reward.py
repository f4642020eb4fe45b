"""The reward model's examples, and a training run of a few steps on a tiny model."""

import argparse
import random
from pathlib import Path
from typing import Any

import pytest

from frontrunner.runtime.demo.problems import draw_problem
from frontrunner.runtime.demo.sampling import Sample
from frontrunner.runtime.demo.solutions import Style, write_solution
from frontrunner.runtime.engines.vllm.start import model_folder

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
    spoil,
    write_branch,
    written_batches,
)
from frontrunner.runtime.demo.reward_model import (  # noqa: E402
    LOUDNESS,
    NEW_LAYERS,
    Judge,
    begin_comparing,
    build_model,
    digit_tokens,
    export,
    worst_lines,
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


def test_labels_stand_at_the_ends_of_the_lines(tokenizer: PreTrainedTokenizerFast) -> None:
    example = make_example(PROBLEM, WRONG, tokenizer)
    read = [tokenizer.decode([example.ids[end]]) for end in example.ends]
    assert read == ["\n"] * 4 + ["}."]
    assert example.labels == [1.0] * 4 + [0.0]
    assert tokenizer.decode(example.ids[example.prompt :]) == WRONG.text
    assert PROBLEM.question in str(tokenizer.decode(example.ids))
    assert make_example(PROBLEM, RIGHT, tokenizer).labels == [1.0] * 5


def test_what_follows_a_wrong_line_has_no_label(tokenizer: PreTrainedTokenizerFast) -> None:
    lines = TEXT.split("\n")
    lines[1] += " 98765"
    example = make_example(PROBLEM, Sample(0, "\n".join(lines), "1", True), tokenizer)
    assert example.labels == [1.0, 0.0]
    assert len(example.ends) == 5


def test_a_line_that_was_cut_has_no_label(tokenizer: PreTrainedTokenizerFast) -> None:
    cut = Sample(0, TEXT[: len(TEXT) // 2], None, False)
    example = make_example(PROBLEM, cut, tokenizer)
    assert len(example.labels) == cut.text.count("\n") == len(example.ends) - 1
    assert example.ends[-1] == len(example.ids) - 1
    long = make_example(PROBLEM, Sample(0, "1. 2\n" * CONTEXT, None, False), tokenizer)
    assert len(long.ids) == CONTEXT
    assert max(long.ends) < CONTEXT


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
    batch = next(written_batches(rng, tokenizer, spoilt=0.0))
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


def test_a_branch_is_as_good_as_its_worst_line(tokenizer: PreTrainedTokenizerFast) -> None:
    model = tiny().eval()
    short = make_example(PROBLEM, Sample(0, "1. 2\n", None, False), tokenizer)
    long = make_example(PROBLEM, RIGHT, tokenizer)
    (alone,) = worst_lines(model, [short], "cpu")
    beside = worst_lines(model, [short, long], "cpu")
    assert beside[0] == pytest.approx(alone)  # padding does not reach what is read
    lines = TEXT.splitlines(keepends=True)
    parts = [Sample(0, "".join(lines[: i + 1]), None, False) for i in range(len(lines))]
    scores = worst_lines(model, [make_example(PROBLEM, part, tokenizer) for part in parts], "cpu")
    assert scores == pytest.approx(sorted(scores, reverse=True))
    assert scores[-1] == pytest.approx(beside[1])


def test_what_is_trained_and_what_stays(tokenizer: PreTrainedTokenizerFast) -> None:
    judge = Judge(build_model(str(model_folder("demo"))), tokenizer, compiled=False)
    right, wrong = (make_example(PROBLEM, branch, tokenizer) for branch in (RIGHT, WRONG))
    trained = {name for name, p in judge.named_parameters() if p.requires_grad}
    assert {"doubt.weight", "model.score.weight"} <= trained
    assert not trained & {"body_norm.weight", "model.model.embed_tokens.weight"}
    judged, doubted = judge.losses([right, wrong], "cpu")
    # Heads of zeros are at even odds: ln 2 for the labels, and twice for the groups of tokens.
    assert judged.item() == pytest.approx(0.6931, abs=1e-4)
    assert doubted.item() == pytest.approx(2 * 0.6931, abs=1e-4)
    (judged + doubted).backward()
    assert judge.doubt.weight.grad is not None
    assert judge.model.model.layers[0].mlp.up_proj.weight.grad is None


def test_the_comparing_layer_begins_by_looking_one_token_back(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    torch.manual_seed(0)
    model = build_model(str(model_folder("demo")))
    digits = digit_tokens(tokenizer)
    measured = [next(written_batches(random.Random(0), tokenizer, spoilt=0.5))[:8]]
    begin_comparing(model, measured, digits)
    layer = model.model.layers[-NEW_LAYERS]
    layer.mlp.down_proj.weight.data.zero_()  # the head alone
    ids = torch.tensor([make_example(PROBLEM, RIGHT, tokenizer).ids])
    with torch.inference_mode():
        known, compared, _ = Judge(model, tokenizer, compiled=False)._layers(ids)
        carried = (compared - known) @ layer.self_attn.o_proj.weight[:, : len(digits)]
        predicted = layer.self_attn.v_proj(layer.input_layernorm(known))[..., : len(digits)]
    pairs = torch.stack([carried[:, 1:].flatten(), predicted[:, :-1].flatten()])
    assert torch.corrcoef(pairs)[0, 1] > 0.8


def test_the_gathering_layer_begins_by_attending_to_what_is_doubted(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    torch.manual_seed(0)
    judge = Judge(build_model(str(model_folder("demo"))), tokenizer, compiled=False)
    measured = [next(written_batches(random.Random(0), tokenizer, spoilt=0.5))[:8]]
    example = make_example(PROBLEM, RIGHT, tokenizer)
    ids = torch.tensor([example.ids])
    with torch.no_grad():
        judge.doubt.weight.normal_(std=0.3)  # doubts anything; what matters is what becomes of it
        judge.begin_gathering(measured)
        _, compared, _ = judge._layers(ids)
        doubts = (judge.as_read(compared) @ judge.doubt.weight[0])[0]
        layer = judge.model.model.layers[-1]
        seen: list[Any] = []
        layer.self_attn.register_forward_hook(lambda _, args, out: seen.append(out[0]))
        judge._layers(ids)
        carried = seen[0][0] @ layer.self_attn.o_proj.weight[:, 0] / LOUDNESS
    worst = doubts.cummax(0).values
    late = slice(40, None)  # by then some token stands out
    assert (carried[late] - worst[late]).abs().median() < 0.3 * doubts.std()


def test_spoilt_solutions_have_other_digits_and_no_labels(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    spoilt = spoil(TEXT, random.Random(0))
    assert spoilt != TEXT
    assert len(spoilt) == len(TEXT)
    assert all(a == b or (a.isdigit() and b.isdigit()) for a, b in zip(TEXT, spoilt, strict=True))
    batch = next(written_batches(random.Random(1), tokenizer, spoilt=1.0))
    assert not any(example.labels for example in batch)


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
