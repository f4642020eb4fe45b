"""Tools: async functions with typed signatures that branches may call."""

import inspect
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final, Self, get_type_hints, overload

import anyio
from anyio.lowlevel import RunVar
from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, ValidationError, create_model
from pydantic_core import PydanticSerializationError, to_json

from ..errors import FrontrunnerError

#: What a tool is made of.
ToolFunction = Callable[..., Awaitable[Any]]

#: Characters of a result that a model is told; what is longer is cut, and says so.
MAX_RESULT: Final = 20_000


class ToolError(Exception):
    """Raised by a tool, it is told to the model as the result, which may try something else.
    Whatever else a tool raises loses the branch."""


class ToolFailed(FrontrunnerError):
    """A tool raised, or took too long."""


class Tool(Mapping[str, Any]):
    """A tool, for ``Runtime(tools=…)`` or ``solve(…, tools=…)``. It is also the tool in OpenAI's
    form: a mapping with ``type`` and ``function``.

    Branches run it on their way and go on with its result. Equal calls of one race's branches are
    one execution. One with ``side_effects`` no branch runs: its call is an answer that is voted on,
    and ``Runtime.act`` runs the call that the race decided for, once.
    """

    def __init__(
        self,
        function: ToolFunction,
        *,
        name: str | None = None,
        description: str | None = None,
        side_effects: bool = False,
        timeout: float = 10.0,
        concurrency: int = 16,
        retries: int = 0,
    ) -> None:
        """
        Args:
            function: each of its parameters has a type; ``Annotated[int, Field(description="…")]``
                says more of one.
            name: what models call it; None: as the function is called.
            description: None: the function's docstring.
            side_effects: whether it changes something, so that it may only run once and for the
                call that was decided for.
            timeout: seconds for one try.
            concurrency: executions at once, of all races of an event loop.
            retries: how often it is tried again after an error or a timeout.

        Raises:
            TypeError: the function is not async, or a parameter has no type that JSON can say.
            ValueError: a number is out of range, or a tool with side effects is to be retried.
        """
        if timeout <= 0 or concurrency < 1 or retries < 0:
            raise ValueError("timeout must be above 0, concurrency at least 1, retries at least 0")
        if side_effects and retries:
            raise ValueError(
                "retries: a tool with side effects runs once, since nobody knows what a try that "
                "failed has done"
            )
        self.name = name or getattr(function, "__name__", type(function).__name__)
        self.side_effects, self.timeout = side_effects, timeout
        self._function, self._retries = function, retries
        self._arguments: type[BaseModel] | None = _arguments_of(self.name, function)
        self._names = {f"a{i}": n for i, n in enumerate(inspect.signature(function).parameters)}
        self._concurrency = concurrency
        self._slots: RunVar[anyio.Semaphore] = RunVar(f"slots of the tool {self.name}")
        self._describe(description or inspect.getdoc(function) or "", _schema(self._arguments))

    @classmethod
    def of_schema(
        cls,
        call: Callable[[Mapping[str, Any]], Awaitable[Any]],
        schema: Mapping[str, Any],
        *,
        name: str,
        description: str = "",
        side_effects: bool = False,
        timeout: float = 10.0,
    ) -> Self:
        """A tool whose parameters a JSON schema describes; ``call`` gets the arguments."""

        async def function() -> Any: ...

        made = cls(function, name=name, side_effects=side_effects, timeout=timeout)
        made._arguments, made._function = None, call
        made._describe(description, schema)
        return made

    def _describe(self, description: str, schema: Mapping[str, Any]) -> None:
        function: dict[str, Any] = {"name": self.name, "parameters": dict(schema)}
        if description:
            function["description"] = description
        self._offered = {"type": "function", "function": function}

    def __getitem__(self, key: str) -> Any:
        return self._offered[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._offered)

    def __len__(self) -> int:
        return len(self._offered)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"Tool({self.name!r})"

    async def __call__(self, *arguments: Any, **named: Any) -> Any:
        """The function itself."""
        return await self._function(*arguments, **named)

    async def run(self, arguments: str) -> str:
        """What the tool says when called with ``arguments``, a JSON object.

        Raises:
            ToolError: the arguments are none of its own, or it says so itself.
            ToolFailed: it raised, or took too long.
        """
        call, failure = self._read(arguments), ""
        for _ in range(self._retries + 1):
            try:
                async with self._slot():
                    with anyio.move_on_after(self.timeout):
                        return _told(await call())
                failure = f"took longer than {self.timeout:g} s"
            except ToolError as error:
                raise ToolError(_encodable(str(error))) from error
            except BaseException as error:
                if _ends_the_task(error):
                    raise
                failure = _encodable(f"raised {type(error).__name__}: {error}")
        raise ToolFailed(f"the tool {self.name} {failure}")

    def _read(self, arguments: str) -> Callable[[], Awaitable[Any]]:
        if self._arguments is None:
            data = json.loads(arguments)
            return lambda: self._function(data)
        try:
            read = self._arguments.model_validate_json(arguments)
        except ValidationError as error:
            wrong = [
                f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}"
                for e in error.errors(include_url=False, include_input=False)
            ]
            raise ToolError("; ".join(wrong[:5])) from None
        values = {name: getattr(read, field) for field, name in self._names.items()}
        return lambda: self._function(**values)

    def _slot(self) -> anyio.Semaphore:
        try:
            return self._slots.get()
        except LookupError:
            slots = anyio.Semaphore(self._concurrency)
            self._slots.set(slots)
            return slots


@overload
def tool(function: ToolFunction, /) -> Tool: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    side_effects: bool = False,
    timeout: float = 10.0,
    concurrency: int = 16,
    retries: int = 0,
) -> Callable[[ToolFunction], Tool]: ...
def tool(
    function: ToolFunction | None = None, /, **settings: Any
) -> Tool | Callable[[ToolFunction], Tool]:
    """Make a tool of an async function, with the settings of ``Tool``.

    ::

        @tool(timeout=5.0)
        async def weather(city: str, days: int = 1) -> str:
            "The weather of the next days."
    """
    if function is not None:
        return Tool(function)
    return lambda decorated: Tool(decorated, **settings)


def _arguments_of(name: str, function: ToolFunction) -> type[BaseModel]:
    """
    Raises:
        TypeError: it cannot be called with JSON.
    """
    called: Any = function if inspect.isroutine(function) else type(function).__call__
    if not inspect.iscoroutinefunction(called):
        raise TypeError(
            f"the tool {name} must be an async function (call a blocking one with "
            "anyio.to_thread.run_sync)"
        )
    hints = get_type_hints(called, include_extras=True)
    fields: dict[str, Any] = {}
    for index, (parameter, said) in enumerate(inspect.signature(function).parameters.items()):
        if said.kind not in (said.POSITIONAL_OR_KEYWORD, said.KEYWORD_ONLY):
            raise TypeError(f"the tool {name}: {said} cannot be called by name")
        if parameter not in hints:
            raise TypeError(f"the tool {name}: the parameter {parameter} needs a type")
        default = ... if said.default is said.empty else said.default
        # Under a name of our own: a parameter may be called as pydantic's methods are.
        fields[f"a{index}"] = (hints[parameter], Field(default, alias=parameter))
    try:
        made = create_model(name, __config__=ConfigDict(extra="forbid"), **fields)
        made.model_json_schema()
    except (PydanticUserError, TypeError) as error:
        first = str(error).splitlines()[0]
        raise TypeError(
            f"the tool {name}: its types are none that JSON can say: {first}"
        ) from error
    return made


def _schema(arguments: type[BaseModel] | None) -> dict[str, Any]:
    schema = {} if arguments is None else arguments.model_json_schema()
    schema.pop("title", None)
    for said in schema.get("properties", {}).values():
        said.pop("title", None)
    return schema


def _ends_the_task(error: BaseException) -> bool:
    """Whether it is no failure of a tool, but the end of what it runs in; whatever else is raised,
    and be it no ``Exception``, may cost its branch alone."""
    ends = (anyio.get_cancelled_exc_class(), KeyboardInterrupt)
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(lambda one: isinstance(one, ends)) is not None
    return isinstance(error, ends)


def _encodable(text: str) -> str:
    """``text`` without lone surrogates, which no tokenizer takes."""
    return text.encode("utf-8", "replace").decode()


def _told(result: Any) -> str:
    if isinstance(result, str):
        text = _encodable(result)
    else:
        try:
            text = to_json(result).decode()
        except PydanticSerializationError as error:
            raise TypeError(f"its result is none that JSON can say: {error}") from error
    if len(text) > MAX_RESULT:
        return f"{text[:MAX_RESULT]}… (cut: {len(text)} characters in all)"
    return text
