"""Knocking: what somebody who is no peer can fill, hide or open."""

from __future__ import annotations

import pytest

from huisclos.access.admission import AssociationAsked
from huisclos.access.peers import KnockReason, PeerAsked
from huisclos.errors import BadIdentifier, BadSetting
from huisclos.settings import load_settings
from tests.attack.house import Vault
from tests.vault.world import CONSOLE

NEIGHBOUR = "192.168.1.66"


def _ask(title: str, address: str = NEIGHBOUR) -> AssociationAsked:
    return AssociationAsked(title, "HUISCLOS", address)


async def test_ever_new_titles_do_not_fill_the_journal(vault: Vault) -> None:
    """A thousand titles a second from one address are a handful of entries a minute."""
    for number in range(1000):
        await vault.services.doorkeeper.admit(_ask(f"T{number}"))
    assert len(vault.said()) <= 8
    vault.time.pass_(61)
    for number in range(1000):
        await vault.services.doorkeeper.admit(_ask(f"T{number}", f"10.1.{number // 250}.{number % 250}"))
    assert len(vault.said()) <= 8 + 64


async def test_ever_new_titles_do_not_hide_a_modality(vault: Vault) -> None:
    """The knock of a real machine stays in the list, whatever another address claims."""
    await vault.services.doorkeeper.admit(_ask("ULTRASOUND", "192.168.1.40"))
    for number in range(1000):
        await vault.services.doorkeeper.admit(_ask(f"T{number}"))
    titles = {knock.title for knock in vault.services.doorkeeper.knocks()}
    assert "ULTRASOUND" in titles
    assert len(titles) < 20


@pytest.mark.parametrize(
    "claimed",
    ["ct1", "CT1 ", " CT1", "CT1\0", "CT1\\CT2", "\u0421T1", "CT1\n", "CT1" + " " * 13 + "X", "*", "", "CT?"],
)
async def test_a_title_that_only_looks_like_a_peers_is_none(vault: Vault, claimed: str) -> None:
    """A title is compared as it is: case, blanks inside, wildcards and look-alikes are other titles."""
    await vault.services.peers.add(CONSOLE, PeerAsked("CT1", NEIGHBOUR))
    assert (await vault.services.doorkeeper.admit(_ask("CT1"))).source is not None
    verdict = await vault.services.doorkeeper.admit(_ask(claimed))
    assert (verdict.source, verdict.reason) == (None, KnockReason.TITLE_UNKNOWN)


@pytest.mark.parametrize(
    "address",
    ["0.0.0.0", "0.0.0.0/0", "192.168.1.0/24", "*", "8.8.8.8", "::", "::ffff:8.8.8.8"],  # noqa: S104
)
async def test_no_peer_is_a_network(vault: Vault, address: str) -> None:
    """A peer has one private address."""
    with pytest.raises(BadSetting):
        await vault.services.peers.add(CONSOLE, PeerAsked("CT1", address))


@pytest.mark.parametrize("title", ["", " ", "A" * 17, "A\\B", "A\nB", "É", "A\0"])
async def test_no_title_outside_the_standard(vault: Vault, title: str) -> None:
    """PS3.5 section 6.2."""
    with pytest.raises(BadIdentifier):
        await vault.services.peers.add(CONSOLE, PeerAsked(title, NEIGHBOUR))


@pytest.mark.parametrize(
    "networks",
    [
        '["0.0.0.0/0"]',
        '["0.0.0.0/1", "128.0.0.0/1"]',
        '["::/0"]',
        '["2000::/3"]',
        '["8.0.0.0/8"]',
        str([f"{number}.0.0.0/16" for number in range(1, 18)]),
    ],
)
def test_the_internet_cannot_be_declared_near(networks: str) -> None:
    """Neither whole nor in pieces (P11): a declared network is one that a practice can own."""
    with pytest.raises(BadSetting):
        load_settings(f'archive = "{"a" * 32}"\ndeclared_networks = {networks}')


async def test_what_is_declared_near_is_in_the_journal(vault: Vault) -> None:
    """At each start."""
    vault.services.declared = ("100.64.3.0/24",)
    await vault.services.begin()
    assert ("setting-changed", "declared_networks 100.64.3.0/24") in {
        (entry.what, entry.subject) for entry in vault.said()
    }
