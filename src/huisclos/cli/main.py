"""`huisclos`: the commands joined, and the one place where an error becomes an exit code."""

from __future__ import annotations

import gc

import typer
from typer.exceptions import TyperException

from huisclos import __version__
from huisclos.cli import (
    ca,
    demo,
    doors,
    holders,
    init,
    journal,
    lock,
    output,
    peers,
    pending,
    people,
    recovery,
    run,
    serve,
    status,
    tokens,
    transfer,
    upkeep,
    viewer,
)
from huisclos.errors import HuisclosError

app = typer.Typer(
    name="huisclos",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    options_metavar="[OPTIONS]",
)


def _version(wanted: bool) -> None:  # noqa: FBT001 - the library calls it so
    if wanted:
        output.data(f"huisclos {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(  # noqa: FBT001 - an option
        False, "--version", is_eager=True, callback=_version, help="Which version this is."
    ),
) -> None:
    """Medical images behind closed doors: an archive that seals everything it receives.

    Data goes to stdout, speech to stderr. Begin with `huisclos run ARCHIVE`, or `huisclos init ARCHIVE`.
    """


app.command("run")(run.run)
app.command("demo")(demo.demo)
app.command("init")(init.init)
app.command("serve")(serve.serve)
app.command("unlock")(lock.unlock)
app.command("lock")(lock.lock)
app.command("status")(status.status)
app.command("import")(transfer.import_)
app.command("export")(transfer.export)
app.command("verify")(upkeep.verify)
app.command("reindex")(upkeep.reindex)
app.command("rotate")(holders.rotate)
for _name, _group, _sentence in (
    ("recovery", recovery.app, "The recovery key: prove it, print its card."),
    ("holder", holders.app, "Who opens the archive."),
    ("peer", peers.app, "The machines that may speak DICOM with the archive."),
    ("user", people.app, "The people of the practice."),
    ("token", tokens.app, "Keys of programs, for DICOMweb."),
    ("pending", pending.app, "What was asked for while the archive was locked."),
    ("journal", journal.app, "Who did what, and the proof that nothing was changed since."),
    ("ca", ca.app, "The archive's own certificate authority."),
    ("viewer", viewer.app, "The viewer that pages open studies in."),
    ("doors", doors.app, "Find the doors left open: network, configurations, files, box."),
):
    app.add_typer(_group, name=_name, help=_sentence)


def main() -> int:
    """Run the program; its exit code (docs/reference/exit-codes.md)."""
    try:
        code = app(prog_name="huisclos", standalone_mode=False)
    except HuisclosError as error:
        output.tell(error)
        return error.exit_code
    except TyperException as error:
        context = getattr(error, "ctx", None)
        hint = f"see: {context.command_path} --help" if context is not None else ""
        if message := error.format_message().strip():
            output.complain(f"{message[0].lower()}{message[1:].removesuffix('.')}", hint)
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return output.INTERRUPTED
    finally:
        # What is left goes with the process: the interpreter need not look through it once more.
        gc.freeze()
    return code if isinstance(code, int) else 0
