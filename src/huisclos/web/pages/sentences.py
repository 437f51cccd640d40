"""The journal as sentences, not log lines: who did what to which study, in the reader's language."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from huisclos.access.chronicle import DOUBLED, VERIFIED_JOURNAL, Change, JournalLine
from huisclos.access.nouns import ActorKind, Right
from huisclos.journal.entries import Act
from huisclos.web.words import Words

BAD = frozenset({Act.UNLOCK_FAILED, Act.LOGIN_FAILED, Act.REFUSED, Act.KNOCKED, Act.BROKEN})
"""What a reader should see first."""


def told_lines(
    lines: Iterable[JournalLine], words: Words, studies: Mapping[str, str]
) -> list[dict[str, object]]:
    """Each line as a sentence with what stands beside it. `studies` are short descriptions by study id."""
    return [
        {
            "at": line.at,
            "day": words.day(line.at),
            "sentence": sentence(line, words, studies.get(line.study_id, "")),
            "aside": _aside(line),
            "bad": line.act in BAD or line.counts.get("problems", 0) > 0,
        }
        for line in lines
    ]


def _aside(line: JournalLine) -> str:
    """Small, for the technician: where from, and the code of a refusal."""
    code = line.what if line.act in (Act.REFUSED, Act.KNOCKED) else ""
    return " · ".join(part for part in (code, line.address) if part)


def sentence(line: JournalLine, words: Words, study: str) -> str:
    """One entry as one sentence."""
    _ = words.gettext
    who = _who(line, words)
    act = _known(line.act)
    if act in (Act.CHANGED, Act.ASKED):
        change = _changed(line.what, words)
        if act is Act.ASKED:
            change = _("asked for this, which waits for an owner: %(change)s") % {"change": change}
        told = f"{who} {change}"
        values = {"sentence": told, "subject": line.subject}
        return _("%(sentence)s: %(subject)s") % values if line.subject else told
    told = (
        _special(line, words)
        or _told_of(line, words, study)
        or _knocked(line, words)
        or _plain(words).get(act, _("did something this page has no sentence for (%(what)s)"))
    )
    return _filled(f"{who} {told}", line, words, study)


def _known(act: str) -> Act | None:
    try:
        return Act(act)
    except ValueError:
        return None


def _who(line: JournalLine, words: Words) -> str:
    _ = words.gettext
    if line.act in (Act.UNLOCK_FAILED, Act.KNOCKED) and line.actor_kind == ActorKind.HOUSE:
        # the house only tells of it; a machine that knocked gave its title
        return line.subject if line.subject and line.act == Act.KNOCKED else _("Somebody")
    if line.actor_kind == ActorKind.HOUSE:
        return _("The house")
    if line.actor_kind == ActorKind.CONSOLE:
        return _("The console")
    name = line.actor or _("Somebody")
    return _("The token of %(name)s") % {"name": name} if line.actor_kind == ActorKind.TOKEN else name


def _filled(text: str, line: JournalLine, words: Words, study: str) -> str:
    _ = words.gettext
    images = line.counts.get("instances", line.counts.get("objects", 0))
    many = words.ngettext("%(num)s image", "%(num)s images", images) % {"num": words.number(images)}
    problems = line.counts.get("problems", 0)
    wrong = words.ngettext("%(num)s problem", "%(num)s problems", problems) % {"num": words.number(problems)}
    values: dict[str, str] = {
        "problems": wrong,
        "study": study or _("a study"),
        "images": many,
        "size": words.size(line.counts.get("octets", 0)),
        "what": line.what or line.act,
        "subject": line.subject or line.what,
        "times": words.number(_times(line)),
    }
    return text % values


def _times(line: JournalLine) -> int:
    return max(1, line.counts.get("attempts", line.counts.get("times", 1)))


def _knocked(line: JournalLine, words: Words) -> str:
    if line.act != Act.KNOCKED:
        return ""
    return words.ngettext("knocked and was refused", "knocked and was refused, %(times)s times", _times(line))


def _special(line: JournalLine, words: Words) -> str:
    """Where an act has more than one meaning, and the common sentence would be wrong."""
    _ = words.gettext
    if line.act == Act.DOOR and line.what != "closed":
        return _("found a door open: %(subject)s") if line.what == "opened" else _("looked at its doors")
    if line.act == Act.REFUSED and line.what == "budget":
        return _("opened studies faster than people read, and was stopped")
    if line.act == Act.REFUSED and line.what == "quarantine-full":
        return _("is not approved: after %(images)s, %(size)s, nothing more of it was kept")
    if line.act == Act.BROKEN and line.what == "accounts-put-back":
        return _("found that the accounts are older than the journal says")
    if line.act == Act.DECIDED:
        return _decided(line, words)
    if line.act == Act.GRANTED and line.what == Right.EXPORT:
        return _("opened %(study)s to take it out of the house")
    if line.act == Act.GRANTED and not line.study_id:
        return {
            Right.LIST.value: _("searched the list of studies"),
            Right.DECIDE.value: _("looked at what is to decide"),
            Right.JOURNAL.value: _("looked at the journal"),
        }.get(line.what, "")
    return ""


def _decided(line: JournalLine, words: Words) -> str:
    _ = words.gettext
    if line.what == "doubt":
        return _("took back a decision") if line.purpose == "undone" else _("settled what was to decide")
    if line.what == "quarantine":
        return _("refused %(subject)s and destroyed the %(images)s that it had sent")
    if line.what == "cut-short":
        return _("let the whole image answer in %(study)s, where one had come cut short")
    if line.what == "written-anew":
        return _("left out of sight an image of %(study)s that says what another one says")
    return "" if line.study_id else _("refused what was asked for: %(subject)s")


def _told_of(line: JournalLine, words: Words, study: str) -> str:
    """What was received, where its study is known; what was verified: the entries alone, or all objects."""
    _ = words.gettext
    if line.act == Act.STORED and study:
        return _("sent %(images)s of %(study)s, %(size)s")
    if line.act == Act.SETTLED and line.what == DOUBLED:
        return _("found %(images)s of %(study)s that had come before, and deleted the second copy")
    if line.act == Act.SETTLED and study:
        return _("put %(images)s received in the dark into %(study)s")
    if line.act != Act.VERIFIED:
        return ""
    # entries older than the word are told apart by what they count
    if line.what == VERIFIED_JOURNAL or "entries" in line.counts:
        return _("verified the journal: every entry holds")
    if line.counts.get("problems", 0):
        return _("read and checked every sealed image, and found %(problems)s")
    return _("read and checked every sealed image: all is as it was accepted")


def _plain(words: Words) -> dict[Act | None, str]:
    _: Callable[[str], str] = words.gettext
    return {
        Act.STARTED: _("was started"),
        Act.STOPPED: _("was stopped"),
        Act.TICK: _("was awake, and nothing happened"),
        Act.UNLOCKED: _("unlocked the archive"),
        Act.UNLOCK_FAILED: _("tried to unlock the archive with a wrong passphrase"),
        Act.LOCKED: _("locked the archive"),
        Act.LOGGED_IN: _("logged in"),
        Act.LOGIN_FAILED: _("could not log in: wrong name, password or code"),
        Act.LOGGED_OUT: _("logged out"),
        Act.GRANTED: _("opened %(study)s"),
        Act.READ: _("read %(images)s of %(study)s, %(size)s"),
        Act.STORED: _("sent %(images)s, %(size)s"),
        Act.EXPORTED: _("took %(images)s of %(study)s out of the house, %(size)s"),
        Act.SETTLED: _("put %(images)s received in the dark into their studies"),
        Act.DECIDED: _("decided what was open about %(study)s"),
        Act.REFUSED: _("was refused: their role does not allow it"),
        Act.REINDEXED: _("built the index again from the sealed objects"),
        Act.BROKEN: _("found that the journal does not hold"),
    }


def _changed(what: str, words: Words) -> str:
    _ = words.gettext
    known = {
        Change.USER_ADDED: _("added a person"),
        Change.USER_REMOVED: _("removed a person"),
        Change.ROLE_CHANGED: _("changed a role"),
        Change.PASSWORD_RESET: _("gave somebody a new password"),
        Change.PASSWORD_CHANGED: _("changed their own password"),
        Change.SECOND_FACTOR_ON: _("put a second factor in force"),
        Change.SECOND_FACTOR_OFF: _("took a second factor away"),
        Change.TOKEN_ADDED: _("made a token"),
        Change.TOKEN_REMOVED: _("ended a token"),
        Change.PEER_ADDED: _("admitted a peer"),
        Change.PEER_REMOVED: _("removed a peer"),
        Change.PEER_CHANGED: _("found where a peer listens"),
        Change.HOLDER_ADDED: _("added a holder"),
        Change.HOLDER_REMOVED: _("removed a holder"),
        Change.IDENTITY_ROTATED: _("put a new key of the archive in force"),
        Change.KEYS_RESEALED: _("sealed the key of each study to the new key of the archive"),
        Change.RECOVERY_MADE: _("made a recovery key"),
        Change.RECOVERY_CONFIRMED: _("confirmed the recovery key"),
        Change.RECOVERY_SHOWN: _("looked at the recovery key"),
        Change.READING_CONFIRMED: _("let somebody read fast for an hour"),
        Change.SETTING_CHANGED: _("changed a setting"),
        Change.SET_UP_FINISHED: _("finished the set-up"),
    }
    try:
        return known[Change(what)]
    except ValueError:
        return _("changed %(what)s") % {"what": what}
