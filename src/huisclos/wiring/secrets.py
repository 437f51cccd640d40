"""Where a passphrase comes from: a terminal, a file, a variable. Never an argument, never a guess."""

from __future__ import annotations

import ctypes
import getpass
import os
import stat
import sys
from pathlib import Path
from shlex import quote
from typing import Final

from huisclos.errors import BadSetting, LooseSecret, NoSecret

VARIABLE: Final = "HUISCLOS_PASSPHRASE_FILE"
_LONGEST: Final = 4096
_SHARED: Final = 2
"""Shorter byte strings are one object for the whole interpreter."""


def read_secret(unlock_with: str | None, archive: Path) -> str | None:
    """The secret that `--unlock-with` names; None for `none`, or when nothing names one.

    Without the option, the file named by HUISCLOS_PASSPHRASE_FILE. Raises `NoSecret`,
    `LooseSecret`, `BadSetting`.
    """
    if unlock_with is None:
        named = os.environ.get(VARIABLE, "")
        return read_secret_file(Path(named), archive) if named else None
    how, _, what = unlock_with.partition(":")
    if how == "none" and not what:
        return None
    if how == "tty" and not what:
        return ask("Passphrase")
    if how == "file" and what:
        return read_secret_file(Path(what), archive)
    if how == "env" and what:
        return _first_line(_variable(what))
    raise _unknown(unlock_with)


def names_secret(unlock_with: str | None, archive: Path) -> bool:
    """Whether `--unlock-with` names a secret, which is not read: what is forked later must not inherit it.

    Raises as `read_secret`, but for an empty first line.
    """
    if unlock_with is None:
        named = os.environ.get(VARIABLE, "")
        if named:
            _check_file(Path(named), archive)
        return bool(named)
    how, _, what = unlock_with.partition(":")
    if how in {"none", "tty"} and not what:
        return how == "tty"
    if how == "file" and what:
        _check_file(Path(what), archive)
        return True
    if how == "env" and what:
        _variable(what)
        return True
    raise _unknown(unlock_with)


def lies_near(unlock_with: str | None, archive: Path) -> bool:
    """Whether `--unlock-with` names a file on the archive's own file system: stolen together, it opens."""
    how, _, what = (unlock_with or "").partition(":")
    named = os.environ.get(VARIABLE, "") if unlock_with is None else what if how == "file" else ""
    try:
        return bool(named) and Path(named).stat().st_dev == archive.stat().st_dev
    except OSError:
        return False


def take_variable(unlock_with: str | None) -> bytes | None:
    """The secret of `env:NAME`, which this process and those it forks have in no place any more.

    None for any other way. Wipe what this gives once it was handed over.
    """
    how, _, name = (unlock_with or "").partition(":")
    if how != "env" or not os.environ.get(name):
        return None
    libc = ctypes.CDLL(None)
    libc.getenv.restype = ctypes.c_void_p
    place = libc.getenv(os.fsencode(name))
    value = os.environb.pop(os.fsencode(name))
    if place:
        # the kernel's copy below the stack, which /proc/PID/environ shows
        ctypes.memset(place, 0, len(value))
    return value


def wipe(secret: bytes) -> None:
    """Overwrite these very bytes; nobody may look at them any more."""
    if len(secret) < _SHARED:
        return
    ctypes.memset(ctypes.cast(ctypes.c_char_p(secret), ctypes.c_void_p).value or 0, 0, len(secret))


def _variable(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise NoSecret(f"the variable {name} is empty or not set")
    return value


def _unknown(unlock_with: str) -> BadSetting:
    return BadSetting(f"--unlock-with {unlock_with!r} is not known", hint="tty, file:PATH, env:NAME or none")


def read_secret_file(path: Path, archive: Path) -> str:
    """The first line of a secret file, without its line end.

    Refused where it would not be a secret: inside ARCHIVE, or readable by other accounts.
    """
    _check_file(path, archive)
    try:
        secret = first_line(path.read_bytes())
    except OSError:
        raise _unreadable(path) from None
    if not secret:
        raise NoSecret(f"the first line of {path} is empty")
    return secret


def first_line(text: bytes) -> str:
    """The secret that a file or variable of these bytes says. Raises `NoSecret`, `BadSetting`."""
    try:
        return _first_line(text.decode("utf-8"))
    except UnicodeDecodeError:
        raise NoSecret("the secret cannot be read", hint="it must be UTF-8") from None


def _unreadable(path: Path) -> NoSecret:
    return NoSecret(f"the secret file {path} cannot be read", hint="check its rights; it must be UTF-8")


def _check_file(path: Path, archive: Path) -> None:
    try:
        facts = path.stat()
    except FileNotFoundError:
        raise NoSecret(f"the secret file {path} does not exist") from None
    except OSError:
        raise _unreadable(path) from None
    if not os.access(path, os.R_OK):
        raise _unreadable(path)
    if path.resolve().is_relative_to(archive.resolve()):
        raise LooseSecret(
            f"{path} lies inside the archive it opens", hint="move it elsewhere, best onto another disk"
        )
    loose = 0o037 if _handed_over(path) else 0o077
    if stat.S_IMODE(facts.st_mode) & loose and stat.S_ISREG(facts.st_mode):
        raise LooseSecret(f"{path} can be read by other accounts", hint=f"run: chmod 600 {quote(str(path))}")


def _handed_over(path: Path) -> bool:
    """Whether systemd hands this file to this service: then only the service enters its folder.

    From version 254 on such a file has mode 0440 and an access list (systemd.exec(5), LoadCredential=).
    """
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    if not folder or path.resolve().parent != Path(folder).resolve():
        return False
    facts = path.parent.stat()
    return facts.st_uid in {0, os.geteuid()} and not stat.S_IMODE(facts.st_mode) & 0o007


def ask(what: str) -> str:
    """Ask on the terminal. Raises `NoSecret` without one."""
    if not sys.stdin.isatty():
        raise NoSecret(
            "a passphrase is needed and there is no terminal to ask on",
            hint=f"--unlock-with file:PATH or env:NAME, or set {VARIABLE}",
        )
    return getpass.getpass(f"{what}: ")


def _first_line(text: str) -> str:
    line = text.split("\n", 1)[0].removesuffix("\r")
    if len(line) > _LONGEST:
        raise BadSetting(f"a secret is longer than {_LONGEST} characters")
    return line
