"""A request's body as one instance, sealed as it arrives."""

from __future__ import annotations

from starlette.requests import Request

from huisclos.archive.receive import Received, Reception
from huisclos.errors import HuisclosError


async def deposit_body(request: Request, reception: Reception) -> Received:
    """The whole body into `reception`, and what came of it. Raises what `Reception` raises.

    What is refused is read to its end all the same: a browser that is still sending would
    otherwise see a broken connection in place of the reason.
    """
    refused: HuisclosError | None = None
    try:
        async for chunk in request.stream():
            if refused is None:
                try:
                    reception.write(chunk)
                except HuisclosError as error:
                    reception.abandon()
                    refused = error
        if refused is not None:
            raise refused
        return await reception.finish()
    finally:
        reception.abandon()
