"""Landlock (landlock(7)): a process gives up the file system and ports it does not need, for good."""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from struct import pack
from typing import Final

from huisclos.confine.kernel import syscall

_CREATE, _ADD, _RESTRICT = 444, 445, 446
"""System calls, the same numbers on every machine."""
_VERSION: Final = 1
_PATH_BENEATH: Final = 1
_NET_PORT: Final = 2

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REFER, _TRUNCATE, _IOCTL = 1 << 13, 1 << 14, 1 << 15
_BIND, _CONNECT = 1 << 0, 1 << 1
_ABSTRACT_SOCKETS, _SIGNALS = 1 << 0, 1 << 1
_ALL_ABI_1: Final = (1 << 13) - 1
_OF_FILES: Final = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL
_ABI_REFER, _ABI_TRUNCATE, _ABI_NET, _ABI_IOCTL, _ABI_SCOPE = 2, 3, 4, 5, 6


def landlock_abi() -> int:
    """The version of Landlock this kernel has, 0 if it has none or it is switched off."""
    return max(syscall(_CREATE, None, 0, _VERSION), 0)


def landlock(
    *,
    read: Iterable[Path] = (),
    write: Iterable[Path] = (),
    connect_tcp: Iterable[int] | None = None,
    bind_tcp: Iterable[int] | None = None,
    scope_signals: bool = False,
) -> bool:
    """Keep this thread, and what it starts, to these files and folders; nothing can be executed.

    `write` implies reading, making and removing. Ports: None leaves them free, an empty list
    forbids all. `scope_signals` forbids signals to processes outside. Paths that do not exist
    are passed over. Needs `no_new_privs` first. Open files stay open. Call it before threads start.
    Whether it is in force; never raises for a kernel without it.
    """
    abi = landlock_abi()
    if not abi:
        return False
    files = _rights(abi)
    ports = (_CONNECT if connect_tcp is not None else 0) | (_BIND if bind_tcp is not None else 0)
    scopes = _ABSTRACT_SOCKETS | (_SIGNALS if scope_signals else 0)
    attributes = [files]
    if abi >= _ABI_NET:
        attributes.append(ports)
    if abi >= _ABI_SCOPE:
        attributes.append(scopes)
    wanted = pack(f"={len(attributes)}Q", *attributes)
    rules = syscall(_CREATE, ctypes.create_string_buffer(wanted, len(wanted)), len(wanted), 0)
    if rules < 0:
        return False
    try:
        for path in read:
            _allow_path(rules, path, files & (_READ_FILE | _READ_DIR))
        for path in write:
            _allow_path(rules, path, files & ~_EXECUTE)
        if abi >= _ABI_NET:
            _allow_ports(rules, connect_tcp or (), _CONNECT)
            _allow_ports(rules, bind_tcp or (), _BIND)
        return syscall(_RESTRICT, rules, 0) == 0
    finally:
        os.close(rules)


def _rights(abi: int) -> int:
    rights = _ALL_ABI_1
    for version, right in ((_ABI_REFER, _REFER), (_ABI_TRUNCATE, _TRUNCATE), (_ABI_IOCTL, _IOCTL)):
        if abi >= version:
            rights |= right
    return rights


def _allow_path(rules: int, path: Path, rights: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(opened).st_mode):
            rights &= _OF_FILES
        rule = pack("=Qi", rights, opened)
        syscall(_ADD, rules, _PATH_BENEATH, ctypes.create_string_buffer(rule, len(rule)), 0)
    finally:
        os.close(opened)


def _allow_ports(rules: int, ports: Iterable[int], right: int) -> None:
    for port in ports:
        rule = pack("=QQ", right, port)
        syscall(_ADD, rules, _NET_PORT, ctypes.create_string_buffer(rule, len(rule)), 0)
