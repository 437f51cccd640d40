"""Every error of the house, drawn as one tree.

HuisclosError                   exit 1    a sentence and a hint; never patient data
  Usage                         exit 2    BadSetting, NoSecret, WeakPassword
  Refused                       exit 3    NotAdmitted (SessionIdle, PasswordDue), NotGranted, Locked,
                                          WrongPassphrase, TooManyAttempts
  NotFound                      exit 4    ArchiveNotFound, StudyNotFound, InstanceNotFound
  Unreadable                    exit 5    NotDicom, BadIdentifier, BadQuery, TooLarge, UnknownTransferSyntax,
                                          BadPDU
  SealError                     exit 6    NoIdentityMatch, Tampered, WrongObject, DamagedHolder, JournalBroken
  StoreError                    exit 7    Full, Unreachable (Rebuilding), Conflict, Incomplete
  HouseOpen                     exit 8    OpenListener, LooseSecret
  PeerError                     exit 9    PeerUnreachable, PeerTooSlow, AssociationRejected, AssociationEnded,
                                          OperationFailed

Each face maps a class once: the command line to `exit_code`, HTTP to a problem document,
DIMSE to a status. A message says what failed and `hint` what to do; neither ever holds a
name, an identifier or a UID taken from an image.
"""

from __future__ import annotations

from typing import ClassVar


class HuisclosError(Exception):
    """Anything the house tells its user; whatever is not one of these is a bug."""

    exit_code: ClassVar[int] = 1
    kind: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Usage(HuisclosError):
    """The words of the request are off."""

    exit_code = 2
    kind = "usage"


class BadSetting(Usage):
    """A setting has a value it cannot have."""

    kind = "bad-setting"


class NoSecret(Usage):
    """A secret is needed and no way to get one was given."""

    kind = "no-secret"


class WeakPassword(Usage):
    """A password or passphrase that would be guessed."""

    kind = "weak-password"


class Refused(HuisclosError):
    """A reasoned no."""

    exit_code = 3
    kind = "refused"


class NotAdmitted(Refused):
    """Whoever asks was not recognised."""

    kind = "not-admitted"


class SessionIdle(NotAdmitted):
    """The session's person did nothing for a while: their password wakes it."""

    kind = "session-idle"


class PasswordDue(NotAdmitted):
    """Somebody else has seen this password: a new one is chosen before anything else is done."""

    kind = "password-due"


class NotGranted(Refused):
    """The actor is known, and may not do this."""

    kind = "not-granted"


class Locked(Refused):
    """The archive is locked: it receives, and reads nothing until a person unlocks it."""

    kind = "locked"


class WrongPassphrase(Refused):
    """No holder of this archive opens with this passphrase."""

    kind = "wrong-passphrase"


class TooManyAttempts(Refused):
    """Too many wrong attempts; the wait is in the message."""

    kind = "too-many-attempts"


class NotFound(HuisclosError):
    """What was asked for is not here."""

    exit_code = 4
    kind = "not-found"


class ArchiveNotFound(NotFound):
    """No archive lies in this folder."""

    kind = "archive-not-found"


class StudyNotFound(NotFound):
    """No such study, or none this actor may know of."""

    kind = "study-not-found"


class InstanceNotFound(NotFound):
    """No such series or instance in this study."""

    kind = "instance-not-found"


class Unreadable(HuisclosError):
    """Bytes that are not what they should be; they are refused, nothing is lost."""

    exit_code = 5
    kind = "unreadable"


class NotDicom(Unreadable):
    """Not a DICOM data set, or one that breaks off (PS3.5, PS3.10)."""

    kind = "not-dicom"


class BadIdentifier(Unreadable):
    """A UID, AE title or other identifier that the Standard does not allow (PS3.5 section 6.2, 9)."""

    kind = "bad-identifier"


class BadQuery(Unreadable):
    """A query that PS3.18 section 8.3.4 does not allow."""

    kind = "bad-query"


class TooLarge(Unreadable):
    """A size, count, depth or ratio over its bound."""

    kind = "too-large"


class UnknownTransferSyntax(Unreadable):
    """A transfer syntax that the house cannot decode; the instance is kept as it is."""

    kind = "unknown-transfer-syntax"


class BadPDU(Unreadable):
    """Bytes on a DICOM association that PS3.7 or PS3.8 does not allow; `reason` is the one of A-ABORT."""

    kind = "bad-pdu"

    def __init__(self, message: str, *, reason: int = 0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class SealError(HuisclosError):
    """A sealed object does not open as it should."""

    exit_code = 6
    kind = "seal"


class NoIdentityMatch(SealError):
    """None of these identities is a recipient of this sealed object: not mine, try another."""

    kind = "no-identity-match"


class Tampered(SealError):
    """Sealed bytes were changed, cut off or reordered since they were sealed."""

    kind = "tampered"


class WrongObject(SealError):
    """A sealed object opens, and is not the one that belongs here."""

    kind = "wrong-object"


class DamagedHolder(SealError):
    """A holder's key file is not the file that was written: restore it, the passphrase is not at fault."""

    kind = "damaged-holder"


class JournalBroken(SealError):
    """The journal's chain does not hold."""

    kind = "journal-broken"


class StoreError(HuisclosError):
    """The place where sealed bytes lie failed; the sender may try again."""

    exit_code = 7
    kind = "store"


class Full(StoreError):
    """No room left."""

    kind = "full"


class Unreachable(StoreError):
    """The store, or a process of the house, does not answer."""

    kind = "unreachable"


class Rebuilding(Unreachable):
    """The index is being made anew: nothing is shown rather than a part as if it were all."""

    kind = "rebuilding"


class Conflict(StoreError):
    """It exists already, or someone else holds it."""

    kind = "conflict"


class Incomplete(StoreError):
    """Parts of the archive's folder are missing, as after half a restore."""

    kind = "incomplete"


class HouseOpen(HuisclosError):
    """Start-up refuses: going on would leave a door open."""

    exit_code = 8
    kind = "house-open"


class OpenListener(HouseOpen):
    """A listener would be reachable from where it must not be."""

    kind = "open-listener"


class LooseSecret(HouseOpen):
    """A secret lies where others can read it."""

    kind = "loose-secret"


class PeerError(HuisclosError):
    """A DICOM peer that we called did not do what was asked."""

    exit_code = 9
    kind = "peer"


class PeerUnreachable(PeerError):
    """No connection to the peer, or no TLS with it."""

    kind = "peer-unreachable"


class PeerTooSlow(PeerError):
    """The peer did not answer before the deadline."""

    kind = "peer-too-slow"


class AssociationRejected(PeerError):
    """The peer answered A-ASSOCIATE-RJ; the three numbers are those of PS3.8 table 9-21."""

    kind = "association-rejected"

    def __init__(self, message: str, *, result: int, source: int, reason: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.result = result
        self.source = source
        self.reason = reason


class AssociationEnded(PeerError):
    """The association was aborted, released or lost while it was in use."""

    kind = "association-ended"


class OperationFailed(PeerError):
    """The peer answered an operation with a failure; `status` is its number (PS3.7 annex C)."""

    kind = "operation-failed"

    def __init__(self, message: str, *, status: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
