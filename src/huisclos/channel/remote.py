"""A port served over a channel: the Protocol itself is the table of messages.

`serve` answers every coroutine method of a Protocol with an implementation of it; `remote` makes
an object of that Protocol whose calls cross to the other process. Requests are encoded as arrays
in the order of the parameters and decoded strictly into the annotated types.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar, cast

import msgspec

from huisclos.channel.calls import Channel, Methods, Nothing, Sibling

Port = TypeVar("Port")
Caller = Sibling | Channel
Ask = Callable[..., Awaitable[Any]]
Around = Callable[[Ask], Ask]


def methods_of(port: type) -> dict[str, tuple[type[msgspec.Struct], Any]]:
    """Name to (request struct, reply type) of each coroutine method of a Protocol."""
    table: dict[str, tuple[type[msgspec.Struct], Any]] = {}
    for name, function in inspect.getmembers(port, inspect.iscoroutinefunction):
        hints = typing.get_type_hints(function)
        reply = hints.pop("return")
        fields: list[Any] = []
        for parameter in list(inspect.signature(function).parameters.values())[1:]:
            field = (parameter.name, hints[parameter.name])
            fields.append(field if parameter.default is parameter.empty else (*field, parameter.default))
        request = msgspec.defstruct(f"{port.__name__}.{name}", fields, array_like=True, frozen=True)
        table[name] = (request, Nothing if reply is type(None) else reply)
    return table


def serve(
    methods: Methods,
    port: type,
    implementation: object,
    *,
    only: frozenset[str] | None = None,
    guard: Callable[[msgspec.Struct], None] | None = None,
) -> None:
    """Answer the methods of `port` (or `only` some) with those of `implementation`.

    `guard` sees each request first and raises to refuse it.
    """
    for name, (request, _) in methods_of(port).items():
        if only is None or name in only:
            answer = _answer(getattr(implementation, name), request, guard)
            methods.add(f"{port.__name__}.{name}", request, answer)


def remote(port: type[Port], caller: Caller, around: Mapping[str, Around] | None = None) -> Port:
    """An object of `port` whose methods are answered at the other end of `caller`.

    `around` has what stands before some of them: given how to ask, it gives how to ask less often.
    """
    namespace = {
        name: _ask(f"{port.__name__}.{name}", request, reply)
        for name, (request, reply) in methods_of(port).items()
    }
    for name, before in (around or {}).items():
        namespace[name] = before(namespace[name])
    made = type(f"Remote{port.__name__}", (), {"__init__": _keep, **namespace})
    return cast("Port", made(caller))


def _keep(self: Any, caller: Caller) -> None:
    self.caller = caller


def _answer(
    method: Callable[..., Awaitable[Any]],
    request: type[msgspec.Struct],
    guard: Callable[[msgspec.Struct], None] | None,
) -> Callable[[Any], Awaitable[Any]]:
    names = request.__struct_fields__
    signature = inspect.signature(method)
    keyword = {name for name in names if signature.parameters[name].kind is inspect.Parameter.KEYWORD_ONLY}

    async def answer(asked: Any) -> Any:
        if guard is not None:
            guard(asked)
        positional = [getattr(asked, name) for name in names if name not in keyword]
        return await method(*positional, **{name: getattr(asked, name) for name in keyword})

    return answer


def _ask(name: str, request: type[msgspec.Struct], reply: Any) -> Callable[..., Awaitable[Any]]:
    silent = reply is Nothing

    async def ask(self: Any, *args: Any, **kwargs: Any) -> Any:
        answer = await self.caller.call(name, request(*args, **kwargs), reply)
        return None if silent else answer

    return ask
