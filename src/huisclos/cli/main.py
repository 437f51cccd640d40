"""`huisclos`: the commands joined, and the one place where an error becomes an exit code."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Final

import typer
from typer.exceptions import TyperException

from huisclos import __version__
from huisclos.cli import output
from huisclos.errors import HuisclosError

_COMMANDS: Final = {
    "run": "run.run",
    "demo": "demo.demo",
    "init": "init.init",
    "serve": "serve.serve",
    "unlock": "lock.unlock",
    "lock": "lock.lock",
    "status": "status.status",
    "import": "transfer.import_",
    "export": "transfer.export",
    "verify": "upkeep.verify",
    "reindex": "upkeep.reindex",
    "rotate": "holders.rotate",
}
"""the module and the function of each"""
_GROUPS: Final = {
    "recovery": ("recovery", "The recovery key: prove it, print its card."),
    "holder": ("holders", "Who opens the archive."),
    "peer": ("peers", "The machines that may speak DICOM with the archive."),
    "user": ("people", "The people of the practice."),
    "token": ("tokens", "Keys of programs, for DICOMweb."),
    "pending": ("pending", "What was asked for while the archive was locked."),
    "journal": ("journal", "Who did what, and the proof that nothing was changed since."),
    "ca": ("ca", "The archive's own certificate authority."),
    "viewer": ("viewer", "The viewer that pages open studies in."),
    "doors": ("doors", "Find the doors left open: network, configurations, files, box."),
}
"""the module of each, and its sentence"""


def _version(wanted: bool) -> None:  # noqa: FBT001 - the library calls it so
    if wanted:
        output.data(f"huisclos {__version__}")
        raise typer.Exit


def _root(
    version: bool = typer.Option(  # noqa: FBT001 - an option
        False, "--version", is_eager=True, callback=_version, help="Which version this is."
    ),
) -> None:
    """Medical images behind closed doors: an archive that seals everything it receives.

    Data goes to stdout, speech to stderr. Begin with `huisclos run ARCHIVE`, or `huisclos init ARCHIVE`.
    """


def program(only: str = "") -> typer.Typer:
    """Every command; or the one that is called `only`, if there is one, without loading the others."""
    app = typer.Typer(
        name="huisclos",
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        options_metavar="[OPTIONS]",
    )
    app.callback()(_root)
    alone = only in _COMMANDS or only in _GROUPS
    for name, place in _COMMANDS.items():
        if not alone or name == only:
            module, _, function = place.partition(".")
            app.command(name)(getattr(import_module(f"huisclos.cli.{module}"), function))
    for name, (module, sentence) in _GROUPS.items():
        if not alone or name == only:
            app.add_typer(import_module(f"huisclos.cli.{module}").app, name=name, help=sentence)
    return app


@contextlib.contextmanager
def _ended_at_once() -> Iterator[None]:
    """While the program is loaded, Ctrl-C ends it on the spot: nothing is held yet.

    An import's own callbacks swallow a `KeyboardInterrupt`: the command would go on as if nothing had been
    said.
    """
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:  # and not ignored, as in a script that goes on by itself
        signal.signal(signal.SIGINT, lambda *_: os._exit(output.INTERRUPTED))
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def main() -> int:
    """Run the program; its exit code (docs/reference/exit-codes.md)."""
    try:
        with _ended_at_once():
            app = program("".join(sys.argv[1:2]))
        code = app(prog_name="huisclos", standalone_mode=False)
    except HuisclosError as error:
        output.tell(error)
        return error.exit_code
    except TyperException as error:
        context = getattr(error, "ctx", None)
        hint = f"see: {context.command_path} --help" if context is not None else ""
        message = error.format_message().strip()
        if message.startswith("Usage:"):  # A group without a command: what there is.
            output.say(message)
        elif message:
            output.complain(f"{message[0].lower()}{message[1:].removesuffix('.')}", hint)
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return output.INTERRUPTED
    finally:
        # What is left goes with the process: the interpreter need not look through it once more.
        gc.freeze()
    return code if isinstance(code, int) else 0
