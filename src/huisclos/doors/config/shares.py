"""Network folders: Samba's smb.conf and NFS's exports."""

from __future__ import annotations

import re
from typing import Final

from huisclos.doors.config import Setting

_YES: Final = ("yes", "true", "1")
_SPECIAL: Final = ("global", "printers", "print$", "ipc$")
_EVERYBODY: Final = ("*", "0.0.0.0/0", "::/0", "0.0.0.0/0.0.0.0")


def judge_smb(text: str) -> list[Setting]:
    """Samba's shares that take guests; names of parameters have no case and no spaces (smb.conf(5))."""
    shares: dict[str, dict[str, str]] = {}
    here: dict[str, str] = {}
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        bare = line.strip()
        if bare.startswith("[") and bare.endswith("]"):
            here = shares.setdefault(bare[1:-1].strip().lower(), {})
        elif bare and bare[0] not in "#;" and "=" in bare:
            key, _, value = bare.partition("=")
            name = re.sub(r"\s+", "", key).lower()
            here["guestok" if name == "public" else name] = value.strip().lower()
    default = shares.get("global", {})
    open_ = 0
    for name, share in shares.items():
        if name in _SPECIAL:
            continue
        open_ += share.get("guestok", default.get("guestok", "no")) in _YES
    return [Setting("guest-share", open_ > 0, count=open_)] if shares else []


def judge_exports(text: str) -> list[Setting]:
    """NFS's exports to every machine (exports(5)): a host of `*`, the whole Internet, or none at all."""
    lines = [line.split("#", 1)[0].strip() for line in re.sub(r"\\\n", " ", text).splitlines()]
    lines = [line for line in lines if line.startswith(("/", '"'))]
    open_ = 0
    for line in lines:
        hosts = re.sub(r'^(?:"[^"]*"|\S+)', "", line).split()
        names = [re.sub(r"\(.*$", "", host) for host in hosts if not host.startswith("-")]
        open_ += not names or any(name in ("", *_EVERYBODY) for name in names)
    return [Setting("guest-export", open_ > 0, count=open_)] if lines else []
