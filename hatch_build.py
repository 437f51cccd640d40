"""Build hook: compiles the translations, so that a wheel of huisclos speaks French without a further step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LOCALES = Path("src/huisclos/web/locale")


class CompileTranslations(BuildHookInterface[Any]):
    """Runs before the wheel's files are gathered, for a plain and for an editable install."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile every catalogue of the source tree that `self.root` holds."""
        compile_catalogues(Path(self.root))


def compile_catalogues(root: Path) -> list[Path]:
    """Write a `.mo` beside each `.po` below `root` whose `.mo` is absent or older; returns those written.

    A translation marked fuzzy is left out: an untranslated sentence is better than a wrong one.
    """
    written = []
    for catalogue in sorted((root / LOCALES).glob("*/LC_MESSAGES/*.po")):
        compiled = catalogue.with_suffix(".mo")
        if compiled.exists() and compiled.stat().st_mtime >= catalogue.stat().st_mtime:
            continue
        with catalogue.open("rb") as source:
            messages = read_po(source, locale=catalogue.parts[-3])
        partial = compiled.with_suffix(".mo.part")
        with partial.open("wb") as target:
            write_mo(target, messages, use_fuzzy=False)
        partial.replace(compiled)
        written.append(compiled)
    return written


if __name__ == "__main__":
    for path in compile_catalogues(Path(__file__).resolve().parent):
        print(path)
