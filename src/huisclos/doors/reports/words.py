"""The sentences around the findings, in both languages."""

from __future__ import annotations

from typing import Final

from huisclos.findings.nouns import Language

_TABLE: Final[dict[str, tuple[str, str]]] = {
    "title": ("Doors", "Portes"),
    "none": (
        "No open door was found among those that could be tested.",
        "Aucune porte ouverte parmi celles qui ont pu être testées.",
    ),
    "open": ("Open doors, worst first", "Portes ouvertes, les pires d'abord"),
    "untested": ("Could not test", "N'a pas pu être testé"),
    "untested-why": (
        "These may be open or closed: nobody knows.",
        "Elles sont peut-être ouvertes, peut-être fermées : on ne le sait pas.",
    ),
    "muted": ("Muted doors", "Portes mises en sourdine"),
    "closed": ("Closed doors", "Portes fermées"),
    "opened-since": ("Opened since the last report", "Ouvertes depuis le dernier rapport"),
    "closed-since": ("Closed since the last report", "Fermées depuis le dernier rapport"),
    "fix": ("What to do", "Que faire"),
    "proof": ("Proof", "Preuve"),
    "should": ("Should be", "Devrait être"),
    "texts": ("Law and guides", "Loi et guides"),
    "annex": ("Annex", "Annexe"),
    "check": ("Check", "Contrôle"),
    "target": ("Where", "Où"),
    "severity": ("Severity", "Gravité"),
    "verdict": ("Known by", "Connu par"),
    "reach": ("Reachable from", "Joignable depuis"),
    "evidence": ("Evidence", "Éléments"),
    "reason": ("Reason", "Motif"),
    "seen": ("Seen", "Vu"),
    "since": ("since", "depuis"),
    "until": ("until", "jusqu'au"),
    "made": ("Made", "Fait"),
    "right": ("By what right", "De quel droit"),
    "own": (
        "This machine only: nobody had to be asked.",
        "Cette machine seulement : rien à demander à personne.",
    ),
    "consent": ("consent of", "accord de"),
    "mandate": ("mandate of", "mandat de"),
    "declared": ("declared by", "déclaré par"),
    "kept": (
        "No name, date of birth or identifier of a patient was read for this report, and none is in it.",
        "Ce rapport ne contient aucun nom, date de naissance ni identifiant de patient : aucun n'a été lu.",
    ),
    "not-advice": (
        "The articles show where to look; they are not legal advice.",
        "Les articles indiquent où regarder ; ce n'est pas un conseil juridique.",
    ),
    "critical": ("critical", "critique"),
    "high": ("high", "grave"),
    "medium": ("medium", "moyenne"),
    "low": ("low", "faible"),
    "info": ("for information", "pour information"),
    "proved": ("proved", "prouvé"),
    "offered": ("offered by the server", "offert par le serveur"),
    "config": ("read in the settings", "lu dans les réglages"),
    "inferred": ("inferred", "déduit"),
    "internet": ("the Internet", "Internet"),
    "lan": ("the local network", "le réseau local"),
    "loopback": ("this machine", "cette machine"),
    "unreachable": ("nothing answers there", "rien ne répond là"),
    "timed-out": ("no answer in time", "pas de réponse à temps"),
    "protocol": ("it broke the protocol", "il a rompu le protocole"),
    "too-large": ("too large to look at", "trop gros pour être examiné"),
    "unreadable": ("cannot be read", "illisible"),
    "not-identified": ("nothing known speaks there", "rien de connu ne parle là"),
    "needs-title": (
        "it wants its AE title: give it with --called",
        "il exige son titre AE : donnez-le avec --called",
    ),
    "out-of-scope": ("it led where we may not go", "cela menait où nous n'avons pas le droit d'aller"),
    "budget": ("asked as often as we may", "déjà interrogé autant que permis"),
    "not-ours": (
        "the box let nobody in to show that the address is yours: forward the token's port, then ask again",
        "la box n'a laissé entrer personne pour montrer que l'adresse est vôtre : redirigez le port du jeton",
    ),
    "needs-login": (
        "it tells only whom its owner lets in: see `huisclos doors box --help`",
        "elle ne répond qu'à qui son propriétaire laisse entrer : voir `huisclos doors box --help`",
    ),
    "locked": (
        "the box has locked logins for a while: wait, and do not try again at once",
        "la box a bloqué les connexions pour un moment : attendez, sans réessayer tout de suite",
    ),
    "not-told": (
        "it has no answer to that: ask its owner, with `huisclos doors box --questions`",
        "elle n'a pas de réponse à cela : demandez à son propriétaire, avec `huisclos doors box --questions`",
    ),
    "not-asked": ("held back on purpose", "volontairement non posé"),
    "encrypted": ("encrypted", "chiffré"),
    "absent": ("this machine cannot tell", "cette machine ne peut pas le dire"),
    "own-fault": ("a fault of huisclos: please report it", "une faute de huisclos : merci de la signaler"),
    "practice": ("Practice", "Cabinet"),
    "practices": ("Practices, worst first", "Cabinets, les pires d'abord"),
    "to-fix": ("To do at the next visit", "À faire à la prochaine visite"),
    "doors-open": ("open doors", "portes ouvertes"),
    "everything": ("everything", "tout"),
}


def word(name: str, language: Language) -> str:
    """The sentence `name` in `language`."""
    return _TABLE[name][language is Language.FR]
