#!/usr/bin/env bash
# litellm: of two choices that are streamed the whole one is told as cut, and the one that was cut as whole
#
# litellm 1.110.2, with openai 3.57.0. Texts are kept apart by their index, but a stream has one finish_reason, which is held
# back until its end and given to one choice, whosever it was; the other choice gets none. stream_chunk_builder() writes
# "stop" for it. With n=1 the reasons are right, and so they are with n=2 if nothing is streamed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder" litellm==1.110.2 openai==3.57.0

LITELLM_LOCAL_MODEL_COST_MAP=True PYTHONPATH=$folder python3 - >"$folder/seen" 2>/dev/null <<'PYTHON'
import json

import httpx2 as httpx  # which the openai package uses
import litellm
import openai

litellm.suppress_debug_info = True


def client(body, kind):
    reply = httpx.Response(200, headers={"content-type": kind}, text=body)
    http = httpx.Client(transport=httpx.MockTransport(lambda request: reply))
    return openai.OpenAI(api_key="none", base_url="http://localhost/v1", http_client=http)


def told(kind, *choices):
    return {"id": "c", "object": kind, "created": 1, "model": "m", "choices": choices}


def ask(body, kind, n, stream):
    asked = [{"role": "user", "content": "?"}]
    return litellm.completion("openai/m", asked, n=n, stream=stream, client=client(body, kind))


def streamed(name, n, *pieces):
    chunks = [
        told("chat.completion.chunk", {"index": index, "delta": {"content": text}, "finish_reason": reason})
        for index, text, reason in pieces
    ]
    body = "".join(f"data: {json.dumps(one)}\n\n" for one in chunks) + "data: [DONE]\n\n"
    heard = list(ask(body, "text/event-stream", n, True))
    reasons = {one.index: one.finish_reason for chunk in heard for one in chunk.choices if one.finish_reason}
    built = [(one.message.content, one.finish_reason) for one in litellm.stream_chunk_builder(heard).choices]
    print(f"{name}: told {reasons}, built {built}")


def whole(*choices):
    messages = [
        {"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": reason}
        for index, (text, reason) in enumerate(choices)
    ]
    reply = ask(json.dumps(told("chat.completion", *messages)), "application/json", len(choices), False)
    print("not streamed:", [(one.message.content, one.finish_reason) for one in reply.choices])


whole(("forty", "stop"), ("six", "length"))
streamed("one choice, cut", 1, (0, "for", None), (0, "ty", "length"))
streamed("the second is cut", 2, (0, "for", None), (1, "s", None), (0, "ty", "stop"), (1, "ix", "length"))
streamed("the second is cut, first", 2, (0, "for", None), (1, "s", None), (1, "ix", "length"), (0, "ty", "stop"))
PYTHON
cat "$folder/seen"
diff - "$folder/seen" <<'EXPECTED' || { echo "it behaves otherwise now" >&2; exit 1; }
not streamed: [('forty', 'stop'), ('six', 'length')]
one choice, cut: told {0: 'length'}, built [('forty', 'length')]
the second is cut: told {0: 'length'}, built [('forty', 'length'), ('six', 'stop')]
the second is cut, first: told {0: 'stop'}, built [('forty', 'stop'), ('six', 'stop')]
EXPECTED
