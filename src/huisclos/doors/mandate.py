"""The written, signed and dated right to probe (Ed25519), and who may be asked by what right."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from ipaddress import ip_network
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from huisclos.access.addresses import Address, Network, is_loopback
from huisclos.doors.target import Target, is_name, is_own_network
from huisclos.errors import BadSetting, Refused, Unreadable
from huisclos.findings.report import Consent

FORMAT: Final = "huisclos-mandate/1"
FINGERPRINT: Final = 32
"""hex digits of one"""
MAX_MANDATE: Final = 64 * 1024
"""bytes"""
MIN_PREFIX: Final = {4: 16, 6: 48}
"""the widest network that one mandate may name, by IP version"""


class OutsideMandate(Refused):
    """No right to ask this target was given: not a packet was sent."""

    kind = "outside-mandate"


class Beyond(StrEnum):
    """What goes beyond looking, and needs the owner's own word."""

    DEFAULT_LOGIN = "default-login"
    """a vendor's own login is tried, once"""
    WRITE_TEST = "write-test"
    """one synthetic instance is stored and deleted, on a system that is not in production"""
    TWO_AT_ONCE = "two-at-once"
    """a second association is asked for while one is held, for a second"""


class Scope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be asked; an exclusion wins over an inclusion."""

    targets: tuple[str, ...]
    """networks as CIDR, addresses, or names"""
    exclusions: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    """all when empty"""
    hosts_per_second: float = 10.0
    allows: tuple[Beyond, ...] = ()
    """what the owner ticks beyond looking"""


class Mandate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who lets whom ask what, why, and from when until when."""

    format: str = FORMAT
    owner: str
    """who answers for the systems"""
    contact: str
    auditor: str
    basis: str
    """the law or contract it rests on"""
    scope: Scope
    since: datetime
    until: datetime


class Signed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mandate with its owner's signature over the bytes of `mandate`, exactly as they stand."""

    mandate: str
    """the JSON text that is signed"""
    key: str
    """Ed25519 public key, base64"""
    signature: str
    """base64"""


@dataclass(frozen=True, slots=True)
class Right:
    """A mandate whose signature holds."""

    mandate: Mandate
    digest: str
    fingerprint: str
    vouched: bool = False
    """whether whoever asks knew the signer's key beforehand"""
    kept_out: frozenset[Address] = frozenset()
    """where the names that it excludes lead, as `with_exclusions_pinned` found it"""

    def covers(self, target: Target, now: datetime) -> bool:
        """Whether `target` may be asked at `now`."""
        if not self.mandate.since <= now <= self.mandate.until:
            return False
        scope = self.mandate.scope
        if self.excludes(target):
            return False
        if scope.ports and target.port not in scope.ports:
            return False
        return any(_names(one, target) for one in scope.targets)

    def excludes(self, target: Target) -> bool:
        """Whether the owner said that `target` is never asked, whoever else consents."""
        named = any(_names(one, target) for one in self.mandate.scope.exclusions)
        return named or target.address in self.kept_out


def with_exclusions_pinned(right: Right, resolver: Callable[[str], Iterable[Address]]) -> Right:
    """The same, which also knows what it excludes by name when that is named otherwise.

    Raises `OutsideMandate` for a name that leads nowhere: what it is could not be kept out.
    """
    kept_out: set[Address] = set()
    for entry in right.mandate.scope.exclusions:
        if _network(entry) is not None:
            continue
        try:
            kept_out.update(resolver(entry))
        except BadSetting:
            raise OutsideMandate(
                f"the mandate excludes {entry}, and that name has no address here",
                hint="ask where its names are known, or have the exclusion written as an address",
            ) from None
    return replace(right, kept_out=frozenset(kept_out))


def sign(mandate: Mandate, key: Ed25519PrivateKey) -> bytes:
    """The signed document. Raises `Unreadable` for a mandate that cannot stand."""
    check(mandate)
    text = msgspec.json.encode(mandate)
    signed = Signed(
        mandate=text.decode(),
        key=base64.b64encode(key.public_key().public_bytes_raw()).decode(),
        signature=base64.b64encode(key.sign(text)).decode(),
    )
    return msgspec.json.format(msgspec.json.encode(signed), indent=2) + b"\n"


def read(raw: bytes, *, trusted: Iterable[str] = ()) -> Right:
    """A signed mandate. Raises `OutsideMandate` for a bad signature, `Unreadable` for no mandate.

    With `trusted`, the signer's fingerprint must be one of them: without, anybody may have signed it.
    """
    trusted = frozenset(trusted)
    if len(raw) > MAX_MANDATE:
        raise Unreadable("this mandate is too long to be one")
    try:
        signed = msgspec.json.decode(raw, type=Signed)
        key = base64.b64decode(signed.key, validate=True)
        public = Ed25519PublicKey.from_public_bytes(key)
        public.verify(base64.b64decode(signed.signature, validate=True), signed.mandate.encode())
        mandate = msgspec.json.decode(signed.mandate, type=Mandate)
    except InvalidSignature:
        raise OutsideMandate("the mandate's signature does not hold") from None
    except (msgspec.MsgspecError, binascii.Error, ValueError):
        raise Unreadable(
            "this is not a signed mandate", hint="make one with `huisclos doors mandate`"
        ) from None
    check(mandate)
    mark = fingerprint(key)
    if trusted and mark not in trusted:
        raise OutsideMandate("the mandate is signed by a key that was not named")
    return Right(mandate, hashlib.sha256(raw).hexdigest(), mark, bool(trusted))


def fingerprint(key: bytes) -> str:
    """The first 32 hex digits of a public key's SHA-256, in fours: no other key can be made for it."""
    return _in_fours(hashlib.sha256(key).hexdigest()[:FINGERPRINT])


def parse_fingerprint(text: str) -> str:
    """A fingerprint as `fingerprint` writes it, however it was typed. Raises `BadSetting`."""
    digits = text.translate({ord(one): None for one in "-: "}).lower()
    if len(digits) != FINGERPRINT or not set(digits) <= set("0123456789abcdef"):
        raise BadSetting(
            "a key's fingerprint is 32 hex digits", hint="`huisclos doors mandate show` prints it"
        )
    return _in_fours(digits)


def _in_fours(digits: str) -> str:
    return "-".join(digits[at : at + 4] for at in range(0, len(digits), 4))


def check_beyond(
    targets: Iterable[Target], right: Right | None, what: Beyond, now: datetime, *, consent: bool
) -> None:
    """Raise `OutsideMandate` unless the owner of each target let this be done as well.

    On this machine whoever types it answers for it. Elsewhere a mandate that covers the target today must
    name it; where `consent` is enough, whoever consented answers for what no mandate covers.
    """
    for target in targets:
        if is_loopback(target.address):
            continue
        if right is not None and right.covers(target, now):
            if what in right.mandate.scope.allows:
                continue
        elif consent:
            continue
        raise OutsideMandate(
            f"no mandate allows {what.value} of {target.name}", hint="its owner can: mandate new --allow"
        )


def check_right(
    targets: Iterable[Target], own: Iterable[Network], consent: str | None, right: Right | None, now: datetime
) -> tuple[Consent, ...]:
    """The rights by which all `targets` may be asked, for the report. Raises `OutsideMandate`.

    Loopback needs nothing; a private address on a network of this machine needs `consent`; anything else a
    mandate that covers it.
    """
    networks, used = tuple(own), set()
    for target in targets:
        if is_loopback(target.address):
            continue
        if right is not None and right.covers(target, now):
            used.add("mandate")
        elif right is not None and right.excludes(target):
            raise OutsideMandate("the mandate says that this target is never asked")
        elif consent and is_own_network(target.address, networks):
            used.add("consent")
        else:
            raise OutsideMandate("nobody said that this target may be asked", hint=_hint(target, networks))
    made = []
    at = now.isoformat(timespec="seconds")
    if "consent" in used and consent:
        made.append(Consent(kind="consent", by=consent, at=at))
    if "mandate" in used and right is not None:
        until = right.mandate.until.isoformat(timespec="seconds")
        made.append(
            Consent(
                kind="mandate",
                by=right.mandate.owner,
                at=at,
                until=until,
                digest=right.digest,
                signer=right.fingerprint,
                vouched=right.vouched,
            )
        )
    return tuple(made)


def _hint(target: Target, own: tuple[Network, ...]) -> str:
    if is_own_network(target.address, own):
        return 'say who agreed: --consent "NAME, ROLE"'
    return "a target outside this machine's own networks needs --mandate FILE, valid today, that names it"


def _names(entry: str, target: Target) -> bool:
    network = _network(entry)
    if network is not None:
        return target.address in network
    # A dot at the end only says that nothing follows (RFC 1034 section 3.1).
    return entry.rstrip(".").casefold() == target.host.rstrip(".").casefold()


def _network(entry: str) -> Network | None:
    try:
        return ip_network(entry, strict=False)
    except ValueError:
        return None


def check(mandate: Mandate) -> None:
    """Raises `Unreadable` for a mandate that cannot stand."""
    if mandate.format != FORMAT or not mandate.scope.targets:
        raise Unreadable("a mandate names at least one target")
    if mandate.since.tzinfo is None or mandate.until.tzinfo is None or mandate.since >= mandate.until:
        raise Unreadable("a mandate has a first and a last moment, with their time zone")
    if not mandate.scope.hosts_per_second > 0:
        raise Unreadable("a mandate lets more than no host be asked a second", hint="10 at most are asked")
    for entry in (*mandate.scope.targets, *mandate.scope.exclusions):
        network = _network(entry)
        if network is None:
            if not is_name(entry):
                raise Unreadable(
                    "a mandate names networks, addresses and names of machines, nothing else",
                    hint="such as 192.0.2.0/28, 192.0.2.7 or pacs.example.org",
                )
            continue
        if network.prefixlen < MIN_PREFIX[network.version]:
            raise Unreadable(
                "a mandate names networks that somebody answers for, not the Internet",
                hint="at most /16 of IPv4, /48 of IPv6",
            )
        if network.is_multicast:
            raise Unreadable("a mandate cannot name multicast addresses")
