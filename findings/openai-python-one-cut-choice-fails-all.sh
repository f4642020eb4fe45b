#!/usr/bin/env bash
# openai-python: of the choices that are parsed, one that was cut, or does not fit, costs all the others
#
# openai 3.57.0. chat.completions.parse(n=3) raises as soon as one choice ended with "length", even where its JSON is
# whole, or breaks a rule of the class that no schema tells the server. With "length" the error carries the completion, not
# so with the rule of the class: the two good answers, paid for, are gone. A stream is over at the first cut choice, with
# the others in the middle of theirs.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder" openai==3.57.0

PYTHONPATH=$folder python3 - >"$folder/seen" 2>/dev/null <<'PYTHON'
import json

import httpx2 as httpx  # which the openai package uses
import openai
import pydantic


class Answer(pydantic.BaseModel):
    value: int

    @pydantic.field_validator("value")
    @classmethod
    def even(cls, value):
        if value % 2:
            raise ValueError("odd")
        return value


def asking(body, kind="application/json"):
    reply = httpx.Response(200, headers={"content-type": kind}, text=body)
    http = httpx.Client(transport=httpx.MockTransport(lambda request: reply))
    client = openai.OpenAI(api_key="none", base_url="http://localhost/v1", http_client=http)
    asked = {"model": "m", "messages": [{"role": "user", "content": "?"}], "n": 3, "response_format": Answer}
    return client.chat.completions, asked


def told(kind, choices):
    return {"id": "c", "object": kind, "created": 1, "model": "m", "choices": choices}


def parse(last, reason):
    said = [('{"value": 42}', "stop"), ('{"value": 42}', "stop"), (last, reason)]
    choices = [
        {"index": i, "message": {"role": "assistant", "content": text}, "finish_reason": why}
        for i, (text, why) in enumerate(said)
    ]
    completions, asked = asking(json.dumps(told("chat.completion", choices)))
    try:
        return [choice.message.parsed.value for choice in completions.parse(**asked).choices]
    except (openai.LengthFinishReasonError, pydantic.ValidationError) as error:
        whole = getattr(error, "completion", None)
        return f"{type(error).__name__} with {len(whole.choices) if whole else 0} choices"


for last, reason in (
    ('{"value": 44}', "stop"), ('{"value": 4', "length"), ('{"value": 44}', "length"), ('{"value": 43}', "stop"),
):  # fmt: skip
    print(f"{last} ({reason}): {parse(last, reason)}")

pieces = [(0, '{"value": ', None), (1, '{"value": ', None), (1, "4", "length"), (0, "42}", None), (0, "", "stop")]
chunks = [
    told("chat.completion.chunk", [{"index": i, "delta": {"content": text}, "finish_reason": why}])
    for i, text, why in pieces
]
completions, asked = asking("".join(f"data: {json.dumps(one)}\n\n" for one in chunks), "text/event-stream")
heard = []
try:
    with completions.stream(**asked) as stream:
        for event in stream:
            heard += [event.delta] if event.type == "content.delta" else []
except openai.LengthFinishReasonError as error:
    print(f"streamed: {heard}, then {type(error).__name__}")
PYTHON
cat "$folder/seen"
diff - "$folder/seen" <<'EXPECTED' || { echo "it behaves otherwise now" >&2; exit 1; }
{"value": 44} (stop): [42, 42, 44]
{"value": 4 (length): LengthFinishReasonError with 3 choices
{"value": 44} (length): LengthFinishReasonError with 3 choices
{"value": 43} (stop): ValidationError with 0 choices
streamed: ['{"value": ', '{"value": '], then LengthFinishReasonError
EXPECTED
