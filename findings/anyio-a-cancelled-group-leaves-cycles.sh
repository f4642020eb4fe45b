#!/usr/bin/env bash
# anyio: a task group that is cancelled leaves its tasks to the garbage collector
#
# anyio 4.16.0 on asyncio. Tasks that are cancelled with their group (group.cancel_scope.cancel()) are held by reference
# cycles when the block is over: four sleeping tasks leave some 120 objects (Python 3.11), with all that their frames knew,
# to the next full collection. Tasks that are cancelled by a scope of their own, within which they end, leave none, though
# the group waits for them alike. With thousands of short groups a second those collections are pauses of the event loop.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder" anyio==4.16.0

PYTHONPATH=$folder python3 - >"$folder/seen" <<'PYTHON'
import gc

import anyio


async def cancelled(by_group: bool) -> int:
    scopes = []

    async def in_a_scope() -> None:
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(anyio.sleep_forever if by_group else in_a_scope)
        await anyio.wait_all_tasks_blocked()
        for scope in [group.cancel_scope] if by_group else scopes:
            scope.cancel()


async def main() -> None:
    for by_group in (True, False):
        await cancelled(by_group)  # a first time imports and remembers what it needs
        gc.collect()
        gc.disable()
        for _ in range(50):
            await cancelled(by_group)
        left = gc.collect() / 50
        gc.enable()
        name = "cancelled with their group" if by_group else "each by a scope of its own"
        print(f"{name}: {'20 objects or more' if left >= 20 else 'less than 1'} a group left")


anyio.run(main)
PYTHON
cat "$folder/seen"
diff - "$folder/seen" <<'EXPECTED' || { echo "it behaves otherwise now" >&2; exit 1; }
cancelled with their group: 20 objects or more a group left
each by a scope of its own: less than 1 a group left
EXPECTED
