"""Gather the sentences to translate into each language's catalogue, and say what is left untranslated.

Run from the project's root: `python packaging/translate.py`. English is the language of the source, so only
the others have a catalogue.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from babel.messages.catalog import Message
from babel.messages.pofile import read_po, write_po

ROOT: Final = Path(__file__).resolve().parents[1]
LOCALE: Final = ROOT / "src/huisclos/web/locale"
LANGUAGES: Final = ("fr",)


def main() -> None:
    """Update each catalogue in place; exit 1 when a sentence lacks its translation."""
    with tempfile.TemporaryDirectory() as folder:
        template = str(Path(folder) / "messages.pot")
        layout = ("--omit-header", "--sort-by-file")
        _babel("extract", "--mapping-file=babel.cfg", *layout, f"--output={template}", "src")
        for language in LANGUAGES:
            catalogue = LOCALE / language / "LC_MESSAGES" / "messages.po"
            verb = ("update", "--omit-header", "--no-fuzzy-matching") if catalogue.exists() else ("init",)
            catalogue.parent.mkdir(parents=True, exist_ok=True)
            _babel(*verb, f"--input-file={template}", f"--output-file={catalogue}", f"--locale={language}")
            set_in_type(catalogue, language)
    missing = [sentence for language in LANGUAGES for sentence in untranslated(language)]
    for sentence in missing:
        print(f"untranslated: {sentence}", file=sys.stderr)
    sys.exit(bool(missing))


def set_in_type(catalogue: Path, language: str) -> None:
    """A narrow no-break space before high signs and inside quotes, round apostrophes; unused sentences go."""
    with catalogue.open("rb") as source:
        messages = read_po(source, locale=language)
    for message in messages:
        if message.id and isinstance(message.string, str):
            message.string = _set(message.string)
        elif message.id and message.string:
            message.string = tuple(_set(one) for one in message.string)
    with catalogue.open("wb") as target:
        write_po(target, messages, omit_header=True, ignore_obsolete=True, sort_by_file=True)


def _set(text: str) -> str:
    text = re.sub("[ \u00a0]([;:!?»])", "\u202f\\1", text)
    text = re.sub("«[ \u00a0]", "«\u202f", text)
    return re.sub(r"(?<=\w)'(?=[\w%])", "\u2019", text)


def untranslated(language: str) -> list[str]:
    """The sentences of `language`'s catalogue that have no translation, or only a guess."""
    catalogue = LOCALE / language / "LC_MESSAGES" / "messages.po"
    with catalogue.open("rb") as source:
        messages = read_po(source, locale=language)
    return [str(message.id) for message in messages if message.id and (message.fuzzy or _lacks(message))]


def _lacks(message: Message) -> bool:
    """Whether it has no words, or none for some number."""
    forms = (message.string,) if isinstance(message.string, str) else message.string
    return not all(forms or ("",))


def _babel(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "babel.messages.frontend", *arguments], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
