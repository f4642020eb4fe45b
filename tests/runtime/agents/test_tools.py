"""What a tool is: its schema, its limits, and what it says of wrong arguments."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import anyio
import orjson
import pytest
from pydantic import BaseModel, Field
from tests.backends import every_backend

from frontrunner.agents import Tool, ToolError, ToolFailed, tool
from frontrunner.runtime.agents.tools import MAX_RESULT


class Place(BaseModel):
    city: str
    zip: int | None = None


@tool
async def weather(
    place: Place, days: Annotated[int, Field(ge=1, description="How far.")] = 1, *, schema: str = ""
) -> Any:
    """The weather of the next days."""
    return {"city": place.city, "days": days, "schema": schema}


def test_a_tool_is_its_own_description_in_openais_form() -> None:
    assert weather["type"] == "function"
    function = dict(weather)["function"]
    assert function["name"] == "weather"
    assert function["description"] == "The weather of the next days."
    parameters = function["parameters"]
    assert parameters["required"] == ["place"]
    assert parameters["properties"]["days"] == {
        "default": 1,
        "description": "How far.",
        "minimum": 1,
        "type": "integer",
    }
    assert orjson.dumps(dict(weather))


async def test_it_reads_its_arguments_and_tells_data_as_json() -> None:
    said = await weather.run('{"place": {"city": "Bern"}, "days": 3, "schema": "x"}')
    assert orjson.loads(said) == {"city": "Bern", "days": 3, "schema": "x"}
    assert await weather(Place(city="Bern")) == {"city": "Bern", "days": 1, "schema": ""}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("{}", "place: Field required"),
        ('{"place": {"city": 3}}', "place.city"),
        ('{"place": {"city": "x"}, "days": 0}', "days"),
        ('{"place": {"city": "x"}, "hours": 0}', "hours: Extra"),
        ("[]", "arguments"),
    ],
)
async def test_wrong_arguments_are_for_the_model_to_mend(arguments: str, said: str) -> None:
    with pytest.raises(ToolError, match=said):
        await weather.run(arguments)


async def test_what_raises_is_tried_again_as_often_as_it_says() -> None:
    tries = 0

    @tool(retries=2)
    async def flaky() -> str:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise OSError("not now")
        return "well"

    assert await flaky.run("{}") == "well"
    tries = -5
    with pytest.raises(ToolFailed, match="flaky raised OSError: not now"):
        await flaky.run("{}")
    assert tries == -2


async def test_what_takes_too_long_is_cancelled() -> None:
    ended: list[float] = []

    @tool(timeout=2.0, retries=1)
    async def slow() -> str:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(anyio.current_time())
        return ""

    began = anyio.current_time()
    with pytest.raises(ToolFailed, match="longer than 2 s"):
        await slow.run("{}")
    assert [at - began for at in ended] == [2.0, 4.0]


async def test_what_it_says_itself_is_not_tried_again() -> None:
    tries = 0

    @tool(retries=5)
    async def strict() -> str:
        nonlocal tries
        tries += 1
        raise ToolError("say please")

    with pytest.raises(ToolError, match="say please"):
        await strict.run("{}")
    assert tries == 1


@every_backend
async def test_no_more_run_at_once_than_it_says() -> None:
    running = most = 0

    async def count() -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.sleep(0.001)
        running -= 1
        return "x"

    counted = Tool(count, concurrency=2)
    async with anyio.create_task_group() as tasks:
        for _ in range(7):
            tasks.start_soon(counted.run, "{}")
    assert most == 2


async def test_a_long_result_is_cut_and_says_so() -> None:
    async def long() -> str:
        return "x" * (2 * MAX_RESULT)

    said = await Tool(long).run("{}")
    assert len(said) < MAX_RESULT + 100
    assert said.endswith(f"(cut: {2 * MAX_RESULT} characters in all)")


async def test_results_that_json_cannot_say_lose_the_branch() -> None:
    async def odd() -> object:
        return object()

    with pytest.raises(ToolFailed, match="its result"):
        await Tool(odd).run("{}")


async def test_dataclasses_and_choices_are_types() -> None:
    @dataclass
    class Point:
        x: float
        y: float

    async def move(to: list[Point], how: Literal["fast", "slow"]) -> str:
        return f"{to[0].x} {how}"

    assert await Tool(move).run('{"to": [{"x": 1, "y": 2}], "how": "fast"}') == "1.0 fast"


def test_what_is_no_tool_is_told_so() -> None:
    def plain(x: int) -> int:
        return x

    async def untyped(x) -> int:  # type: ignore[no-untyped-def]
        return x

    async def many(*x: int) -> int:
        return len(x)

    async def odd(x: type[object] | object) -> None: ...

    wrong: Any = plain
    with pytest.raises(TypeError, match="plain must be an async function"):
        Tool(wrong)
    with pytest.raises(TypeError, match="x needs a type"):
        Tool(untyped)
    with pytest.raises(TypeError, match="cannot be called by name"):
        Tool(many)
    with pytest.raises(ValueError, match="runs once"):
        Tool(weather._function, side_effects=True, retries=1)
    wrongs: list[dict[str, Any]] = [{"timeout": 0}, {"concurrency": 0}, {"retries": -1}]
    for bad in wrongs:
        with pytest.raises(ValueError, match="timeout"):
            Tool(weather._function, **bad)
