"""An error as a page: what happened, what it means, what to do; the code is there, small."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from huisclos.access.sessions import Session
from huisclos.errors import HuisclosError
from huisclos.web.problems import status_of
from huisclos.web.site import session_proof, site_of
from huisclos.web.templating import page
from huisclos.web.words import Words, words_of


async def problem_page(request: Request, error: HuisclosError) -> Response:
    """The page for an error, with what its reader may go on to."""
    session = await _reader(request)
    title, sentence = _said(error, words_of(request, session.actor.language if session else ""))
    return await page(
        request,
        "problem.html",
        session,
        status=status_of(error),
        title=title,
        sentence=sentence,
        kind=error.kind,
        code=status_of(error),
    )


async def _reader(request: Request) -> Session | None:
    try:
        session = await site_of(request).door.session(session_proof(request), active=False)
    except HuisclosError:
        return None
    return None if session.idle else session


def _said(error: HuisclosError, words: Words) -> tuple[str, str]:
    _ = words.gettext
    texts = {
        "locked": (
            _("The archive is locked"),
            _("It receives, and shows nothing until somebody types the passphrase at the gate."),
        ),
        "not-admitted": (_("Please log in"), _("Your session has ended, or never began.")),
        "password-due": (
            _("Choose a password of your own."),
            _("Somebody else has seen the one you were given."),
        ),
        "not-granted": (
            _("Your role does not allow this"),
            _("The journal has noted that it was tried. An owner of the archive can change your role."),
        ),
        "not-found": (_("Nothing here"), _("There is no such page.")),
        "study-not-found": (_("No such study"), _("It was removed, or the address is not whole.")),
        "instance-not-found": (_("Nothing to see here"), _("The study has no such series or image.")),
        "not-same-origin": (
            _("This did not come from a page of this house"),
            _("Nothing was changed. Open the page again and repeat what you did."),
        ),
        "tampered": (_("This does not open as it should"), _damaged(words)),
        "wrong-object": (_("This does not open as it should"), _damaged(words)),
        "full": (_("The disk is full"), _("Nothing more can be kept until there is room. Nothing was lost.")),
        "unreachable": (
            _("A part of the house does not answer"),
            _("It is probably being started again. Try in a minute."),
        ),
        "rebuilding": (
            _("The index is being made anew"),
            _("Nothing was lost. What is sent is kept, and everything is shown again once it is done."),
        ),
        "bug": (
            _("Something broke in the house"),
            _(
                "The fault is the program's, not yours, and stands in its log. "
                "Look whether what you asked for was done before you repeat it."
            ),
        ),
        "too-large": (_("This is too large"), _("It goes beyond what the house takes at once.")),
    }
    default = (_("This could not be done"), _("Nothing was changed. Go back and try again."))
    return texts.get(error.kind, default)


def _damaged(words: Words) -> str:
    return words.gettext(
        "What lies on disk is not what was sealed: it was changed, exchanged or cut. It is not shown. "
        "Call whoever looks after the archive, and run: huisclos verify"
    )
