"""The pages, for each role, empty and furnished."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from huisclos.access.nouns import ActorKind, Right, Role
from huisclos.access.peers import KnockReason
from huisclos.access.people import FastReader, Pending, PendingKind, RotationState
from huisclos.archive.nouns import Choice, DoubtKind
from huisclos.web.app import make_app
from huisclos.web.pages.doubts import choice_words, explanations, titles
from huisclos.web.pages.journal import _said
from huisclos.web.pages.people import role_names, role_sentences
from huisclos.web.words import Words
from tests import corpus
from tests.archive.samples import data_set, names
from tests.archive.world import MODALITY
from tests.web.browser import Browser
from tests.web.house import DAY, PASSPHRASE, PASSWORD, WORDS
from tests.web.world import World

PAGES = {
    "/studies": {"Camille Exemple", "Dr Martin", "Lou Accueil"},
    "/upload": {"Camille Exemple", "Dr Martin", "Lou Accueil"},
    "/decide": {"Camille Exemple", "Dr Martin"},
    "/peers": {"Camille Exemple", "Sam Technique"},
    "/people": {"Camille Exemple"},
    "/doors": {"Camille Exemple", "Sam Technique", "Noa Controle"},
    "/journal": {"Camille Exemple", "Noa Controle"},
    "/state": {"Camille Exemple", "Dr Martin", "Lou Accueil", "Sam Technique", "Noa Controle"},
    "/account": {"Camille Exemple", "Dr Martin", "Lou Accueil", "Sam Technique", "Noa Controle"},
    "/recovery": {"Camille Exemple"},
}
EVERYBODY = {"Camille Exemple", "Dr Martin", "Lou Accueil", "Sam Technique", "Noa Controle"}


@pytest.mark.parametrize("furnished", [False, True])
@pytest.mark.parametrize("path", PAGES)
async def test_who_may_see_what(browser: Browser, world: World, path: str, furnished: bool) -> None:
    """The table of roles, page by page; what is not allowed is not in the menu either."""
    if furnished:
        world.furnish()
    for name in EVERYBODY:
        response = await browser.be(name).see(path)
        assert response.status_code == (200 if name in PAGES[path] else 403), name
        own = await browser.see("/account")
        assert (f'<a href="{path}"' in own.text) == (name in PAGES[path]) or path in ("/account", "/recovery")


async def test_nobody_sees_anything(browser: Browser) -> None:
    """Without a session each page leads to the log in page."""
    for path in PAGES:
        assert (await browser.see(path)).headers["location"] == "/login"


async def test_the_study_list(browser: Browser, world: World) -> None:
    """Full, found, not found; a name from the wire is text and never markup."""
    reception = world.receiver.begin(MODALITY, *names(), "1.2.840.10008.1.2.1", "CT01")
    reception.write(data_set(name=b"<script>alert(1)</script>^EVE"))
    await reception.finish()
    browser.be("Lou Accueil")
    page = await browser.see("/studies")
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;alert(1)" in page.text
    found = await browser.submit("/studies/search", {"text": "eve"}, **{"X-Piece": "yes"})
    assert "<html" not in found.text
    assert "1 study" in found.text
    none = await browser.submit("/studies/search", {"text": "zorro"}, **{"X-Piece": "yes"})
    assert "Nothing matches" in none.text
    whole = await browser.submit("/studies/search", {"text": "zorro"})
    assert "<html" in whole.text


async def test_more_words_than_a_search_takes(browser: Browser, world: World) -> None:
    """Somebody who pastes a letter into a search finds nothing, and never meets a code."""
    await world.put(corpus.named("CT_small.dcm").read_bytes())
    browser.be("Camille Exemple")
    typed = " ".join("letter" * 20)
    for path, field in (("/studies/search", "text"), ("/journal/entries", "patient")):
        answer = await browser.submit(path, {field: typed}, **{"X-Piece": "yes"})
        assert answer.status_code == 200
        assert ("Nothing matches" if field == "text" else "No entry") in answer.text


async def test_addresses_never_name_a_patient(browser: Browser, world: World) -> None:
    """What an address bar and a title keep is random (P1)."""
    await world.put(corpus.named("CT_small.dcm").read_bytes())
    row = world.books.seen()[0]
    browser.be("Dr Martin")
    listing = await browser.see("/studies")
    page = await browser.see(f"/studies/{row.study_id}")
    assert page.status_code == 200
    for text in (listing.text, page.text):
        assert row.study_uid not in text
        assert row.patient_name.split("^")[0] not in text.split("</title>")[0]
    patient = await browser.see(f"/studies/{row.study_id}/patient")
    assert row.patient_id in patient.text
    picture = page.text.split('<img src="')[1].split('"')[0]
    assert (await browser.fetch(picture)).content.startswith(b"\xff\xd8\xff")
    assert world.keys.read[-1][1] == 1


async def test_no_pixels_for_the_secretary(browser: Browser, world: World) -> None:
    """Who and when, no picture, no viewer."""
    await world.put(corpus.named("CT_small.dcm").read_bytes())
    study_id = world.study_ids()[0]
    browser.be("Lou Accueil")
    page = await browser.see(f"/studies/{study_id}")
    assert page.status_code == 200
    assert "<img" not in page.text
    assert "/view" not in page.text
    assert (await browser.fetch(f"/studies/{study_id}/series/{'a' * 32}/thumbnail")).status_code == 403
    assert (await browser.submit(f"/studies/{study_id}/view")).status_code == 403


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("rtplan.dcm", False),
        ("liver.dcm", False),
        ("reportsi.dcm", True),
        ("waveform_ecg.dcm", True),
        ("rtdose.dcm", True),
    ],
)
async def test_what_the_viewer_cannot_show(
    browser: Browser, tmp_path: Path, name: str, *, shown: bool
) -> None:
    """A study in which the viewer shows nothing offers none, and says what it holds and what can be done."""
    world = browser.world
    world.site = replace(world.site, viewer=tmp_path)
    await world.put(corpus.named(name).read_bytes())
    study_id = world.study_ids()[0]
    async with Browser(make_app(world.site), browser.origin, world) as beside:
        page = await beside.be("Dr Martin").see(f"/studies/{study_id}")
    assert page.text.count(f"/studies/{study_id}/view") == (2 if shown else 0)
    assert ("nothing to show here" in page.text) is not shown
    assert ("Export takes out the files" in page.text) is not shown
    assert ("a radiotherapy plan" in page.text) is (name == "rtplan.dcm")


async def test_unknown_study(browser: Browser) -> None:
    """A sentence and a way out, with the code small."""
    page = await browser.be("Dr Martin").see("/studies/" + "f" * 32)
    assert page.status_code == 404
    assert "No such study" in page.text
    assert "study-not-found" in page.text


async def test_upload_by_script_and_form(browser: Browser, world: World) -> None:
    """A file is sealed as it arrives; the same again is told; what is no DICOM is refused with a reason."""
    content = corpus.named("CT_small.dcm").read_bytes()
    browser.be("Lou Accueil")
    headers = {"Sec-Fetch-Site": "same-origin", "Origin": browser.origin}
    first = await browser.post("/upload", content=content, headers=headers)
    assert first.json() == {"outcome": "stored"}
    assert (await browser.post("/upload", content=content, headers=headers)).json() == {
        "outcome": "duplicate"
    }
    bad = await browser.post("/upload", content=b"GIF89a" * 100, headers=headers)
    assert bad.status_code == 400
    assert bad.json()["reason"] == "This is not a DICOM file."
    files = {"files": ("MR.dcm", corpus.named("MR_small.dcm").read_bytes(), "application/dicom")}
    page = await browser.post("/upload/form", files=files, headers=headers)
    assert "1 kept, 0 here already, 0 refused" in page.text
    assert len(world.study_ids()) == 2


async def test_deciding_and_undoing(browser: Browser, world: World) -> None:
    """A choice moves the card, undo moves it back, and a word that is no choice is refused."""
    world.furnish()
    doubt = world.books.doubt_list[0]
    browser.be("Dr Martin")
    page = await browser.see("/decide")
    assert page.text.count("differs") > 3
    assert (await browser.submit(f"/decide/{doubt.id}", {"choice": "other-person"})).status_code == 303
    assert "Undo" in (await browser.see("/decide")).text
    await browser.submit(f"/decide/{doubt.id}", {"choice": ""})
    assert world.books.doubt_list[0].decided is None
    assert [Choice.OTHER_PERSON, None] == world.keys.decisions
    assert (await browser.submit(f"/decide/{doubt.id}", {"choice": "burn"})).status_code == 400


async def test_admitting_a_knock(browser: Browser, world: World) -> None:
    """The live list, one button, and it is a peer."""
    world.furnish()
    browser.be("Sam Technique")
    piece = await browser.fetch("/peers/knocks", **{"X-Piece": "yes"})
    assert "IRM2 knocked from 192.168.1.30." in piece.text
    knock = next(iter(world.house.knock_list))
    done = await browser.submit(f"/peers/knocks/{knock}/admit")
    assert "IRM2 is admitted" in done.text
    assert any(peer.title == "IRM2" for peer in world.house.peer_list.values())
    peer = next(peer for peer in world.house.peer_list.values() if peer.title == "CT01")
    assert "answered in 12 ms" in (await browser.submit(f"/peers/{peer.id}/echo")).text
    await browser.submit(f"/peers/{peer.id}/remove")
    assert peer.id not in world.house.peer_list
    bad = await browser.submit("/peers/add", {"title": "X", "address": "192.168.1.4", "port": "99999"})
    assert "not valid" in bad.text


async def test_a_test_echo_asks_for_the_port_it_lacks(browser: Browser, world: World) -> None:
    """Who knocked was admitted without one, and there was no way to give it but to begin anew."""
    world.furnish()
    browser.be("Sam Technique")
    knock = world.peers.knock("IRM3", "192.168.1.33", KnockReason.TITLE_UNKNOWN)
    await browser.submit(f"/peers/knocks/{knock.id}/admit")
    peer = next(peer for peer in world.house.peer_list.values() if peer.title == "IRM3")
    assert f'id="port-{peer.id}"' in (await browser.see("/peers")).text
    assert "No port of IRM3 is known" in (await browser.submit(f"/peers/{peer.id}/echo")).text
    assert "A port is a number" in (await browser.submit(f"/peers/{peer.id}/echo", {"port": "x"})).text
    told = await browser.submit(f"/peers/{peer.id}/echo", {"port": "104"})
    assert "IRM3 answered in 12 ms" in told.text
    assert "192.168.1.33:104" in told.text
    assert f'id="port-{peer.id}"' not in told.text


async def test_a_bug_is_a_page_for_people(
    browser: Browser, world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A document for programs stood there, in English. What went wrong is in the log, and nowhere else."""

    async def broken(*_: object) -> None:
        raise ZeroDivisionError("DUPONT")

    world.furnish()
    browser.be("Sam Technique")
    browser.headers["Accept-Language"] = "fr"
    monkeypatch.setattr(world.peers, "knocks", broken)
    answer = await browser.see("/peers")
    assert answer.status_code == 500
    assert "Quelque chose s’est cassé dans la maison" in answer.text
    assert "DUPONT" not in answer.text + caplog.text
    assert "broken" in caplog.text
    program = await browser.fetch("/peers", Accept="application/json")
    assert program.headers["content-type"] == "application/problem+json"
    monkeypatch.setattr(world.house, "glance", broken, raising=False)
    monkeypatch.setattr(world.site.door, "session", broken)
    again = await browser.see("/peers")
    assert (again.status_code, again.json()["type"]) == (500, "urn:huisclos:problem:bug")


async def test_what_to_type_is_what_a_machine_can_reach(browser: Browser, world: World) -> None:
    """Once the network is listened to, this machine's own loopback is no address for a modality."""
    world.furnish()
    world.house.addresses = ("127.0.0.1", "::1", "192.168.1.10")
    browser.be("Sam Technique")
    shown = (await browser.see("/peers")).text
    assert '<dd class="mono">192.168.1.10</dd>' in shown
    assert "127.0.0.1" not in shown
    assert shown.count("Called AE title</dt>") == 1, "both ports of one machine stand together"
    world.house.lan = False
    alone = (await browser.see("/peers")).text
    assert "127.0.0.1 / ::1" in alone
    assert "<code>.venv/bin/huisclos serve .run/archive --lan</code>" in alone, "as it is typed here"


async def test_a_certificate_that_ended_is_said(browser: Browser, world: World) -> None:
    """Beside the peer, and as the reason of a knock: it looked like a right that was never given."""
    world.furnish()
    browser.be("Sam Technique")
    peer = world.peers.put("US09", "192.168.1.35")
    ended = msgspec.structs.replace(peer, fingerprint="ab", certificate_until=world.house.time - 3 * DAY)
    world.house.peer_list[peer.id] = ended
    world.peers.knock("US09", "192.168.1.35", KnockReason.CERTIFICATE_ENDED)
    shown = (await browser.see("/peers")).text
    assert shown.count("certificate ended") == 1
    assert "Its certificate has ended: it may only test and send until a new one is pinned." in shown


async def test_a_peer_that_is_there_already_is_said(browser: Browser, world: World) -> None:
    """Of a peer nothing is said of a last one that must stay."""
    world.furnish()
    known = next(peer for peer in world.house.peer_list.values() if peer.title == "CT01")
    browser.be("Sam Technique")
    told = (await browser.submit("/peers/add", {"title": "CT01", "address": known.address})).text
    assert "This peer is admitted already. Remove it first to change it." in told


async def test_people(browser: Browser, world: World) -> None:
    """Tokens are shown once; the last owner stays; what waits is approved by one press."""
    world.furnish()
    browser.be("Camille Exemple")
    fields = {"user": world.owner, "label": "viewer", "until": "2030-01-31", "read": "1"}
    made = await browser.submit("/people/tokens/add", fields)
    secret = next(iter(world.house.token_secrets))
    assert secret in made.text
    listing = (await browser.see("/people")).text
    assert secret not in listing
    assert "viewer" in listing
    kept = await browser.submit(f"/people/{world.owner}/role", {"role": "secretary"})
    assert "This is the last owner: make somebody else an owner first." in kept.text
    again = (await browser.submit(f"/people/{world.owner}/reset")).text
    assert "A password for" in again, "of one who had one, it is not the first"
    waiting = next(iter(world.house.pending_list))
    await browser.submit(f"/people/pending/{waiting}/approve")
    assert not world.house.pending_list
    assert "not valid" in (await browser.submit("/people/tokens/add", {**fields, "until": "soon"})).text


async def test_what_waits_is_told_in_the_readers_language(browser: Browser, world: World) -> None:
    """The role and the rights that were asked for too, and that the console asked."""
    world.furnish()
    browser.be("Camille Exemple")
    browser.headers["Accept-Language"] = "fr"
    now = world.house.time
    for number, (kind, detail) in enumerate(
        (
            (PendingKind.ROLE, "physician"),
            (PendingKind.TOKEN, "read, store"),
            (PendingKind.PEER, "192.168.1.9, echo, store"),
        )
    ):
        one = Pending(f"{number:032x}", kind, "Zoé Petit", detail, now - 90, "console")
        world.house.pending_list[one.id] = one
    shown = (await browser.see("/people")).text
    for words in ("(médecin)", "(lire, envoyer)", "(192.168.1.9, tester, envoyer)", "par la console,"):
        assert words in shown


async def test_each_right_of_a_token_has_its_word(browser: Browser, world: World) -> None:
    """Of one that only lists, too, as the command makes it; and nothing stands beside no comma."""
    world.furnish()
    browser.be("Camille Exemple")
    world.token(Right.LIST)
    world.token(Right.LIST, Right.READ)
    shown = (await browser.see("/people")).text
    assert "<td>see the list</td>" in shown
    assert "<td>see the list, read</td>" in shown


async def test_an_owner_lets_a_fast_reader_go_on(browser: Browser, world: World) -> None:
    """Who was stopped by the reading budget is shown until an owner says that it is well."""
    world.furnish()
    browser.be("Camille Exemple")
    reader = FastReader("e" * 32, ActorKind.USER, "Dominique Modele", world.house.time)
    world.house.fast_readers[reader.id] = reader
    assert "Dominique Modele" in (await browser.see("/people")).text
    await browser.submit(f"/people/readers/{reader.id}/confirm")
    assert not world.house.fast_readers
    assert "Reads faster" not in (await browser.see("/people")).text
    twice = await browser.submit(f"/people/readers/{reader.id}/confirm")
    assert 'role="status"' in twice.text


async def test_a_holder_goes_once_the_word_was_typed(browser: Browser, world: World) -> None:
    """Without the word nothing happens; how far the archive's new key is, and whom it waits for, is shown."""
    world.furnish()
    browser.be("Camille Exemple")
    path = f"/people/holders/{'h' * 32}/remove"
    assert "Nothing was removed" in (await browser.submit(path, {"word": "yes"})).text
    refused = await browser.submit(path, {"word": " Remove "})
    assert "Nothing was removed" not in refused.text
    assert "new key of the archive" not in (await browser.see("/people")).text
    world.house.rotation = RotationState(running=True, waiting=False, done=40, total=1000)
    assert "40 of 1,000 keys" in (await browser.see("/people")).text
    world.house.rotation = RotationState(running=False, waiting=True, unready=("h" * 32,))
    assert "must unlock once" in (await browser.see("/people")).text
    world.house.rotation = RotationState(running=False, waiting=True)
    assert "with the next unlock" in (await browser.see("/people")).text


async def test_the_journal_writes_days_as_its_reader_does(browser: Browser, world: World) -> None:
    """What the catalog says of a study holds a day in ISO 8601."""
    await world.put(corpus.named("CT_small.dcm").read_bytes())
    world.furnish()
    browser.be("Camille Exemple")
    assert "Dr Martin read 24 images of the study of 19/01/2004, " in (await browser.see("/journal")).text


async def test_the_journal_of_one_patient(browser: Browser, world: World) -> None:
    """Filtered by whom it is about, for an auditor too, who sees no list of studies; the choice stays."""
    await world.put(corpus.named("CT_small.dcm").read_bytes())
    world.furnish()
    browser.be("Noa Controle")
    asked = {"actor": "", "patient": "compressed", "day": ""}
    theirs = await browser.submit("/journal/entries", asked)
    assert "Dr Martin read 24 images" in theirs.text
    assert "CT01 sent" not in theirs.text
    assert 'name="patient" type="search" value="compressed"' in theirs.text
    none = await browser.submit(
        "/journal/entries", asked | {"patient": "somebody else"}, **{"X-Piece": "yes"}
    )
    assert "No entry" in none.text


def test_the_journal_says_so_where_a_study_names_nobody() -> None:
    """A day alone is no person: "of No name, 19/01/2004"."""
    assert _said("2004-01-19, CT", Words("en")) == "No name, 19/01/2004, CT"
    assert _said("", Words("fr")) == "Sans nom"
    assert _said("Roe Ann, 2004-01-19", Words("fr")) == "Roe Ann, 19/01/2004"


async def test_the_journal_speaks(browser: Browser, world: World) -> None:
    """Sentences, filtered by person; a broken chain is said loudly."""
    world.furnish()
    browser.be("Noa Controle")
    page = await browser.see("/journal")
    assert "Dr Martin read 24 images of a study, 12.6 MB" in page.text
    only = await browser.submit("/journal/entries", {"actor": "p1", "day": ""}, **{"X-Piece": "yes"})
    assert "CT01 sent 24 images" in only.text
    assert "Dr Martin" not in only.text
    none = await browser.submit("/journal/entries", {"actor": "", "day": "2001-01-01"}, **{"X-Piece": "yes"})
    assert "No entry" in none.text
    world.house.holds = False
    assert "It does not hold." in (await browser.see("/journal")).text
    assert "The journal does not hold" in (await browser.see("/state")).text


async def test_unconfirmed_recovery_is_on_every_page(browser: Browser, world: World) -> None:
    """A red line with the button that ends it."""
    world.house.recovered = False
    browser.be("Camille Exemple")
    for path in PAGES:
        assert "The recovery key is not confirmed" in (await browser.see(path)).text
    wrong = await browser.submit("/recovery", {"typed": "abeille bateau"})
    assert "Word 1 was misread" in wrong.text
    assert "abeille bateau</textarea>" in wrong.text  # 25 words are not typed twice for one slip
    short = await browser.submit("/recovery", {"typed": "badir vopip"})
    assert "The card has 25 words, and 2 were typed" in short.text
    line = await browser.submit("/recovery", {"typed": "AGE-SECRET-KEY-1QQQ"})
    assert "not the recovery key" in line.text
    shown = await browser.submit("/recovery/new")
    assert "<svg" in shown.text
    assert "AGE-SECRET-KEY-1" in shown.text
    await browser.submit("/recovery", {"typed": " ".join(WORDS)})
    assert world.house.recovered


async def test_an_address_without_a_certificate_is_on_every_page(browser: Browser, world: World) -> None:
    """Whoever was warned on the way here reads why; and what ends it, while that is to be done."""
    world.house.unnamed = ("10.9.8.7", "10.9.8.8")
    browser.be("Camille Exemple")
    sentence = "The certificate does not name 10.9.8.7, 10.9.8.8: who comes there is warned."
    for path in PAGES:
        text = (await browser.see(path)).text
        assert text.count(sentence) == (2 if path == "/state" else 1), path
        assert "makes one that does" not in text
    world.house.is_locked = True
    assert f"{sentence} Unlocking the archive makes one that does." in (await browser.see("/line")).text


async def test_second_factor_set_up(browser: Browser) -> None:
    """Scan, type back, recovery codes once."""
    browser.be("Dr Martin")
    page = await browser.submit("/account/totp")
    assert "<svg" in page.text
    assert "style=" not in page.text
    assert "not the code" in (await browser.submit("/account/totp/confirm", {"code": "111111"})).text
    assert "1001-7007" in (await browser.submit("/account/totp/confirm", {"code": "123 456"})).text


async def test_trust_page(browser: Browser, world: World) -> None:
    """Open to whoever is not logged in: certificate, profile, words."""
    trust = world.house.trusted
    pem = b"-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"
    world.house.trusted = type(trust)(pem, trust.fingerprint, trust.words, trust.until)
    assert "abeille bateau" in (await browser.see("/trust")).text
    assert (await browser.see("/trust/ca.pem")).content == pem
    profile = await browser.see("/trust/huisclos.mobileconfig")
    assert b"QUJD" in profile.content
    assert b"com.apple.security.root" in profile.content


@pytest.mark.parametrize("language", ["fr", "en"])
def test_every_noun_has_a_word(language: str) -> None:
    """Roles, doubts, choices: each member of each closed list is said."""
    words = Words(language)
    assert set(role_names(words)) == set(role_sentences(words)) == set(Role)
    assert set(titles(words)) == set(explanations(words)) == set(DoubtKind)
    assert set(choice_words(words)) == set(Choice)


async def test_an_owner_becomes_a_holder(browser: Browser) -> None:
    """Their passphrase opens the archive; the password they have now is asked for, and owners alone may."""
    browser.be("Camille Exemple")
    wrong = await browser.submit("/account/holder", {"old": "no", "passphrase": "seven words"})
    assert "is another one" in wrong.text
    weak = await browser.submit("/account/holder", {"old": PASSWORD, "passphrase": "short"})
    assert "too short" in weak.text
    done = await browser.submit("/account/holder", {"old": PASSWORD, "passphrase": PASSPHRASE})
    assert "opens the archive at the gate" in done.text
    browser.be("Dr Martin")
    assert (await browser.submit("/account/holder", {"old": PASSWORD})).status_code == 403
