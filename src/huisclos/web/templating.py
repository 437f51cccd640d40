"""Pages from templates: escaped always, undefined names are errors, and the reader's language in each."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from starlette.requests import Request
from starlette.responses import HTMLResponse

from huisclos.access.house import Glance
from huisclos.access.nouns import Right
from huisclos.access.sessions import Session
from huisclos.errors import Unreachable
from huisclos.web.site import origin_of, site_of
from huisclos.web.words import NAMES, Words, words_of

HERE: Final = Path(__file__).parent
STATIC: Final = HERE / "static"


@pass_context
def _gettext(context: Context, message: str) -> str:
    words: Words = context["words"]
    return words.gettext(message)


@pass_context
def _ngettext(context: Context, one: str, many: str, number: int) -> str:
    words: Words = context["words"]
    return words.ngettext(one, many, number)


@cache
def _asset(name: str) -> str:
    """The address of a static file with its digest, so that it can be kept for ever."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?{digest}"


_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
"""Controls, and what turns the direction of the text around it (UAX 9)."""


def _shown(value: object) -> object:
    """What any expression of a template shows: text from a file must not rearrange the words of the page."""
    if isinstance(value, str) and not value.isprintable():
        # what a sentence was made with is markup by now, and stays that
        return type(value)(_UNSEEN.sub("", value))
    return value


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
        finalize=_shown,
    )
    environment.install_gettext_callables(_gettext, _ngettext, newstyle=True)  # type: ignore[attr-defined]
    environment.policies["ext.i18n.trimmed"] = True
    environment.globals.update(asset=_asset, Right=Right, language_names=NAMES)
    return environment


_ENVIRONMENT: Final = _environment()


async def page(
    request: Request, template: str, session: Session | None = None, *, status: int = 200, **values: Any
) -> HTMLResponse:
    """A whole page, with the state of the house on top."""
    site = site_of(request)
    try:
        glance: Glance | None = await site.house.glance()
    except Unreachable:
        glance = None
    return HTMLResponse(render(request, template, session, glance=glance, **values), status)


def render(request: Request, template: str, session: Session | None = None, **values: Any) -> str:
    """A template with what every page knows."""
    site = site_of(request)
    words = words_of(request, session.actor.language if session else "")
    return _ENVIRONMENT.get_template(template).render(
        words=words,
        session=session,
        actor=session.actor if session else None,
        path=request.url.path,
        gate_url=origin_of(request, site.origins.gate) + "/",
        home_url=origin_of(request, site.origins.http) + "/",
        **values,
    )


def fragment(
    request: Request, template: str, session: Session | None = None, *, status: int = 200, **values: Any
) -> HTMLResponse:
    """A piece of a page, for a script that asked for it."""
    return HTMLResponse(render(request, template, session, **values), status)
