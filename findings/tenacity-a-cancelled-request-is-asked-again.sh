#!/usr/bin/env bash
# tenacity: with a rule that says what is not retried, a cancelled request is asked again, and the cancellation is lost
#
# tenacity 9.2.1. By default, and with retry_if_exception_type(), a task that is cancelled ends. With "retry unless it is a
# ValueError", said by a type, by a predicate or by a message, the CancelledError is one more failure: a loser of a race
# goes on, its canceller gets a reply, and the time limit around it neither ends it nor is heard of. Where
# retry_unless_exception_type() or retry_always judges, three attempts are made and their replies are lost besides.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder" tenacity==9.2.1

PYTHONPATH=$folder python3 - >"$folder/seen" 2>/dev/null <<'PYTHON'
import asyncio

import tenacity

RULES = {
    "default": {},
    "if Exception": {"retry": tenacity.retry_if_exception_type()},
    "if not ValueError": {"retry": tenacity.retry_if_not_exception_type(ValueError)},
    "if a predicate says so": {"retry": tenacity.retry_if_exception(lambda error: not isinstance(error, ValueError))},
    "if not this message": {"retry": tenacity.retry_if_not_exception_message(match="bad request")},
    "unless ValueError": {"retry": tenacity.retry_unless_exception_type(ValueError)},
}


async def race(rule):
    attempts = 0

    @tenacity.retry(stop=tenacity.stop_after_attempt(3), **rule)
    async def ask():
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            await asyncio.get_running_loop().create_future()  # a server that is thinking, until it is cancelled
        return "a late reply"

    async def ask_in_time():
        async with asyncio.timeout(0):
            return await ask()

    told = []
    for asking in (ask, ask_in_time):
        attempts = 0
        task = asyncio.create_task(asking())
        if asking is ask:
            await asyncio.sleep(0)  # the first attempt begins
            task.cancel()
        (end,) = await asyncio.gather(task, return_exceptions=True)
        told.append(f"{end if isinstance(end, str) else type(end).__name__} after {attempts}")
    return "; within a time limit: ".join(told)


for name, rule in RULES.items():
    print(f"{name}: {asyncio.run(race(rule))}")
PYTHON
cat "$folder/seen"
diff - "$folder/seen" <<'EXPECTED' || { echo "it behaves otherwise now" >&2; exit 1; }
default: CancelledError after 1; within a time limit: TimeoutError after 1
if Exception: CancelledError after 1; within a time limit: TimeoutError after 1
if not ValueError: a late reply after 2; within a time limit: a late reply after 2
if a predicate says so: a late reply after 2; within a time limit: a late reply after 2
if not this message: RetryError after 3; within a time limit: RetryError after 3
unless ValueError: RetryError after 3; within a time limit: RetryError after 3
EXPECTED
