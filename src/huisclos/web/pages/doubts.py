"""Doubts in words: what happened, what differs, what each choice does, in the reader's language."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from huisclos.archive.compare import Comparison, Pixels
from huisclos.archive.nouns import FINAL, Choice, Cut, Doubt, DoubtKind, Side
from huisclos.dicom.charsets import display_name
from huisclos.web.pages.attributes import attribute_names
from huisclos.web.words import Words

_CAPITALS: Final = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@dataclass(frozen=True)
class Row:
    """One line of a comparison: a name and the two values as a person reads them."""

    name: str
    first: str
    second: str
    code: str = ""
    """Keyword, for the technician."""
    differs: bool = False
    """Whether it matters that the two are not the same."""


@dataclass(frozen=True)
class Told:
    """One choice."""

    choice: Choice
    label: str
    effect: str
    """What comes of it."""

    @property
    def final(self) -> bool:
        """Whether nothing undoes it."""
        return self.choice in FINAL


@dataclass(frozen=True)
class Card:
    """One doubt as its card tells it."""

    doubt: Doubt
    title: str
    explained: str
    about: str
    """One line on whom or what it is about, for the list of what was decided."""
    sides: tuple[str, ...]
    """What the columns are called; one when there is only one side."""
    rows: tuple[Row, ...]
    pictured: bool
    """Whether there are pictures to show of its sides."""
    compared: bool
    """Whether its sides can be compared attribute by attribute."""
    choices: tuple[Told, ...] = field(default=())

    @property
    def chosen(self) -> str:
        """What was decided, in words."""
        return next((told.label for told in self.choices if told.choice is self.doubt.decided), "")


def card(doubt: Doubt, words: Words) -> Card:
    """A doubt, told."""
    _ = words.gettext
    sender = doubt.kind is DoubtKind.QUARANTINE
    alone = sender or doubt.kind in (DoubtKind.NOT_LOOKED_INSIDE, DoubtKind.UNATTESTED)
    told = {**choice_words(words), **_of_this_kind(doubt.kind, words)}
    return Card(
        doubt=doubt,
        title=_title(doubt, words),
        explained=_explained(doubt, words),
        about=doubt.left.source if sender else _about(doubt.left, words) or doubt.left.source,
        sides=(_("What is kept"),) if alone else (_("Here first"), _("Came later")),
        rows=_sender(doubt.left, words)
        if sender
        else _rows(
            doubt.left, doubt.right, words, alone=alone, person=doubt.kind is DoubtKind.SAME_ID_OTHER_PERSON
        ),
        pictured=doubt.kind not in (DoubtKind.QUARANTINE, DoubtKind.NOT_LOOKED_INSIDE),
        compared=doubt.kind is DoubtKind.SAME_UID_OTHER_CONTENT,
        choices=tuple(Told(choice, *told[choice]) for choice in doubt.choices if choice in told),
    )


def titles(words: Words) -> dict[DoubtKind, str]:
    """What each kind of doubt is called."""
    _ = words.gettext
    return {
        DoubtKind.SAME_UID_OTHER_CONTENT: _("Two images claim to be the same one"),
        DoubtKind.SAME_ID_OTHER_PERSON: _("One patient number, two persons"),
        DoubtKind.NOT_LOOKED_INSIDE: _("An image that could not be looked into"),
        DoubtKind.QUARANTINE: _("Sent by a machine that is not approved yet"),
        DoubtKind.UNATTESTED: _("An image the archive does not remember accepting"),
    }


def explanations(words: Words) -> dict[DoubtKind, str]:
    """What happened, and what it means."""
    _ = words.gettext
    return {
        DoubtKind.SAME_UID_OTHER_CONTENT: _(
            "They have the same number and other content: a correction, or an error of the machine. "
            "The first answers until you decide; the other is kept apart."
        ),
        DoubtKind.SAME_ID_OTHER_PERSON: _(
            "The same patient number came with another name, birth date or sex. "
            "They are kept as two patients until you decide."
        ),
        DoubtKind.NOT_LOOKED_INSIDE: _(
            "It does not read as an image should: it is nested too deep, or contradicts itself. It is kept "
            "sealed, exactly as it came, and no search finds it."
        ),
        DoubtKind.QUARANTINE: _(
            "It asked to be admitted while the archive was locked, and sent at once. Its images are "
            "sealed and kept apart: nobody sees them, no search finds them, until an owner decides."
        ),
        DoubtKind.UNATTESTED: _(
            "It lies among the sealed objects, and no list that the archive signed mentions it: it came just "
            "before a crash, or somebody put it there. It answers like any other until you decide."
        ),
    }


def _explained(doubt: Doubt, words: Words) -> str:
    _ = words.gettext
    if doubt.cut:
        return _cut(doubt.cut, words)
    if doubt.left.full_since:
        full = _(
            "It sent more than is kept of a machine that is not approved, and the rest was refused: "
            "once it is admitted, have it send again what it could not."
        )
        return f"{explanations(words)[doubt.kind]} {full}"
    return explanations(words)[doubt.kind]


def _title(doubt: Doubt, words: Words) -> str:
    _ = words.gettext
    if doubt.cut is Cut.SAME:
        return _("An image came twice, written in two ways")
    return _("An image came cut short") if doubt.cut else titles(words)[doubt.kind]


def _cut(cut: Cut, words: Words) -> str:
    _ = words.gettext
    if cut is Cut.SAME:
        return _(
            "Both say the same, in other bytes, as when a program writes a file anew to send it. "
            "The one that was here first goes on answering."
        )
    if cut is Cut.FIRST:
        return _(
            "The one that was here first stops before its end: it holds the beginning of the one that came "
            "later and nothing else, as when a transfer breaks off. Nothing is lost if the whole one answers."
        )
    return _(
        "The one that came later stops before its end: it holds the beginning of the one that was here first "
        "and nothing else, as when a transfer breaks off. Nothing is lost if the whole one answers."
    )


def choice_words(words: Words) -> dict[Choice, tuple[str, str]]:
    """Each choice: what its button says, and what comes of it."""
    _ = words.gettext
    return {
        Choice.KEEP_FIRST: (
            _("Keep the first"),
            _("The one that was here goes on answering; the other stays sealed, out of sight."),
        ),
        Choice.KEEP_SECOND: (
            _("Take the second"),
            _("The one that came later answers from now on; the first stays sealed, out of sight."),
        ),
        Choice.SAME_PERSON: (
            _("The same person"),
            _("Both are shown under one patient. No image is changed."),
        ),
        Choice.OTHER_PERSON: (
            _("Two persons"),
            _("They stay two patients. Have the number put right on the machine that gave it twice."),
        ),
        Choice.ACCEPT: (_("Accept it"), _("It answers like any other.")),
        Choice.LEAVE: (_("Leave it as it is"), _("It stays sealed and out of sight.")),
        Choice.SET_APART: (_("Set it apart"), _("It stays sealed, and no search finds it any more.")),
        Choice.ADMIT: (
            _("Admit this machine"),
            _("It may test and send from now on, and what it sent is put into its studies within seconds."),
        ),
        Choice.REFUSE: (
            _("Refuse it, and destroy its images"),
            _("It is cut off, and what it sent is destroyed for good."),
        ),
    }


def _of_this_kind(kind: DoubtKind, words: Words) -> dict[Choice, tuple[str, str]]:
    """Where a choice means something else than usual."""
    _ = words.gettext
    if kind is DoubtKind.QUARANTINE:
        told = _("Its images stay apart, and it may go on sending. You can come back to it below.")
        return {Choice.LEAVE: (_("Keep waiting"), told)}
    if kind is DoubtKind.NOT_LOOKED_INSIDE:
        told = _("It is found in a study of its own, without a name, and can be exported as it came.")
        return {Choice.ACCEPT: (_("Accept it"), told)}
    return {}


def _sender(side: Side, words: Words) -> tuple[Row, ...]:
    _ = words.gettext
    images = words.ngettext("%(num)s image", "%(num)s images", side.instances)
    told = (
        (_("AE title"), side.source),
        (_("Address"), side.address or "–"),
        (_("Waiting"), f"{images % {'num': words.number(side.instances)}}, {words.size(side.octets)}"),
        (_("Since"), words.when(side.received_at)),
        (_("Quota full since"), words.when(side.full_since) if side.full_since else ""),
    )
    return tuple(Row(name, value, value) for name, value in told if value)


def _rows(left: Side, right: Side, words: Words, *, alone: bool, person: bool) -> tuple[Row, ...]:
    """What both sides say of themselves; of two persons' studies only what is about the person differs."""
    _ = words.gettext
    sexes = sex_words(words)
    told = (
        (_("Name"), display_name(left.patient_name), display_name(right.patient_name), True),
        (_("Number"), left.patient_id, right.patient_id, True),
        (_("Born"), words.dicom_date(left.birth_date), words.dicom_date(right.birth_date), True),
        (_("Sex"), sexes.get(left.sex, left.sex), sexes.get(right.sex, right.sex), True),
        (_("Date"), words.dicom_date(left.study_date), words.dicom_date(right.study_date), not person),
        (_("Description"), left.description, right.description, not person),
        (_("Kind"), left.modality, right.modality, not person),
        (_("Sent by"), left.source, right.source, False),
        (_("Received"), _when(left, words), _when(right, words), False),
    )
    return tuple(
        Row(name, first or "–", second or "–", differs=matters and not alone and first != second)
        for name, first, second, matters in told
        if first or (second and not alone)
    )


def _when(side: Side, words: Words) -> str:
    return words.when(side.received_at) if side.received_at else ""


def _about(side: Side, words: Words) -> str:
    parts = (display_name(side.patient_name) or side.patient_id, words.dicom_date(side.study_date))
    return ", ".join(part for part in parts if part)


def sex_words(words: Words) -> dict[str, str]:
    """What the codes of PatientSex mean (PS3.3 section C.2.2)."""
    _ = words.gettext
    return {"F": _("female"), "M": _("male"), "O": _("other")}


# attribute by attribute


def told_differences(comparison: Comparison, told: Card, words: Words) -> tuple[Row, ...]:
    """Each attribute that differs, by a name a doctor knows; not what the card says anyway."""
    names = attribute_names(words)
    rows = (
        Row(
            names.get(found.keyword) or _CAPITALS.sub(" ", found.keyword),
            _value(found.keyword, found.first, words),
            _value(found.keyword, found.second, words),
            found.keyword,
            differs=True,
        )
        for found in comparison.attributes
    )
    known = {(row.first, row.second) for row in told.rows if row.differs}
    return tuple(row for row in rows if (row.first, row.second) not in known)


def _value(keyword: str, text: str, words: Words) -> str:
    if not text:
        return "–"
    if keyword.endswith("Date"):
        return words.dicom_date(text)
    if keyword.endswith("Time"):
        return words.dicom_time(text) or text
    return sex_words(words).get(text, text) if keyword == "PatientSex" else text


def told_pixels(pixels: Pixels, words: Words, cut: Cut = Cut.NEITHER) -> str:
    """Whether the pictures themselves are the same."""
    _ = words.gettext
    if cut in (Cut.FIRST, Cut.SECOND):
        return _("One holds only the beginning of the other: nothing that it says is missing there.")
    return {
        Pixels.SAME: _("The picture itself is the same: only what is written about it differs."),
        Pixels.OTHER: _("The picture itself is another one."),
        Pixels.NONE: _("There is no picture in either."),
        Pixels.FIRST_ONLY: _("Only the one that was here first holds a picture."),
        Pixels.SECOND_ONLY: _("Only the one that came later holds a picture."),
        Pixels.UNCOMPARED: _("The pictures themselves were not compared."),
    }[pixels]


def told_rest(comparison: Comparison, words: Words) -> str:
    """What is not told one by one."""
    _ = words.gettext
    said = []
    if not comparison.readable:
        said.append(_("One of them does not read to its end: what it says cannot be laid out here."))
    elif not comparison.attributes and not comparison.more:
        said.append(_("All that is written about them is the same."))
    if comparison.private:
        told = words.ngettext(
            "%(num)s value of the maker's own differs: only the maker knows what it means.",
            "%(num)s values of the maker's own differ: only the maker knows what they mean.",
            comparison.private,
        )
        said.append(told % {"num": words.number(comparison.private)})
    more = comparison.more - comparison.private
    if more > 0:
        told = words.ngettext("%(num)s more differs.", "%(num)s more differ.", more)
        said.append(told % {"num": words.number(more)})
    return " ".join(said)
