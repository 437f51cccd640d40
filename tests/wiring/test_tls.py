"""The listeners' certificate while the house is open."""

from __future__ import annotations

import datetime as dt
import ssl
from pathlib import Path

from huisclos.certificates import Authority, describe, make_authority, make_leaf
from huisclos.wiring.tls import LeafWatch


def _put(leaf: Path, authority: Authority, *addresses: str) -> None:
    """As the vault does: a new file takes the place of the old one."""
    fresh = leaf.with_suffix(".new")
    fresh.write_bytes(make_leaf(authority, "practice", addresses, dt.datetime.now(dt.UTC)))
    fresh.replace(leaf)


def _met(server: ssl.SSLContext, name: str | None) -> tuple[str, ...]:
    """The names of the certificate that a client sees; by address, it says no name."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(back, there, server_hostname=name)
    answering = server.wrap_bio(there, back, server_side=True)
    for _ in range(3):
        for side in (asking, answering):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
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
