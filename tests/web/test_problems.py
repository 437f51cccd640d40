"""Every error has one status, and one shape."""

from __future__ import annotations

import inspect
import logging

import httpx
import msgspec
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Message

from huisclos import errors
from huisclos.errors import HuisclosError
from huisclos.web.problems import MEDIA, Catch, Problem, document, on_bug, status_of

CLASSES = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, HuisclosError) and kind is not HuisclosError
]


@pytest.mark.parametrize("kind", CLASSES)
def test_no_error_is_unmapped(kind: type[HuisclosError]) -> None:
    """A class without a status of its own or of a parent would answer 500 without anyone having chosen so."""
    error = kind.__new__(kind)
    HuisclosError.__init__(error, "a sentence", hint="a way out")
    response = document(error)
    body = msgspec.json.decode(response.body, type=Problem)
    assert body.type.endswith(":" + kind.kind)
    assert body.status == response.status_code == status_of(error)
    assert response.media_type == MEDIA
    chosen = {errors.SealError, errors.HouseOpen}
    assert response.status_code != 500 or any(issubclass(kind, one) for one in chosen)


async def test_a_bug_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """What an exception holds reaches neither the client nor the log; where it happened does."""

    async def broken(request: Request) -> Response:
        del request
        raise RuntimeError("DUPONT^JEAN 19620314")

    app = Catch(Starlette(routes=[Route("/", broken)], exception_handlers={Exception: on_bug}))
    with caplog.at_level(logging.ERROR):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://x") as client:
            answer = await client.get("/")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == MEDIA
    assert "DUPONT" not in answer.text + caplog.text
    assert "RuntimeError at" in caplog.text


async def test_a_client_that_goes_is_no_bug(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever hangs up in the middle of a request leaves no line in the log, which thousands would fill."""

    async def reads(request: Request) -> Response:
        return Response(await request.body())

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        del message

    app = Catch(Starlette(routes=[Route("/", reads)], exception_handlers={Exception: on_bug}))
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
    with caplog.at_level(logging.DEBUG):
        await app(scope, receive, send)
    assert not caplog.records


async def test_a_body_that_breaks_is_cut() -> None:
    """After the first byte the only honest end is a broken one, never a quiet one."""

    async def body() -> object:
        yield b"one"
        raise RuntimeError("DUPONT")

    async def broken(request: Request) -> Response:
        del request
        return StreamingResponse(body())  # type: ignore[arg-type]

    app = Catch(Starlette(routes=[Route("/", broken)]))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://x") as client:
        with pytest.raises(Exception, match=r"^$"):
            await client.get("/")
