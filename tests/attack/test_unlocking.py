"""The lock of the archive, against whoever tries many at once, and whoever writes the disk."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from huisclos.access.nouns import ActorKind, Role, Source
from huisclos.archive.nouns import Deposit
from huisclos.errors import DamagedHolder, HuisclosError, Tampered, TooManyAttempts, WrongPassphrase
from huisclos.seal import X25519Identity, seal
from huisclos.vault import places
from huisclos.vault.gate import FREE_ATTEMPTS
from huisclos.vault.holders import About, HolderKind
from tests.attack.house import LINK, Vault
from tests.vault.world import CONSOLE

NEIGHBOUR = "192.168.1.66"


async def test_attempts_that_come_together_wait_like_any_others(vault: Vault) -> None:
    """A hundred at once are not a hundred guesses: most are turned away unheard."""
    vault.restart(unlocked=False)
    tries = (vault.services.gate.unlock(f"guess {number}", "", NEIGHBOUR) for number in range(100))
    answers = await asyncio.gather(*tries, return_exceptions=True)
    heard = [answer for answer in answers if isinstance(answer, WrongPassphrase)]
    assert len(heard) <= FREE_ATTEMPTS
    assert all(isinstance(answer, WrongPassphrase | TooManyAttempts) for answer in answers)


async def test_many_addresses_do_not_slip_past_the_wait(vault: Vault) -> None:
    """The wait holds for attempts that queued before it began, wherever they come from."""
    vault.restart(unlocked=False)
    tries = (vault.services.gate.unlock("guess", "", f"192.168.1.{number}") for number in range(100))
    answers = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(answer, WrongPassphrase) for answer in answers) <= FREE_ATTEMPTS


async def test_the_console_is_not_kept_waiting_by_a_neighbour(vault: Vault) -> None:
    """Whoever guesses at the gate keeps the gate waiting, not the account that owns the archive."""
    vault.restart(unlocked=False)
    for _ in range(FREE_ATTEMPTS):
        with pytest.raises(WrongPassphrase):
            await vault.services.gate.unlock("guess", "", NEIGHBOUR)
    with pytest.raises(TooManyAttempts):
        await vault.services.gate.unlock(LINK, "", NEIGHBOUR)
    assert (await vault.services.gate.unlock(LINK, "", "")).label == "set-up"


async def test_guesses_beside_a_damaged_holder_count_too(vault: Vault) -> None:
    """Damaging one holder's file must not switch the waits off."""
    holder_id = vault.core.holders.add(vault.secret, "another one", HolderKind.PASSPHRASE, "A", 0.0)
    vault.store.put(places.holder(holder_id), b"damaged")
    vault.restart(unlocked=False)
    for _ in range(FREE_ATTEMPTS):
        with pytest.raises(DamagedHolder):
            await vault.services.gate.unlock("guess", "", NEIGHBOUR)
    with pytest.raises(TooManyAttempts):
        await vault.services.gate.unlock("guess", "", NEIGHBOUR)


async def test_the_set_up_link_opens_nothing_once_there_is_an_owner(vault: Vault) -> None:
    """Left in a terminal's memory it is no passphrase, although its holder is still there."""
    vault.user("Ann", Role.OWNER)
    vault.restart(unlocked=False)
    with pytest.raises(WrongPassphrase):
        await vault.services.gate.unlock(LINK, "", NEIGHBOUR)
    assert vault.core.locked


async def test_one_link_is_spent_once_also_by_two_at_once(vault: Vault) -> None:
    """Two that follow the link together get one ticket between them."""
    vault.restart(unlocked=False)
    both = (vault.services.set_up.check(LINK, "", "127.0.0.1") for _ in range(2))
    answers = await asyncio.gather(*both, return_exceptions=True)
    assert sum(isinstance(answer, str) for answer in answers) == 1


async def test_a_holder_cannot_describe_himself_as_an_owner(vault: Vault) -> None:
    """Whose holder file it is stands sealed beside it, where anybody can write; the account must agree."""
    owner_id = vault.user("Ann", Role.OWNER)
    holder_id = vault.core.holders.add(vault.secret, "a technician's own", HolderKind.USER, "Bob", 0.0)
    forged = About(holder_id, HolderKind.USER, "Bob", 0.0, owner_id)
    vault.store.put(places.holder_about(holder_id), seal(msgspec.json.encode(forged), [vault.core.recipient]))
    vault.restart(unlocked=False)
    opened = await vault.services.gate.unlock("a technician's own", "", NEIGHBOUR)
    assert opened.session is None


async def test_public_keys_exchanged_for_a_while_are_found(vault: Vault) -> None:
    """A house started with a stranger's key seals to the stranger: putting the file back hides nothing."""
    good = vault.store.read(places.RECIPIENT)
    vault.store.put(places.RECIPIENT, f"{X25519Identity.generate().recipient}\n".encode())
    vault.core.pen.close()
    with pytest.raises(Tampered):
        vault.start()
    vault.core.forget()
    vault.serve()
    vault.store.put(places.RECIPIENT, good)
    with pytest.raises(Tampered):
        await vault.services.gate.unlock(LINK, "", "")
    assert vault.core.locked


async def test_a_record_key_of_a_strangers_is_refused(vault: Vault) -> None:
    """Sealing to the archive is open to all: a key sealed so must be one that the archive made."""
    vault.store.put(places.RECORD_KEY, seal(bytes(32), [vault.core.recipient]))
    vault.restart()
    with pytest.raises(Tampered):
        await vault.services.finder_keys()
    with pytest.raises(Tampered):
        vault.user("Ann", Role.OWNER)


async def test_accounts_put_back_as_they_were_are_told(vault: Vault) -> None:
    """An older copy of all rows holds by itself; the journal knows that it is not the newest."""
    vault.user("Ann", Role.OWNER)
    leaver = vault.user("Bob", Role.PHYSICIAN)
    old = dict(vault.accounts.kept)
    await vault.services.people.remove(CONSOLE, leaver)
    vault.core.holders.add(vault.secret, "a passphrase", HolderKind.PASSPHRASE, "A", 0.0)
    vault.restart(unlocked=False)
    await vault.services.gate.unlock("a passphrase", "", "")
    assert not (await vault.services.state.plain_report()).accounts_put_back
    await vault.services.gate.lock(CONSOLE)
    vault.accounts.kept = old
    vault.restart(unlocked=False)
    await vault.services.gate.unlock("a passphrase", "", "")
    assert (await vault.services.state.plain_report()).accounts_put_back
    assert ("broken", "accounts-put-back") in vault.acts()
    await vault.services.gate.lock(CONSOLE)
    vault.restart(unlocked=False)
    await vault.services.gate.unlock("a passphrase", "", "")
    assert (await vault.services.state.plain_report()).accounts_put_back, "not only the first time"


async def test_a_holder_s_file_that_is_gone_is_no_wrong_passphrase(vault: Vault) -> None:
    """Deleted, it opens for nobody, and the passphrase is not at fault; the other holder opens."""
    first = vault.core.holders.add(vault.secret, "a passphrase", HolderKind.PASSPHRASE, "A", 0.0)
    vault.core.holders.add(vault.secret, "another one", HolderKind.PASSPHRASE, "B", 0.0)
    vault.store.delete(places.holder(first))
    vault.restart(unlocked=False)
    with pytest.raises(DamagedHolder, match="gone"):
        await vault.services.gate.unlock("a passphrase", "", "")
    assert (await vault.services.gate.unlock("another one", "", "")).label == "B"


async def test_a_restart_in_the_dark_forgets_no_count(vault: Vault) -> None:
    """Unlocking says how many came from whom, whatever was killed and started again meanwhile."""
    vault.core.holders.add(vault.secret, "a passphrase", HolderKind.PASSPHRASE, "A", 0.0)
    for count in (3, 4):
        vault.restart(unlocked=False)
        source = Source(ActorKind.PEER, "aa" * 16, "SCANNER", "192.168.1.2")
        deposit = Deposit(source, "", "bb" * 16, count, count * 1000, bytes(32))
        await vault.services.keeper.deposited((deposit,))
    told = await vault.services.gate.unlock("a passphrase", "", "")
    assert [(one.label, one.objects) for one in told.received] == [("SCANNER", 7)]
    await vault.services.gate.lock(CONSOLE)
    assert (await vault.services.gate.unlock("a passphrase", "", "")).received == ()


async def test_rows_that_nobody_signed_are_counted(vault: Vault) -> None:
    """A row written to the disk has no effect, and the state says that it was there."""
    vault.user("Ann", Role.OWNER)
    row = next(row for row in vault.accounts.rows("user"))
    vault.accounts.put(msgspec.structs.replace(row, id="f" * 32))
    vault.restart()
    report = await vault.services.state.plain_report()
    assert report.rows_ignored == 1


async def test_a_broken_description_does_not_hide_the_others(vault: Vault) -> None:
    """Unlocking with a whole holder goes on when another one's description is gone."""
    holder_id = vault.core.holders.add(vault.secret, "a passphrase", HolderKind.PASSPHRASE, "A", 0.0)
    other = vault.core.holders.add(vault.secret, "another", HolderKind.PASSPHRASE, "B", 0.0)
    vault.store.delete(places.holder_about(other))
    vault.restart(unlocked=False)
    assert (await vault.services.gate.unlock("a passphrase", "", "")).label == "A"
    assert holder_id in {holder.id for holder in await vault.services.people.holders(CONSOLE)}
    with pytest.raises(HuisclosError):
        vault.core.holders.about(vault.secret, other)
