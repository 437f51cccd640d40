"""The supervisor: forks the processes of the house, makes the sockets between them, starts again what dies.

One thread, no event loop, no secret, nothing parsed: it must be able to fork at any time and to
outlive everything. When the vault dies the whole house starts again, locked; any other process is
forked again by itself. When the supervisor dies, its children die with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import resource
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NoReturn

from huisclos.channel import Message, receive_word, send_message
from huisclos.clock import steady
from huisclos.errors import HuisclosError, Unreachable
from huisclos.wiring.child import Post
from huisclos.wiring.control import accept, listen
from huisclos.wiring.deaths import GIVE_UP, Deaths
from huisclos.wiring.places import Archive

EDGES: Final = (
    ("vault", "gate"),
    ("vault", "web"),
    ("vault", "reception"),
    ("vault", "finder"),
    ("vault", "scribe"),
    ("vault", "auditor"),
    ("finder", "web"),
    ("finder", "reception"),
    ("finder", "scribe"),
    ("cage", "web"),
)
"""Who speaks to whom; each edge is a socketpair."""
UNLOCKED: Final = ("finder", "scribe")
LOCK_PATIENCE: Final = 8.0
"""Seconds the finder and the scribe have to write what waits when the archive is locked."""
STOP_PATIENCE: Final = 10.0
DESCRIPTORS: Final = 8192
"""Open files of each process, where the system allows it: more than all connections that are taken."""
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15

Main = Callable[[Post], int]
"""The body of a child: returns its exit code."""


@dataclass(slots=True)
class _Process:
    role: str
    number: int
    pid: int
    pidfd: int
    control: socket.socket
    ready: bool = False


@dataclass(slots=True)
class Plan:
    """What the house is to be made of."""

    mains: dict[str, Main]
    workers: dict[str, int]
    """How many processes of each role are always there."""
    listeners: dict[str, dict[str, tuple[socket.socket, ...]]] = field(default_factory=dict)
    """By role, by name."""
    on_ready: Callable[[], None] = lambda: None
    """Called once, when every first process does its work."""
    owner: int = -1
    """Process whose end ends the house; -1 for none."""


class Supervisor:
    """Runs one house until it is told to stop."""

    def __init__(self, archive: Archive, plan: Plan) -> None:
        self._archive = archive
        self._plan = plan
        self._selector = selectors.DefaultSelector()
        self._processes: list[_Process] = []
        self._deaths = Deaths()
        self._due: dict[tuple[str, int], float] = {}
        """Role and number of what is to be forked again, with the moment for it."""
        self._callers: set[socket.socket] = set()
        self._waiting: dict[str, float] = {}
        """Words the vault waits for, with the moment patience ends."""
        self._unlocked = False
        self._was_ready = False
        self._stopping = 0.0
        self._code = 0
        self._control = listen(archive)
        self._wake, wake = socket.socketpair()
        self._wake.setblocking(False)
        wake.setblocking(False)
        self._wakeup = wake

    def run(self) -> int:
        """Until told to stop; the exit code."""
        os.umask(0o077)  # whatever a process of the house makes is its account's alone
        _raise_descriptors()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        self._selector.register(self._control, selectors.EVENT_READ, self._called)
        self._selector.register(self._wake, selectors.EVENT_READ, self._signalled)
        if self._plan.owner >= 0:
            owner = os.pidfd_open(self._plan.owner)
            self._selector.register(owner, selectors.EVENT_READ, lambda: self.stop(0))
        self._start()
        try:
            while self._processes or not self._stopping:
                for key, _ in self._selector.select(self._patience()):
                    key.data()
                self._look()
        finally:
            for process in self._processes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
            with contextlib.suppress(FileNotFoundError):
                self._archive.control.unlink()
        return self._code

    def stop(self, code: int) -> None:
        """Faces first, then the vault, which locks; everything else is ended after that."""
        if self._stopping:
            return
        self._stopping, self._code = steady() + STOP_PATIENCE, code
        faces = [process for process in self._processes if process.role not in {"vault", *UNLOCKED}]
        for process in faces:
            if process.role == "cage":
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
        for process in faces or [process for process in self._processes if process.role == "vault"]:
            self._tell(process, Message("stop"))

    # children

    def _start(self) -> None:
        self._unlocked = False
        # what is imported is shared by all processes, until a collector writes in it: 40 MB of each
        gc.freeze()
        for role, count in self._plan.workers.items():
            for number in range(count):
                self._fork(role, number)

    def _fork(self, role: str, number: int) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._child(role, number, theirs, parent)
        theirs.close()
        process = _Process(role, number, pid, os.pidfd_open(pid), ours)
        self._processes.append(process)
        self._selector.register(process.pidfd, selectors.EVENT_READ, lambda: self._died(process))
        ours.setblocking(False)
        self._selector.register(ours, selectors.EVENT_READ, lambda: self._hear(process))
        self._wire(process)

    def _child(self, role: str, number: int, control: socket.socket, parent: int) -> NoReturn:
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        # what `ps` and `top` show instead of so many times the same command line: at most 15 bytes
        libc.prctl(_PR_SET_NAME, f"hc-{role}".encode(), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
        signal.set_wakeup_fd(-1)
        for signal_number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(signal_number, signal.SIG_DFL)
        if role != "unlock":
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C is for the supervisor
        self._selector.close()
        for held in (self._control, self._wake, self._wakeup, *self._callers):
            held.close()
        for process in self._processes:
            process.control.close()
            os.close(process.pidfd)
        for owner, named in self._plan.listeners.items():
            if owner != role:
                for sockets in named.values():
                    for sock in sockets:
                        sock.close()
        post = Post(role, number, self._archive, control, self._plan.listeners.get(role, {}))
        _be(self._plan.mains[role], post)

    def _wire(self, process: _Process) -> None:
        for left, right in EDGES:
            for other in [known for known in self._processes if known is not process]:
                if {process.role, other.role} == {left, right}:
                    caged = left == "cage"
                    if caged and process.number != other.number:
                        continue  # a zygote for each web worker
                    kind = socket.SOCK_SEQPACKET if caged else socket.SOCK_STREAM
                    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
                    with ours, theirs:
                        self._tell(process, Message("sibling", other.role), ours.fileno())
                        self._tell(other, Message("sibling", process.role), theirs.fileno())

    def _died(self, process: _Process) -> None:
        if process not in self._processes:
            return
        self._selector.unregister(process.pidfd)
        self._deaf(process)
        _, status = os.waitpid(process.pid, 0)
        os.close(process.pidfd)
        process.control.close()
        self._processes.remove(process)
        code = os.waitstatus_to_exitcode(status)
        if self._stopping:
            self._stop_further()
            return
        if process.role == "unlock":
            self._unlocker_ended(code)
            return
        if process.role in UNLOCKED:
            for other in self._processes:
                self._tell(other, Message("gone", process.role))
            if "locking" in self._waiting or not self._unlocked:
                return
        self._again(process, code)

    def _again(self, process: _Process, code: int) -> None:
        now, role = steady(), process.role
        deaths = self._deaths.add(role, now)
        if role == "vault":
            # nobody may go on with what a vault that is gone granted
            for other in list(self._processes):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(other.pid, signal.SIGKILL)
                self._bury(other)
            self._waiting.clear()
            self._due.clear()
        if deaths >= GIVE_UP and not self._was_ready:
            say(f"the {role} ended {deaths} times in a minute (code {code})")
            self.stop(code or 1)
            return
        pause = Deaths.pause(deaths)
        if pause:
            say(f"the {role} ended {deaths} times in a minute (code {code}): the next in {pause:g} s")
        self._due[role, process.number] = now + pause
        self._fork_due()

    def _fork_due(self) -> None:
        for (role, number), moment in list(self._due.items()):
            if moment > steady():
                continue
            del self._due[role, number]
            if role == "vault":
                self._start()
            elif self._unlocked or role not in UNLOCKED:
                self._fork(role, number)

    def _bury(self, process: _Process) -> None:
        self._selector.unregister(process.pidfd)
        self._deaf(process)
        os.waitpid(process.pid, 0)
        os.close(process.pidfd)
        process.control.close()
        self._processes.remove(process)

    def _deaf(self, process: _Process) -> None:
        with contextlib.suppress(KeyError):
            self._selector.unregister(process.control)

    # words

    def _hear(self, process: _Process) -> None:
        try:
            heard = receive_word(process.control)
        except (BlockingIOError, HuisclosError, OSError):
            return
        if heard is None:
            # a program that replaced a child (the cage) has no control socket; its end is told by its pidfd
            self._deaf(process)
            return
        word = heard.word
        if word == "ready":
            process.ready = True
            self._when_ready(process)
        elif process.role == "vault" and word == "unlocked":
            self._unlocked = True
            self._waiting[word] = steady() + 60.0
            for role in UNLOCKED:
                self._fork(role, 0)
        elif process.role == "vault" and word == "locking":
            self._unlocked = False
            self._due = {due: moment for due, moment in self._due.items() if due[0] not in UNLOCKED}
            self._waiting[word] = steady() + LOCK_PATIENCE
            for other in self._processes:
                if other.role in UNLOCKED:
                    self._tell(other, Message("stop"))
        elif process.role == "vault" and word == "locked":
            for other in self._processes:
                if other is not process:
                    self._tell(other, Message("locked"))
            self._tell(process, Message("done", word))

    def _when_ready(self, process: _Process) -> None:
        if process.role == "finder":
            self._followed("unlocked")
        first = [known for known in self._processes if known.role in self._plan.workers]
        if not self._was_ready and all(known.ready for known in first):
            self._was_ready = True
            if "unlock" in self._plan.mains:
                self._fork("unlock", 0)
                vault = next(known for known in self._processes if known.role == "vault")
                unlocker = self._processes[-1]
                ours, theirs = socket.socketpair()
                with ours, theirs:
                    self._tell(vault, Message("sibling", "cli"), ours.fileno())
                    self._tell(unlocker, Message("sibling", "vault"), theirs.fileno())
            else:
                self._plan.on_ready()

    def _unlocker_ended(self, code: int) -> None:
        if code == 0:
            self._plan.on_ready()
        else:
            self.stop(code)

    def _followed(self, word: str) -> None:
        if self._waiting.pop(word, None) is not None:
            for process in self._processes:
                if process.role == "vault":
                    self._tell(process, Message("done", word))

    def _look(self) -> None:
        now = steady()
        if not self._stopping:
            self._fork_due()
        if "locking" in self._waiting and (
            now > self._waiting["locking"] or not any(known.role in UNLOCKED for known in self._processes)
        ):
            for process in self._processes:
                if process.role in UNLOCKED:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process.pid, signal.SIGKILL)
            self._followed("locking")
        if "unlocked" in self._waiting and now > self._waiting["unlocked"]:
            self._followed("unlocked")
        if self._stopping and now > self._stopping:
            for process in self._processes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)

    def _stop_further(self) -> None:
        roles = {process.role for process in self._processes}
        if roles and roles <= {"vault", *UNLOCKED}:
            for process in self._processes:
                if process.role == "vault":
                    self._tell(process, Message("stop"))

    def _patience(self) -> float | None:
        moments = [self._stopping] if self._stopping else list(self._due.values())
        moments += self._waiting.values()
        return max(0.01, min(moments) - steady()) if moments else None

    def _tell(self, process: _Process, message: Message, *descriptors: int) -> None:
        with contextlib.suppress(Unreachable):
            send_message(process.control, message, *descriptors)

    def _signalled(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake.recv(64)
        self.stop(0)

    # the command line

    def _called(self) -> None:
        if (caller := accept(self._control)) is not None:
            self._callers.add(caller)
            self._selector.register(caller, selectors.EVENT_READ, lambda: self._asked(caller))

    def _asked(self, caller: socket.socket) -> None:
        try:
            heard = receive_word(caller)
        except BlockingIOError:
            return
        except (HuisclosError, OSError):
            heard = None
        if heard is None:
            self._selector.unregister(caller)
            self._callers.discard(caller)
            caller.close()
            return
        word = heard.word
        if word == "stop":
            self.stop(0)
            return
        for process in self._processes:
            if process.role == word:
                ours, theirs = socket.socketpair()
                with ours, theirs, contextlib.suppress(Unreachable):
                    self._tell(process, Message("sibling", "cli"), ours.fileno())
                    send_message(caller, Message("sibling", word), theirs.fileno())
                return
        with contextlib.suppress(Unreachable):
            send_message(caller, Message("gone", word))


def _raise_descriptors() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _be(main: Main, post: Post) -> NoReturn:
    """Run a child's body; whatever happens, a child never goes on as a second supervisor."""
    code = 70
    try:
        code = main(post)
    except HuisclosError as error:
        say(f"{post.role}: {error.message}")
        code = error.exit_code
    except KeyboardInterrupt:
        code = 130
    finally:
        if sys.exc_info()[0] is not None:
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(code)


def say(text: str) -> None:
    """One line to the operator; never about a patient."""
    print(f"huisclos: {text}", file=sys.stderr, flush=True)  # noqa: T201 - the supervisor has no other voice
