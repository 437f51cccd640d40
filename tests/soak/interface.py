"""Schemathesis at the HTTP interface of a house that is lived in: as a physician, and as nobody.

Run by `make schemathesis`, which keeps the tool in an environment of its own: it brings some thirty packages
that nothing else here needs. Ends with 1 when anything fell: a status or a body that
docs/reference/openapi.json does not name, a 5xx, a line of the log.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.journey import hostile
from tests.journey.hostile import Watch
from tests.journey.living import Living, make, stow
from tests.journey.patients import EVERYBODY
from tests.tools import PROJECT

SCHEMA: Final = PROJECT / "docs" / "reference" / "openapi.json"
CHECKS: Final = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "unsupported_method",
    "ignored_auth",
)


def main() -> int:
    """Make a house with images, and let the tool at it."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--tool", required=True, help="the program `schemathesis`")
    asked.add_argument("--examples", type=int, default=150, help="inputs for each operation and each caller")
    asked.add_argument("--workers", type=int, default=1)
    options = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="hs", dir="/tmp") as folder:
        house = make(Path(folder) / "house").serve()
        try:
            with house.client("physician") as client:
                told = stow(client, [patient.file(1) for patient in EVERYBODY])
                assert told.status_code == 200, told.text
            hostile.echoes(house)
            watch = Watch(house)
            fell = [_run(options, house, "physician"), _run(options, house, "")]
            _of_what_is_there(house)
            fell.append(_run(options, house, "physician"))
            watch.nothing_grew()
        finally:
            house.stop()
    return int(any(fell))


def _of_what_is_there(house: Living) -> None:
    """From now on paths name a study of the house: else generated ones lead nowhere."""
    patient = EVERYBODY[0]
    there = {"study": patient.study_uid, "series": patient.series_uid, "instance": patient.instance_uid(1)}
    lines = [f'"path.{name}" = "{uid}"' for name, uid in there.items()]
    (house.folder / "schemathesis.toml").write_text("\n".join(["[parameters]", *lines, ""]))


def _run(options: argparse.Namespace, house: Living, role: str) -> int:
    sys.stdout.write(f"\nas {role or 'nobody'}\n")
    sys.stdout.flush()
    shown = ["--header", f"Authorization: Bearer {house.tokens[role]}"] if role else []
    command = [
        str(Path(options.tool).resolve()),
        "run",
        str(SCHEMA),
        "--url",
        house.url(),
        "--checks",
        ",".join(CHECKS),
        "--tls-verify",
        str(house.archive / "tls" / "ca.pem"),
        "--max-examples",
        str(options.examples),
        "--workers",
        str(options.workers),
        "--continue-on-failure",
        "--phases",
        "examples,coverage,fuzzing",
        "--suppress-health-check",
        "all",
        "--request-timeout",
        "30",
        *shown,
    ]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": str(Path(__file__).with_name("interface_hooks.py"))}
    return subprocess.run(command, check=False, cwd=house.folder, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
