"""The demo's reward model: a body that knows its arithmetic, under layers that judge.

A wrong number is one that the body would not have written: it predicts every digit one token
early. The first new layer learns to say how surprising each digit is, which every digit teaches;
the next brings the surprises of a branch together into one logit, "right so far". Labels of whole
lines alone teach the comparison too slowly to be of use: they do not say which digit is wrong.
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
#: Surprise, in nats, from which on a digit counts as wholly unexpected.
_MOST_SURPRISED: Final = 10.0


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


class Judge(nn.Module):
    """A reward model as it is trained: with a head for surprises, which is not exported."""

    def __init__(self, model: Model, tokenizer: PreTrainedTokenizerFast, compiled: bool) -> None:
        super().__init__()
        self.model = model
        self.body_layers: int = model.config.num_hidden_layers - NEW_LAYERS
        self.body_norm = copy.deepcopy(model.model.norm).requires_grad_(False)
        self.doubt = nn.Linear(model.config.hidden_size, 1)
        nn.init.zeros_(self.doubt.weight)  # even odds, as above
        nn.init.zeros_(self.doubt.bias)
        digits = torch.zeros(model.config.vocab_size, dtype=torch.bool)
        for token, index in tokenizer.get_vocab().items():
            digits[index] = any(c.isdigit() for c in token)
        self.register_buffer("digits", digits, persistent=False)
        # A quarter faster on a CPU; needs a C++ compiler, so it can be switched off.
        self._run: Any = torch.compile(self._layers, dynamic=True) if compiled else self._layers

    def _layers(self, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The body's last state, the comparing layer's, and the model's, (rows, tokens, hidden)."""
        body = self.model.model
        hidden = body.embed_tokens(ids)
        positions = torch.arange(ids.shape[1], device=ids.device)[None]
        rotary = body.rotary_emb(hidden, position_ids=positions)
        states: list[Tensor] = []
        for layer in body.layers:
            # Padding comes last and attention is causal: no mask is needed.
            hidden = layer(hidden, attention_mask=None, position_embeddings=rotary)
            states.append(hidden)
        return states[self.body_layers - 1], states[self.body_layers], body.norm(hidden)

    def losses(self, batch: Sequence[Example], device: str) -> tuple[Tensor, Tensor]:
        """Mean loss over the labels, and over the surprise at each digit."""
        ids, rows, places = _stack(batch, device)
        known, compared, last = self._run(ids)
        logits = self.model.score(last[rows, places].float()).squeeze(-1).float()
        labels = torch.tensor([x for e in batch for x in e.labels], device=device)
        weights = torch.tensor([x for e in batch for x in e.weights], device=device)
        summed = nn.functional.binary_cross_entropy_with_logits(
            logits, labels, weights, reduction="sum"
        )
        digits = self.digits[ids[:, 1:]]
        with torch.no_grad():
            predicted = self.body_norm(known[:, :-1][digits])
            chances = (predicted @ self.model.model.embed_tokens.weight.T).float().log_softmax(-1)
            nats = -chances.gather(1, ids[:, 1:][digits][:, None]).squeeze(1)
            surprise = (nats / _MOST_SURPRISED).clamp(0, 1)
        doubts = self.doubt(nn.functional.rms_norm(compared[:, 1:][digits], compared.shape[-1:]))
        doubt = nn.functional.binary_cross_entropy_with_logits(doubts.squeeze(-1).float(), surprise)
        return summed / weights.sum(), doubt


def _stack(batch: Sequence[Example], device: str) -> tuple[Tensor, list[int], list[int]]:
    """Ids (rows, longest), and row and token of each place."""
    ids = torch.zeros((len(batch), max(len(e.ids) for e in batch)), dtype=torch.long)
    rows: list[int] = []
    for row, example in enumerate(batch):
        ids[row, : len(example.ids)] = torch.tensor(example.ids)
        rows += [row] * len(example.places)
    return ids.to(device), rows, [place for example in batch for place in example.places]


def logits_at_places(model: Model, batch: Sequence[Example], device: str) -> Tensor:
    """(num_labels,) logits of all examples' places, in their order."""
    ids, rows, places = _stack(batch, device)
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
    return model.score(hidden[rows, places].float()).squeeze(-1)


def export(model: Model, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write ``model`` in bfloat16 safetensors, as vLLM loads it (``runner="pooling"``)."""
    model.cpu().to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    file = folder / "tokenizer.json"  # its line breaks and blanks are more than half of it
    data = json.loads(file.read_text())
    file.write_text(json.dumps(data, ensure_ascii=False, separators=(",", ":")))
