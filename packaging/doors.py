"""Write docs/reference/doors.en.md and doors.fr.md from the catalogue, and the report's JSON Schema.

Run from the project's root: `python packaging/doors.py`; with `--check`, write nothing and exit 1 when a
document is not what the catalogue says.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

import msgspec

from huisclos.doors.catalogue import Check, catalogue
from huisclos.doors.reports.words import word
from huisclos.doors.rules import ALL, RULES
from huisclos.findings.frameworks import cited
from huisclos.findings.nouns import Language, Verdict
from huisclos.findings.report import SCHEMA, Report

FOLDER: Final = Path(__file__).resolve().parents[1] / "docs" / "reference"
HEADS: Final = {
    Language.EN: """# The doors

Made from the catalogue by `packaging/doors.py`: {count} checks, rules {rules}. Severity is the one for a door
that a local network can reach: one step worse from the Internet, one milder from the machine alone.
""",
    Language.FR: """# Les portes

Fait à partir du catalogue par `packaging/doors.py` : {count} contrôles, règles {rules}. La gravité est celle
d'une porte qu'un réseau local peut atteindre : un cran de plus depuis Internet, un de moins depuis la
machine seule.
""",
}
WORDS: Final = {
    Language.EN: {
        "test": "How it is tested",
        "should": "Closed means",
        "fix": "How to close it",
        "known": "Known by",
        "texts": "Law and guides",
        "recorded": "Tested on answers recorded or emulated from its documents.",
        "untried": "Not tested on anything yet: built from the documents alone.",
    },
    Language.FR: {
        "test": "Comment c'est testé",
        "should": "Fermée veut dire",
        "fix": "Comment la fermer",
        "known": "Connu par",
        "texts": "Loi et guides",
        "recorded": "Testé sur des réponses enregistrées ou imitées de sa documentation.",
        "untried": "Pas encore testé : construit d'après la documentation seule.",
    },
}


def main() -> int:
    """Write the documents, or compare them."""
    stale = False
    files = {f"doors.{language.value}.md": document(language) for language in Language}
    files["doors-report.schema.json"] = schema()
    for name, made in files.items():
        path = FOLDER / name
        if "--check" in sys.argv[1:]:
            stale |= not path.exists() or path.read_text(encoding="utf-8") != made
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(made, encoding="utf-8")
    return int(stale)


def document(language: Language) -> str:
    """The page of every check, in `language`."""
    head, words = HEADS[language], WORDS[language]
    checks = catalogue().values()
    out = [head.format(count=len(checks), rules=RULES)]
    out += [_entry(check, language, words) for check in checks]
    return "\n".join(out)


def schema() -> str:
    """The report's JSON Schema, from the types that write it: fields may be added under the same number."""
    made = msgspec.json.schema(Report)
    report = made["$defs"]["Report"]
    report["properties"]["schema"] = {"const": SCHEMA}
    report["required"] = list(report["properties"])
    about = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{SCHEMA.replace('/', ':')}",
        "title": "A report of huisclos doors",
    }
    return json.dumps(about | made, indent=1, ensure_ascii=False) + "\n"


def _entry(check: Check, language: Language, words: dict[str, str]) -> str:
    known = sorted({rule.verdict for rule in ALL if rule.check == check.id}, key=lambda one: one.rank)
    texts = "; ".join(f"{one.framework} {one.item}" for one in cited(check.id, check.areas, language))
    lines = [
        f"## {check.id}\n",
        f"**{check.title.in_(language)}.** ({word(check.severity.value, language)})\n",
        f"- {words['test']}: {_closed(check.test.in_(language))}",
        f"- {words['known']}: {', '.join(word(one.value, language) for one in known or [Verdict.PROVED])}",
        f"- {words['should']}: {_closed(check.should.in_(language))}",
        f"- {words['fix']}: {_closed(check.fix.in_(language))}",
        f"- {words['texts']}: {texts}",
    ]
    if check.on != "real":
        lines.append(f"- {words[check.on]}")
    return "\n".join(lines) + "\n"


def _closed(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


if __name__ == "__main__":
    sys.exit(main())
