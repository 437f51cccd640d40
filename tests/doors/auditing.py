"""An audit run in the test's own process, and what it says of each check."""

from __future__ import annotations

import asyncio
import http.server
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huisclos.clock import now
from huisclos.doors.assemble import Audit
from huisclos.doors.runner import Manners, run
from huisclos.doors.target import Target, parse_target
from huisclos.findings.nouns import Language, Outcome, Reason, Verdict
from huisclos.findings.report import Report
from tests.tools import program


def probe(*targets: str | Target, **manners: Any) -> Report:
    """The report on `targets`."""
    parsed = [parse_target(one) if isinstance(one, str) else one for one in targets]

    async def work() -> Report:
        audit = Audit("probe", Language.EN, now(), only=manners.get("checks"))
        async for _, seen in run(parsed, Manners(**manners)):
            audit.take(seen, now())
        return audit.report()

    return asyncio.run(work())


def open_doors(report: Report) -> dict[str, Verdict]:
    """The checks that are open, and how that is known."""
    return {one.check: one.verdict for one in report.findings}


def closed_doors(report: Report) -> set[str]:
    """The checks that were answered and are closed."""
    return {one.check for one in report.attempts if one.outcome is Outcome.CLOSED}


def untested(report: Report) -> dict[str, Reason | None]:
    """The checks without an answer."""
    return {one.check: one.reason for one in report.untested}


@contextmanager
def started(command: Sequence[str], port: int, folder: Path) -> Iterator[None]:
    """A server of somebody else's, until the end, once it listens on `port`."""
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            list(command), cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        wait_for(port)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def query_server(folder: Path, port: int, peers: str) -> list[str]:
    """The command of DCMTK's dcmqrscp with one archive; `peers`: ANY, or the one host that is let in."""
    (folder / "db").mkdir()
    known = f"known = {peers}\n" if peers != "ANY" else ""
    settings = folder / "q.cfg"
    settings.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 4\n"
        f"HostTable BEGIN\n{known}HostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nARCHIVE {folder}/db RW (10, 1024mb) {'known' if known else 'ANY'}\nAETable END\n"
    )
    return [program("dcmqrscp"), "-c", str(settings)]


def wait_for(port: int, seconds: float = 15.0) -> None:
    """Wait until something listens on `port`, without connecting: some take one association at a time."""
    wanted = f"{port:04X}"
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        for table in ("tcp", "tcp6"):
            for line in Path("/proc/net", table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[1].rpartition(":")[2] == wanted and fields[3] == "0A":
                    return
        time.sleep(0.05)
    raise RuntimeError("the server did not start")


Respond = Callable[[str, Mapping[str, str]], tuple[int, Mapping[str, str], bytes]]


@contextmanager
def web_server(respond: Respond) -> Iterator[tuple[int, list[str]]]:
    """A web server that answers as `respond` says; its port, and every request line it got."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked.append(f"{self.command} {self.path}")
            status, headers, body = respond(self.path, dict(self.headers))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if "Content-Length" not in headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            self.do_GET()

        do_OPTIONS = do_GET

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.server_address[1], asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
