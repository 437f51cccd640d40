"""The system of this machine: is it still mended, which imaging programs does it have, has it a firewall."""

from __future__ import annotations

import json
import plistlib
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, Final
from xml.parsers.expat import ExpatError

from huisclos.clock import Clock, now
from huisclos.doors.disk import Run, run_command
from huisclos.doors.observation import Miss, Observation, Seen, What
from huisclos.doors.versions import release_of, told_by, version_facts
from huisclos.findings.evidence import facts
from huisclos.findings.nouns import Reach, Reason

RELEASE: Final = Path("/etc/os-release")
APPLICATIONS: Final = Path("/Applications")
HERE: Final = "this machine"
PACKAGES: Final = {
    "orthanc": "orthanc",
    "dcmtk": "dcmtk",
    "libgdcm3.0": "gdcm",
    "python3-pydicom": "pydicom",
    "python3-pynetdicom": "pynetdicom",
}
"""Debian's packages of imaging programs, and our words for what is in them."""
_APPLICATIONS: Final = {"horos": "horos", "osirix": "osirix", "weasis": "weasis", "radiant": "radiant"}
_MAX_PLIST: Final = 1024 * 1024
_EPOCH: Final = re.compile(r"^\d+:")


def probe_support(path: Path = RELEASE, clock: Clock = now) -> Seen:
    """Whether the system still gets security updates, by its own name and the table of dates."""
    try:
        said = dict(
            line.partition("=")[::2]
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
        )
    except OSError:
        return Miss(("CFG-020",), HERE, Reason.ABSENT)
    system = said.get("ID", "").strip("\"'")
    version = said.get("VERSION_ID", "").strip("\"'")
    row = release_of(system, version) or release_of(system, version.partition(".")[0])
    if row is None:
        return Miss(("CFG-020",), HERE, Reason.NOT_IDENTIFIED)
    over = clock().date() > date.fromisoformat(row.until)
    found = facts(
        class_="support",
        product=system,
        version=row.version,
        day=row.until,
        value="open" if over else "closed",
    )
    return Observation(What.INSTALLED, HERE, Reach.LAN, found + told_by(row.read))


def probe_programs(run: Run = run_command, applications: Path = APPLICATIONS) -> Iterator[Seen]:
    """Imaging programs that are installed, and what is public against their versions.

    A distribution's package may be mended under its old number, which the evidence says (`distribution`).
    """
    code, text = run(("dpkg-query", "-W", "-f", "${Package} ${Status} ${Version}\n", *PACKAGES))
    if code >= 0:
        for line in text.splitlines():
            words = line.split()
            if len(words) == 5 and words[3] == "installed":  # noqa: PLR2004 - name, three of status, version
                product, version = PACKAGES.get(words[0], ""), _EPOCH.sub("", words[4])
                if product:
                    found = version_facts(product, version) + facts(rule="distribution")
                    yield Observation(What.INSTALLED, f"package {words[0]}", Reach.LAN, found)
    try:
        folders = sorted(applications.glob("*.app"))
    except OSError:
        folders = []
    for folder in folders:
        product = next(
            (word for start, word in _APPLICATIONS.items() if folder.name.lower().startswith(start)), ""
        )
        named = _bundle(folder / "Contents" / "Info.plist") if product else None
        if named:
            yield Observation(
                What.INSTALLED, f"application {product}", Reach.LAN, version_facts(product, named)
            )


def _bundle(path: Path) -> str | None:
    """The version that an application of macOS names."""
    try:
        with path.open("rb") as file:
            read = plistlib.loads(file.read(_MAX_PLIST))
    except (
        OSError,
        plistlib.InvalidFileException,
        ExpatError,
        ValueError,
        KeyError,
        OverflowError,
        RecursionError,
    ):
        return None
    version = read.get("CFBundleShortVersionString") if isinstance(read, dict) else None
    return version if isinstance(version, str) else None


def probe_firewall(run: Run = run_command) -> Seen:
    """Whether what comes in is dropped unless a rule allows it; only an administrator may see that."""
    code, text = run(("nft", "-j", "list", "ruleset"))
    product, stands = "nftables", _nftables(text) if code == 0 else None
    if not stands:
        code, text = run(("iptables-save",))
        if code == 0 and (old := _iptables(text)) is not None:
            product, stands = "iptables", old or bool(stands)
    if stands is None:
        return Miss(("CFG-016",), HERE, Reason.ABSENT)
    found = facts(product=product, value="closed" if stands else "open")
    return Observation(What.FIREWALL, HERE, Reach.LAN, found)


def _nftables(text: str) -> bool | None:
    """Whether a chain on input drops by policy, or refuses something; None for what cannot be read."""
    try:
        read = json.loads(text)
        entries = [one for one in read["nftables"] if isinstance(one, dict)]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    chains = [one["chain"] for one in entries if isinstance(one.get("chain"), dict)]
    inputs = {
        (one.get("family"), one.get("table"), one.get("name"))
        for one in chains
        if one.get("hook") == "input" and one.get("type") == "filter"
    }
    if any(one.get("policy") == "drop" and one.get("hook") == "input" for one in chains):
        return True
    rules = [one["rule"] for one in entries if isinstance(one.get("rule"), dict)]
    for _ in range(len(chains) + 1):
        before = len(inputs)
        for rule in rules:
            if (place := (rule.get("family"), rule.get("table"), rule.get("chain"))) in inputs:
                inputs |= {(*place[:2], name) for name in _jumps(rule)}
        if len(inputs) == before:
            break
    return any(
        _refuses(rule)
        for rule in rules
        if (rule.get("family"), rule.get("table"), rule.get("chain")) in inputs
    )


def _steps(rule: dict[str, Any]) -> list[dict[str, Any]]:
    steps = rule.get("expr")
    return [one for one in steps if isinstance(one, dict)] if isinstance(steps, list) else []


def _jumps(rule: dict[str, Any]) -> Iterator[str]:
    for step in _steps(rule):
        for word in ("jump", "goto"):
            if isinstance(step.get(word), dict):
                yield str(step[word].get("target"))


def _refuses(rule: dict[str, Any]) -> bool:
    """A rule that drops whatever comes to it, and not only what is broken or from one place."""
    steps = _steps(rule)
    matches = sum("match" in step for step in steps)
    return not matches and any("drop" in step or "reject" in step for step in steps)


def _iptables(text: str) -> bool | None:
    """Whether INPUT drops by policy, or ends in a rule that refuses; None when there is no filter table."""
    if "*filter" not in text:
        return None
    if re.search(r"(?m)^:INPUT (?:DROP|REJECT)\b", text):
        return True
    return re.search(r"(?m)^-A (?:INPUT|ufw-\S+) -j (?:DROP|REJECT)\b", text) is not None
