"""Where a passphrase comes from: a terminal, a file, a variable. Never an argument, never a guess."""

from __future__ import annotations

import getpass
import os
import stat
import sys
from pathlib import Path
from typing import Final

from huisclos.errors import BadSetting, LooseSecret, NoSecret

VARIABLE: Final = "HUISCLOS_PASSPHRASE_FILE"
_LONGEST: Final = 4096


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
        value = os.environ.get(what)
        if not value:
            raise NoSecret(f"the variable {what} is empty or not set")
        return _first_line(value)
    raise BadSetting(f"--unlock-with {unlock_with!r} is not known", hint="tty, file:PATH, env:NAME or none")


def read_secret_file(path: Path, archive: Path) -> str:
    """The first line of a secret file, without its line end.

    Refused where it would not be a secret: inside ARCHIVE, or readable by other accounts.
    """
    try:
        facts = path.stat()
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NoSecret(f"the secret file {path} does not exist") from None
    except (OSError, UnicodeDecodeError):
        raise NoSecret(
            f"the secret file {path} cannot be read", hint="check its rights; it must be UTF-8"
        ) from None
    if path.resolve().is_relative_to(archive.resolve()):
        raise LooseSecret(
            f"{path} lies inside the archive it opens", hint="move it elsewhere, best onto another disk"
        )
    loose = 0o037 if _handed_over(path) else 0o077
    if stat.S_IMODE(facts.st_mode) & loose and stat.S_ISREG(facts.st_mode):
        raise LooseSecret(f"{path} can be read by other accounts", hint=f"run: chmod 600 {path}")
    secret = _first_line(text)
    if not secret:
        raise NoSecret(f"the first line of {path} is empty")
    return secret


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
