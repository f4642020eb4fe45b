"""The demo's reward model: a body that knows its arithmetic, under layers that judge each line.

A wrong number is one that the body would not have written: it predicts every digit one token
early. The first new layer learns to say how surprising each digit is, the next to bring the
surprises of a line together into one logit, "this line follows". A branch is as good as its worst
line.

Labels alone do not get there in reach of a CPU: nothing says where to look. So both layers begin
with a first idea of their work (``begin_comparing``, ``begin_gathering``), and the first one is
taught by every digit.
"""

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import AutoConfig, LlamaForSequenceClassification, PreTrainedTokenizerFast

from .reward_examples import Example
from .train import Model

#: Layers over the body's: one compares, the next brings together.
NEW_LAYERS: Final = 2
#: Frequencies of the head that looks back, and by how many nats it prefers the token before to its
#: neighbours.
_TURNED: Final = 12
_SHARPNESS: Final = 20.0
#: Of the units that compare: how steeply they open, and at which reading of "this digit came".
_STEEPNESS: Final = 20.0
_HALFWAY: Final = 0.25
#: Of the head that gathers: how many nats of attention a nat of doubt is worth; and how large it
#: writes a nat of doubt.
_ATTRACTION: Final = 1.5
LOUDNESS: Final = 5.0
#: Surprise, in nats, from which on a digit counts as wholly unexpected.
_MAX_SURPRISED: Final = 10.0


def build_model(folder: str) -> Model:
    """The target's body, frozen, under new layers that begin by changing nothing."""
    config: Any = AutoConfig.from_pretrained(folder)
    config.num_labels = 1
    config.num_hidden_layers += NEW_LAYERS
    model: Any = LlamaForSequenceClassification.from_pretrained(
        folder, config=config, dtype=torch.float32
    )
    model.model.requires_grad_(False)
    for layer in model.model.layers[-NEW_LAYERS:]:
        layer.requires_grad_(True)
        nn.init.zeros_(layer.self_attn.o_proj.weight)
        nn.init.zeros_(layer.mlp.down_proj.weight)
    model.model.norm.requires_grad_(True)
    # A head of zeros begins at even odds.
    nn.init.zeros_(model.score.weight)
    return model


def digit_tokens(tokenizer: PreTrainedTokenizerFast) -> Tensor:
    """(num_digit_tokens,) ids of all tokens with a digit."""
    found = [i for token, i in tokenizer.get_vocab().items() if any(c.isdigit() for c in token)]
    return torch.tensor(sorted(found))


@torch.no_grad()
def begin_comparing(model: Model, batches: Sequence[Sequence[Example]], digits: Tensor) -> None:
    """Give the comparing layer a first idea of its work, to be trained from there.

    A head looks one token back and carries on what the body predicted there for each digit. Units
    of the MLP, one for each digit, let through the logit of the digit that came. All of it is
    written where the body's states vary least.

    Args:
        batches: written solutions, to measure the body's states on.
        digits: (num_digits,) the tokens that are compared; fewer than a head is wide.
    """
    body = model.model
    layer = body.layers[-NEW_LAYERS]
    layer.input_layernorm.weight.copy_(body.norm.weight)  # reads what the LM head would read
    quiet = _look_back(model, _states(body, layer.input_layernorm, batches), digits)
    # A linear reading of the digit that came, as well as it goes, and of 1.
    states = _states(body, layer.post_attention_layernorm, batches, outputs=True)
    tokens = torch.cat([torch.tensor(e.ids[1:]) for batch in batches for e in batch])
    wanted = (tokens[:, None] == digits).float()
    readings = _readings(states, torch.cat([wanted, torch.ones(len(states), 1)], dim=1))
    came, one = readings[:, :-1].T, readings[:, -1]
    count, mlp = len(digits), layer.mlp
    mlp.gate_proj.weight[:count] = _STEEPNESS * (came - _HALFWAY * one)
    mlp.up_proj.weight[:count] = quiet[:, :count].T
    mlp.down_proj.weight[:, :count] = quiet[:, count][:, None]


def _look_back(model: Model, states: Tensor, digits: Tensor) -> Tensor:
    """Set up the head; returns directions of the body's states, (hidden, hidden), the quietest
    first, of which it fills one for each digit.

    Its keys are its queries turned by one position (RoPE), so that attention is highest there. Both
    come from the direction in which all states agree, since there is no bias to make them from.
    """
    body = model.model
    layer = body.layers[-NEW_LAYERS]
    read = layer.input_layernorm(states)
    common = _readings(read, torch.ones(len(read), 1)).squeeze(1)
    width = model.config.head_dim
    base = model.config.rope_parameters["rope_theta"]
    turns = base ** (-torch.arange(width // 2, dtype=torch.float32) * 2 / width)
    # The sum of the fast cosines is largest at the token before. The slowest one, in effect a
    # constant, takes away what the neighbours have of it: a state of which queries or keys are made
    # a little large gains nothing by that.
    shares = torch.zeros(width // 2)
    shares[:_TURNED] = 1.0
    shares[-1] = -turns[:_TURNED].cos().sum()
    reach = (_SHARPNESS * width**0.5 / (_TURNED + shares[-1])).sqrt()
    query = reach * torch.stack([(shares != 0).float(), torch.zeros(width // 2)])
    key = reach * shares * torch.stack([turns.cos(), turns.sin()])
    logits = body.embed_tokens.weight[digits]
    logits = logits - logits.mean(0)
    scale = states.std() / (read @ logits.T).std()
    quiet = torch.linalg.eigh(torch.cov(states.T)).eigenvectors
    attention, count = layer.self_attn, len(digits)
    attention.q_proj.weight[:width] = torch.outer(query.flatten(), common)
    attention.k_proj.weight[:width] = torch.outer(key.flatten(), common)
    attention.v_proj.weight[:count] = scale * logits
    attention.o_proj.weight[:, :count] = quiet[:, :count]
    return quiet


def _states(
    body: Model, norm: nn.Module, batches: Sequence[Sequence[Example]], *, outputs: bool = False
) -> Tensor:
    """(num_tokens, hidden) what goes into ``norm``, or comes out of it; first tokens left out."""
    seen: list[Tensor] = []

    def see(module: nn.Module, given: tuple[Tensor], out: Tensor) -> None:
        seen.append(out if outputs else given[0])

    hook = norm.register_forward_hook(see)
    found: list[Tensor] = []
    for batch in batches:
        body(input_ids=_stack(batch, "cpu")[0], use_cache=False)
        states = seen.pop()
        found += [states[row, 1 : len(example.ids)] for row, example in enumerate(batch)]
    hook.remove()
    return torch.cat(found)


def _readings(states: Tensor, wanted: Tensor) -> Tensor:
    """(hidden, num_wanted) the linear readings of ``states`` nearest to what is wanted (ridge)."""
    square = states.T @ states
    ridge = 1e-4 * square.diagonal().mean() * torch.eye(len(square))
    return torch.linalg.solve(square + ridge, states.T @ wanted)


class Judge(nn.Module):
    """A reward model as it is trained: with a head for surprises, which is not exported."""

    digits: Tensor  # (vocabulary,) bool, the tokens with one

    def __init__(self, model: Model, tokenizer: PreTrainedTokenizerFast, compiled: bool) -> None:
        super().__init__()
        self.model = model
        self.body_layers: int = model.config.num_hidden_layers - NEW_LAYERS
        self.body_norm = copy.deepcopy(model.model.norm).requires_grad_(False)
        self.doubt = nn.Linear(model.config.hidden_size, 1)
        nn.init.zeros_(self.doubt.weight)  # even odds, as above
        nn.init.zeros_(self.doubt.bias)
        digits = torch.zeros(model.config.vocab_size, dtype=torch.bool)
        digits[digit_tokens(tokenizer)] = True
        self.register_buffer("digits", digits, persistent=False)
        # A quarter faster on a CPU; needs a C++ compiler, so it can be switched off.
        self._run: Any = torch.compile(self._layers, dynamic=True) if compiled else self._layers

    def _layers(self, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The body's last state, the comparing layer's, and the model's, (rows, tokens, hidden)."""
        # Padding comes last and attention is causal: no mask is needed.
        out = self.model.model(input_ids=ids, use_cache=False, output_hidden_states=True)
        known, compared = out.hidden_states[self.body_layers : self.body_layers + 2]
        return known, compared, out.last_hidden_state

    def losses(self, batch: Sequence[Example], device: str) -> tuple[Tensor, Tensor]:
        """Mean loss over the labels; and over all tokens, of which the digits of the solutions are
        labelled with how surprising they are, and the others, as a group of the same weight, with
        0."""
        ids, rows, ends = _stack(batch, device)
        known, compared, last = self._run(ids)
        scores = self.model.score(last[rows, ends].float()).squeeze(-1).float()
        labels = torch.tensor([x for e in batch for x in e.labels], device=device)
        judged = nn.functional.binary_cross_entropy_with_logits(
            scores, labels, reduction="sum"
        ) / max(1, len(labels))
        real = torch.zeros(ids.shape, dtype=torch.bool, device=device)
        digits = torch.zeros_like(real)
        for row, example in enumerate(batch):
            real[row, : len(example.ids)] = True
            digits[row, example.prompt : len(example.ids)] = True
        digits &= self.digits[ids]
        surprise = self._surprise(ids, known, digits)
        doubts = self.doubt(self.as_read(compared)).squeeze(-1).float()
        each = nn.functional.binary_cross_entropy_with_logits(doubts, surprise, reduction="none")
        return judged, each[digits].mean() + each[real & ~digits].mean()

    @staticmethod
    def as_read(states: Tensor) -> Tensor:
        """States as a layer reads them, before its own scale."""
        return nn.functional.rms_norm(states, states.shape[-1:])

    @torch.no_grad()
    def begin_gathering(self, batches: Sequence[Sequence[Example]]) -> None:
        """Give the last layer a head that attends to what is doubted most, and carries the doubt
        on to where the score is read. To be called when doubts have been learned."""
        body = self.model.model
        layer, width = body.layers[-1], self.model.config.head_dim
        layer.input_layernorm.weight.fill_(1.0)
        states = self.as_read(_states(body, layer.input_layernorm, batches))
        common = _readings(states, torch.ones(len(states), 1)).squeeze(1)
        doubt = self.doubt.weight[0]
        attention = layer.self_attn
        query, key = attention.q_proj.weight[:width], attention.k_proj.weight[:width]
        query.zero_()
        key.zero_()
        # The slowest pair of the head: RoPE hardly turns it, so that distance does not matter.
        query[width // 2 - 1] = _ATTRACTION * width**0.5 * common
        key[width // 2 - 1] = doubt
        attention.v_proj.weight[0] = LOUDNESS * doubt
        quiet = torch.linalg.eigh(torch.cov(states.T)).eigenvectors[:, 0]
        attention.o_proj.weight[:, 0] = quiet
        self.model.score.weight[0] -= quiet

    @torch.no_grad()
    def _surprise(self, ids: Tensor, known: Tensor, digits: Tensor) -> Tensor:
        """(rows, tokens), in [0, 1]: how surprised the body is by each digit; else 0."""
        before = digits[:, 1:]  # nothing predicts the first token
        predicted = self.body_norm(known[:, :-1][before])
        chances = (predicted @ self.model.model.embed_tokens.weight.T).float().log_softmax(-1)
        nats = -chances.gather(1, ids[:, 1:][before][:, None]).squeeze(1)
        surprise = torch.zeros(ids.shape, device=ids.device)
        surprise[digits] = (nats / _MAX_SURPRISED).clamp(0, 1)
        return surprise


def _stack(batch: Sequence[Example], device: str) -> tuple[Tensor, list[int], list[int]]:
    """Ids (rows, longest), and row and token of each label."""
    ids = torch.zeros((len(batch), max(len(e.ids) for e in batch)), dtype=torch.long)
    rows: list[int] = []
    ends: list[int] = []
    for row, example in enumerate(batch):
        ids[row, : len(example.ids)] = torch.tensor(example.ids)
        rows += [row] * len(example.labels)
        ends += example.ends[: len(example.labels)]
    return ids.to(device), rows, ends


@torch.inference_mode()
def worst_lines(model: Model, batch: Sequence[Example], device: str) -> list[float]:
    """Each example's score, in [0, 1]: that of its worst line; 0 where no line has ended."""
    ids, _, _ = _stack(batch, device)
    # Padding comes after all that is read, and attention is causal: no mask is needed.
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
    scores = torch.sigmoid(model.score(hidden.float()).squeeze(-1))
    return [
        min((float(scores[row, end]) for end in example.ends), default=0.0)
        for row, example in enumerate(batch)
    ]


def export(model: Model, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write ``model`` in bfloat16 safetensors, as vLLM loads it (``runner="pooling"``)."""
    model.cpu().to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    file = folder / "tokenizer.json"  # its line breaks and blanks are more than half of it
    data = json.loads(file.read_text())
    file.write_text(json.dumps(data, ensure_ascii=False, separators=(",", ":")))
