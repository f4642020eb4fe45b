#!/usr/bin/env bash
# openai-python: a keep-alive comment ends a stream whose events have ids
#
# openai 3.57.0. A comment and a blank line are nothing in an event stream, and are nothing here as long as no event had
# an id. After one had, the blank line makes an event without data, whose JSON cannot be read. So do a `retry:` field
# and an event that has a name only. With one newline behind the comment the stream goes on.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder" openai==3.57.0 httpx==0.28.1

PYTHONPATH=$folder python3 - >"$folder/seen" 2>/dev/null <<'PYTHON'
import httpx
import openai

DELTA = (
    'data: {"type":"response.output_text.delta","delta":"%s","sequence_number":%d,'
    '"item_id":"m","output_index":0,"content_index":0}\n\n'
)
STREAMS = {
    "no ids, comment": (DELTA % ("4", 1), ": keep-alive\n\n", DELTA % ("2", 2)),
    "ids, comment": ("id: 1\n", DELTA % ("4", 1), ": keep-alive\n\n", "id: 2\n", DELTA % ("2", 2)),
    "ids, one newline": ("id: 1\n", DELTA % ("4", 1), ": keep-alive\n", "id: 2\n", DELTA % ("2", 2)),
    "retry": (DELTA % ("4", 1), "retry: 3000\n\n", DELTA % ("2", 2)),
    "a name only": (DELTA % ("4", 1), "event: ping\n\n", DELTA % ("2", 2)),
}
for name, pieces in STREAMS.items():
    def reply(request):
        headers = {"content-type": "text/event-stream"}
        return httpx.Response(200, headers=headers, text="".join(pieces) + "data: [DONE]\n\n")

    http = httpx.Client(transport=httpx.MockTransport(reply))
    client = openai.OpenAI(api_key="none", base_url="http://localhost/v1", http_client=http)
    read = ""
    try:
        for event in client.responses.create(model="m", input="6 times 7?", stream=True):
            read += event.delta
    except ValueError as error:
        read += f", then {type(error).__name__}"
    print(f"{name}: {read}")
PYTHON
cat "$folder/seen"
diff - "$folder/seen" <<'EXPECTED' || { echo "it behaves otherwise now" >&2; exit 1; }
no ids, comment: 42
ids, comment: 4, then JSONDecodeError
ids, one newline: 42
retry: 4, then JSONDecodeError
a name only: 4, then JSONDecodeError
EXPECTED
