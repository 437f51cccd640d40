"""The listeners' certificate while the house is open."""

from __future__ import annotations

import datetime as dt
import ssl
from pathlib import Path

from huisclos.certificates import Authority, describe, make_authority, make_leaf
from huisclos.doors.probes.tls import throwaway
from huisclos.wiring.tls import LeafWatch, peer_context, server_context


def _put(leaf: Path, authority: Authority, *addresses: str) -> None:
    """As the vault does: a new file takes the place of the old one."""
    fresh = leaf.with_suffix(".new")
    fresh.write_bytes(make_leaf(authority, "practice", addresses, dt.datetime.now(dt.UTC)))
    fresh.replace(leaf)


def _client() -> ssl.SSLContext:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    return client


def _shaken(
    server: ssl.SSLContext, client: ssl.SSLContext, name: str | None
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """The two ends after their handshake, the client's first."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(back, there, server_hostname=name)
    answering = server.wrap_bio(there, back, server_side=True)
    for _ in range(3):
        for side in (asking, answering):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return asking, answering


def _met(server: ssl.SSLContext, name: str | None) -> tuple[str, ...]:
    """The names of the certificate that a client sees; by address, it says no name."""
    asking, _ = _shaken(server, _client(), name)
    return describe(asking.getpeercert(binary_form=True) or b"").names


def test_a_new_leaf_is_shown_from_the_next_handshake_on(tmp_path: Path) -> None:
    """By name or by address: whoever comes the moment the archive was unlocked meets the address in it."""
    leaf = tmp_path / "leaf.pem"
    authority = make_authority("practice", dt.datetime.now(dt.UTC))
    _put(leaf, authority)
    watch = LeafWatch(leaf)
    pages, gate = watch.context(), watch.context()
    assert "192.168.7.5" not in _met(pages, None)
    _put(leaf, authority, "192.168.7.5")
    assert "192.168.7.5" in _met(pages, None)
    assert "192.168.7.5" in _met(gate, "localhost")
    _put(leaf, authority, "192.168.7.5", "192.168.7.6")
    assert "192.168.7.6" in _met(gate, "localhost")


def test_a_machine_with_another_name_since_is_still_vouched_for(tmp_path: Path) -> None:
    """The authority vouches for the name of before alone: a leaf with the new one is refused whole."""
    leaf = tmp_path / "leaf.pem"
    authority = make_authority("practice", dt.datetime.now(dt.UTC))
    leaf.write_bytes(make_leaf(authority, "renamed", ("192.168.7.5",), dt.datetime.now(dt.UTC)))
    client = ssl.create_default_context(cadata=authority.certificate.decode())
    asking, _ = _shaken(server_context(leaf), client, "192.168.7.5")
    assert {"localhost", "192.168.7.5"} <= set(describe(asking.getpeercert(binary_form=True) or b"").names)


def test_a_pinned_peer_is_known_at_the_handshake_that_meets_the_new_leaf(tmp_path: Path) -> None:
    """Else the first modality after an unlock is turned away, and told of as a stranger."""
    leaf, now = tmp_path / "leaf.pem", dt.datetime.now(dt.UTC)
    authority, client = make_authority("practice", now), _client()
    _put(leaf, authority)
    server = LeafWatch(leaf).keep(peer_context(leaf))
    with throwaway(now) as files:
        client.load_cert_chain(*files)
        pinned = ssl.PEM_cert_to_DER_cert(files[0].read_text())
    server.load_verify_locations(cadata=pinned)
    for address in ("192.168.7.5", "192.168.7.6"):
        _put(leaf, authority, address)
        asking, answering = _shaken(server, client, None)
        assert address in describe(asking.getpeercert(binary_form=True) or b"").names
        assert pinned == answering.getpeercert(binary_form=True)
