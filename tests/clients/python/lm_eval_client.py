"""lm-evaluation-harness: tasks that generate, over chat and completions, and a likelihood task."""

import json
import logging
import os
import tempfile
from pathlib import Path

from checking import BASE, check

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
import lm_eval
from lm_eval.tasks import TaskManager

logging.disable(logging.WARNING)
TOKENIZER = str(Path(__file__).parents[3] / "runtime/demo/model/target")
FOLDER = Path(tempfile.mkdtemp())
QUESTIONS = [{"question": "What is six times seven?", "answer": "42", "choices": ["7", "42"]}] * 4
(FOLDER / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in QUESTIONS))
DATA = {
    "dataset_path": "json",
    "dataset_kwargs": {"data_files": {"test": str(FOLDER / "test.jsonl")}},
    "test_split": "test",
    "doc_to_text": "{{question}}",
}
GENERATE = {
    **DATA,
    "task": "six_times_seven",
    "output_type": "generate_until",
    "doc_to_target": "{{answer}}",
    "generation_kwargs": {"until": ["\n\n", "Question:"], "do_sample": False, "temperature": 0},
    "filter_list": [
        {
            "name": "last number",
            "filter": [
                {"function": "regex", "regex_pattern": "(\\d+)", "group_select": -1},
                {"function": "take_first"},
            ],
        }
    ],
    "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
}
LIKELIHOOD = {
    **DATA,
    "task": "six_times_seven_likelihood",
    "output_type": "multiple_choice",
    "doc_to_choice": "{{choices}}",
    "doc_to_target": "{{choices.index(answer)}}",
    "metric_list": [{"metric": "acc"}],
}


def evaluate(model, path, task, **arguments):
    found = lm_eval.simple_evaluate(
        model=model,
        model_args={
            "model": json.loads(_get("/models"))["data"][0]["id"],
            "base_url": f"{BASE}/{path}",
            "tokenizer_backend": "huggingface",
            "tokenizer": TOKENIZER,
            "max_retries": 1,
            "max_length": 256,
            "max_gen_toks": 64,
            **arguments,
        },
        tasks=[dict(task)],
        task_manager=TaskManager(include_path=str(FOLDER), include_defaults=False),
        apply_chat_template=model == "local-chat-completions",
        bootstrap_iters=0,
        log_samples=True,
    )
    return found["results"][task["task"]], found["samples"][task["task"]]


def _get(path):
    import urllib.request

    with urllib.request.urlopen(BASE + path, timeout=30) as response:
        return response.read()


def generates(model, path, **arguments):
    results, samples = evaluate(model, path, GENERATE, **arguments)
    told = [sample["resps"][0][0] for sample in samples]
    assert not any("\n\n" in text for text in told), told
    assert results["exact_match,last number"] == 1.0, (results, told)
    return True


def likelihoods(**arguments):
    results, samples = evaluate("local-completions", "completions", LIKELIHOOD, **arguments)
    pairs = [pair for sample in samples for pair in sample["filtered_resps"]]
    assert len(pairs) == 2 * len(QUESTIONS)
    assert all(float(logprob) < 0 and greedy in (True, False) for logprob, greedy in pairs), pairs
    # The same text has the same likelihood, however it is sent.
    assert len({str(pair) for pair in pairs}) == 2, pairs
    return 0 <= results["acc,none"] <= 1


check("chat", lambda: generates("local-chat-completions", "chat/completions"))
check("completions", lambda: generates("local-completions", "completions"))
check(
    "likelihoods",
    lambda: likelihoods() and likelihoods(batch_size=4) and likelihoods(num_concurrent=4),
)
