"""The sentences around the findings, in both languages."""

from __future__ import annotations

from typing import Final

from huisclos.findings.nouns import Language, Reason

OUTSIDE: Final = "BOX-016"
WRITE_TEST: Final = "DCM-012"
_TABLE: Final[dict[str, tuple[str, str]]] = {
    "title": ("Doors", "Portes"),
    "heading": ("The doors of {0}", "Les portes : {0}"),
    "none": ("No open door was found.", "Aucune porte ouverte n'a été trouvée."),
    "one-only-muted": ("The one open door is muted.", "La seule porte ouverte est en sourdine."),
    "many-only-muted": ("All {0} open doors are muted.", "Les {0} portes ouvertes sont toutes en sourdine."),
    "nothing": (
        "Nothing could be tested: this report says neither open nor closed.",
        "Rien n'a pu être testé : ce rapport ne dit ni ouvert, ni fermé.",
    ),
    "one-open": ("One door is open.", "Une porte est ouverte."),
    "many-open": ("{0} doors are open.", "{0} portes sont ouvertes."),
    "one-critical": (
        "{0} doors are open, one of them critical.",
        "{0} portes sont ouvertes, dont une critique.",
    ),
    "many-critical": (
        "{0} doors are open, {1} of them critical.",
        "{0} portes sont ouvertes, dont {1} critiques.",
    ),
    "is-critical": ("One door is open, and it is critical.", "Une porte est ouverte, et elle est critique."),
    "one-looked-at": ("1 file looked at below {1}", "1 fichier examiné sous {1}"),
    "many-looked-at": ("{0} files looked at below {1}", "{0} fichiers examinés sous {1}"),
    "asking": ("asking", "interrogation"),
    "asking-here": ("asking this machine's listeners", "interrogation des services de cette machine"),
    "reading": ("reading", "lecture"),
    "one-untested": ("One question has no answer.", "Une question reste sans réponse."),
    "many-untested": ("{0} questions have no answer.", "{0} questions restent sans réponse."),
    "open": ("Open doors, worst first", "Portes ouvertes, les pires d'abord"),
    "notes": ("Good to know", "Bon à savoir"),
    "untested": ("Could not test", "N'a pas pu être testé"),
    "untested-why": (
        "These may be open or closed: nobody knows.",
        "Ces portes sont peut-être ouvertes, peut-être fermées : on ne le sait pas.",
    ),
    "unknown": ("Nobody knows whether this is so:", "On ne sait pas si c'est le cas :"),
    "muted": ("Muted doors", "Portes mises en sourdine"),
    "muted-why": (
        "They are open, and somebody decided to live with them until a day.",
        "Ces portes sont ouvertes, et quelqu'un a décidé de vivre avec jusqu'à une date.",
    ),
    "closed": ("Closed doors", "Portes fermées"),
    "unchanged": (
        "Nothing opened or closed since the last report.",
        "Rien ne s'est ouvert ni fermé depuis le dernier rapport.",
    ),
    "more": ("and {0} more, further on", "et {0} de plus, plus loin"),
    "tile-critical": ("critical", "critique"),
    "tiles-critical": ("critical", "critiques"),
    "tile-high": ("high", "grave"),
    "tiles-high": ("high", "graves"),
    "tile-medium": ("medium", "moyenne"),
    "tiles-medium": ("medium", "moyennes"),
    "tile-low": ("low", "faible"),
    "tiles-low": ("low", "faibles"),
    "tile-untested": ("could not be tested", "n'a pas pu être testée"),
    "tiles-untested": ("could not be tested", "n'ont pas pu être testées"),
    "tile-muted": ("muted", "en sourdine"),
    "tiles-muted": ("muted", "en sourdine"),
    "tile-closed": ("closed", "fermée"),
    "tiles-closed": ("closed", "fermées"),
    "at-proved": ("Proved on {0}", "Prouvé le {0}"),
    "at-offered": ("Announced by the system itself on {0}", "Annoncé par le système lui-même le {0}"),
    "at-config": ("Read in the settings on {0}", "Lu dans les réglages le {0}"),
    "at-inferred": ("Inferred on {0}, without trying it", "Déduit le {0}, sans l'essayer"),
    "known-since": ("open since {0} at least", "ouverte depuis le {0} au moins"),
    "from-internet": ("within reach of anyone on the Internet", "à la portée de n'importe qui sur Internet"),
    "from-lan": (
        "within reach of anyone on the local network",
        "à la portée de n'importe qui sur le réseau local",
    ),
    "from-loopback": ("within reach of this machine only", "à la portée de cette machine seulement"),
    "decided": ("Decided by {0}, until {1}", "Décidé par {0}, jusqu'au {1}"),
    "refer": (
        (
            "To name a door of this report, such as in an incident: the JSON report, # and its number, "
            "with the report's SHA-256:"
        ),
        (
            "Pour nommer une porte de ce rapport, par exemple dans un incident : le rapport JSON, # et son "
            "numéro, avec le SHA-256 du rapport :"
        ),
    ),
    "record-kept": (
        "Each packet is in a record whose last line has this SHA-256:",
        "Chaque paquet figure dans un registre dont la dernière ligne a ce SHA-256 :",
    ),
    "rescue": (
        "To take these images into a sealed archive",
        "Pour mettre ces images à l'abri dans une archive scellée",
    ),
    "tested-by": ("How it was tested", "Comment c'est testé"),
    "codes": ("As in the JSON", "Comme dans le JSON"),
    "made-by": ("Made by {0}, rules {1}.", "Fait par {0}, règles {1}."),
    "view-from-outside": (
        (
            "from in here nobody sees what the Internet sees: ask the view from outside, "
            "`huisclos doors outside ask`"
        ),
        (
            "d'ici, personne ne voit ce que voit Internet : demandez la vue de l'extérieur, "
            "`huisclos doors outside ask`"
        ),
    ),
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
    "vouched": ("signed by the key {}, named beforehand", "signé par la clé {}, désignée d'avance"),
    "not-vouched": (
        "signed by the key {}, for which nobody vouched",
        "signé par la clé {}, dont personne ne s'est porté garant",
    ),
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
    "unreachable": (
        "nothing answers there: is it on? Ask again when it is",
        "rien ne répond là : est-ce allumé ? Redemandez quand ça l'est",
    ),
    "timed-out": (
        "no answer in time: ask again when it is less busy",
        "pas de réponse à temps : redemandez à une heure plus calme",
    ),
    "protocol": ("it broke the protocol", "il a rompu le protocole"),
    "too-large": ("too large to look at", "trop gros pour être examiné"),
    "unreadable": ("cannot be read", "illisible"),
    "not-identified": ("nothing that we know is there", "rien de ce que nous connaissons ne s'y trouve"),
    "busy": (
        "it takes nobody for now: ask again later",
        "il ne prend personne pour l'instant : redemandez plus tard",
    ),
    "needs-title": (
        "it wants its AE title: give it with `--called`",
        "il exige son titre AE : donnez-le avec `--called`",
    ),
    "turned-away": (
        "it refuses whoever it does not know, before that comes up: its configuration tells",
        "il refuse qui il ne connaît pas, avant que la question se pose : sa configuration le dit",
    ),
    "out-of-scope": ("it led where we may not go", "cela menait où nous n'avons pas le droit d'aller"),
    "budget": ("asked as often as we may", "déjà interrogé autant que permis"),
    "connections": (
        "not asked: one host is connected to only so often in one run; probe this place again by itself",
        "non demandé : un hôte n'est contacté qu'un certain nombre de fois ; interrogez ce point à part",
    ),
    "silent": (
        "not asked: the host left 3 questions without an answer; probe this place by itself, later",
        "non demandé : l'hôte a laissé 3 questions sans réponse ; interrogez ce point à part, plus tard",
    ),
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
        "it has no sure answer: ask its owner, with `huisclos doors box --questions`",
        "elle n'a pas de réponse sûre : demandez à son propriétaire, avec `huisclos doors box --questions`",
    ),
    "no-version": (
        "no version of the program is named there: known faults cannot be looked up",
        "la version du programme n'y est pas nommée : les failles connues ne peuvent être cherchées",
    ),
    "fault": (
        "it failed over the question, which tells nothing: see that it works, then ask again",
        "il a échoué sur la question, ce qui ne dit rien : voyez s'il fonctionne, puis recommencez",
    ),
    "not-deleted": (
        "nothing was stored: where it would be deleted, nobody answers a stranger's look-up",
        "rien n'a été envoyé : là où ce serait effacé, personne ne répond à la recherche d'un inconnu",
    ),
    "not-said": ("it does not say", "il ne le dit pas"),
    "no-gateway": ("this machine is connected to no box", "cette machine n'est reliée à aucune box"),
    "not-asked": ("held back on purpose", "volontairement non posé"),
    "encrypted": ("encrypted", "chiffré"),
    "absent": ("this machine cannot tell", "cette machine ne peut pas le dire"),
    "own-fault": ("a fault of huisclos: please report it", "une faute de huisclos : merci de la signaler"),
    "practice": ("Practice", "Cabinet"),
    "practices": ("Practices, worst first", "Cabinets, les pires d'abord"),
    "to-fix": ("To do at the next visit", "À faire à la prochaine visite"),
    "round": ("The round", "La tournée"),
    "visit": ("Last looked at", "Dernier passage"),
    "changed": ("Since the last visit", "Depuis le dernier passage"),
    "one-opened-since": ("{0} opened", "{0} ouverte"),
    "many-opened-since": ("{0} opened", "{0} ouvertes"),
    "one-closed-since": ("{0} closed", "{0} fermée"),
    "many-closed-since": ("{0} closed", "{0} fermées"),
    "first-visit": ("first visit", "premier passage"),
    "no-change": ("nothing changed", "rien n'a changé"),
    "one-practice": ("One practice.", "Un cabinet."),
    "many-practices": ("{0} practices.", "{0} cabinets."),
    "needed-by": ("Needed by", "Pour"),
    "doors-open": ("open doors", "portes ouvertes"),
    "everything": ("Everything that would be asked there", "Tout ce qui y serait demandé"),
}


def why_unknown(check: str, target: str, reason: Reason | None, language: Language) -> str:
    """Why nobody knows whether a door is open; some reasons are told otherwise of some doors."""
    if reason is None:
        return ""
    if check == OUTSIDE and reason is Reason.NOT_ASKED:
        return word("view-from-outside", language)
    if target == "gateway" and reason is Reason.ABSENT:
        return word("no-gateway", language)
    if check == WRITE_TEST and reason in (Reason.NEEDS_LOGIN, Reason.NOT_TOLD):
        return word("not-deleted", language)
    if reason is Reason.NOT_TOLD and not check.startswith("BOX"):
        return word("not-said", language)
    return word(reason.value, language)


def word(name: str, language: Language, *inner: object) -> str:
    """The sentence `name` in `language`, with what goes into it."""
    text = _TABLE[name][language is Language.FR]
    return text.format(*inner) if inner else text
