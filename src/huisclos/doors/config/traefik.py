"""Traefik in front of an imaging server: routers in files (YAML, TOML) and in labels of compose services."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from huisclos.doors.config import Setting
from huisclos.doors.config.proxies import PACS

MAX_ROUTERS: Final = 10_000
_KEYS: Final = frozenset(("entryPoints", "accessLog", "providers", "certificatesResolvers"))
_GUARDS: Final = ("basicauth", "digestauth", "forwardauth", "ipallowlist", "ipwhitelist")
_ROUTER: Final = "traefik.http.routers."
_MIDDLEWARE: Final = "traefik.http.middlewares."


def is_traefik(read: Any) -> bool:
    """Whether a document is Traefik's: its static half, or its dynamic one."""
    if not isinstance(read, dict):
        return False
    http = read.get("http")
    return not _KEYS.isdisjoint(read) or (isinstance(http, dict) and "routers" in http)


def judge_traefik(read: Mapping[str, Any]) -> list[Setting]:
    """Routers that lead to images without a login; requests that nobody writes down; an open dashboard."""
    made: list[Setting] = []
    if not _KEYS.isdisjoint(read):
        unlogged = read.get("accessLog", read) is read or read.get("accessLog") is False
        made.append(Setting("access-log", unlogged, count=int(unlogged)))
    http = _dict(read.get("http"))
    services, middlewares = _dict(http.get("services")), _dict(http.get("middlewares"))
    doors = open_ = 0
    for name, given in list(_dict(http.get("routers")).items())[:MAX_ROUTERS]:
        router = _dict(given)
        service = str(router.get("service", ""))
        leads = " ".join((str(name), str(router.get("rule", "")), service, *_servers(services.get(service))))
        if not PACS.search(leads):
            continue
        doors += 1
        open_ += not _guarded(router, middlewares)
    if doors:
        made.append(Setting("proxy", open_ > 0, count=open_))
    return made


def judge_labels(labels: Any) -> Setting | None:
    """The routers that one imaging service of a compose file asks for."""
    read = dict(_labels(labels))
    routers = {key[len(_ROUTER) :].split(".")[0] for key in read if key.startswith(_ROUTER)}
    if not routers or read.get("traefik.enable", "true").lower() == "false":
        return None
    kinds = {
        parts[0]: parts[1].lower()
        for key in read
        if key.startswith(_MIDDLEWARE) and len(parts := key[len(_MIDDLEWARE) :].split(".")) > 1
    }
    open_ = 0
    for router in routers:
        named = read.get(f"{_ROUTER}{router}.middlewares", "").split(",")
        open_ += not any(_asks(one.strip(), kinds.get(_bare(one), "")) for one in named if one.strip())
    return Setting("proxy", open_ > 0, count=open_)


def _guarded(router: Mapping[str, Any], middlewares: Mapping[str, Any]) -> bool:
    named = router.get("middlewares")
    if "tls" in router and isinstance(router["tls"], dict) and "options" in router["tls"]:
        return True  # Client certificates are asked for by named options, which stand elsewhere.
    for one in named if isinstance(named, list) else []:
        kinds = " ".join(_dict(middlewares.get(_bare(str(one))))).lower()
        if _asks(str(one), kinds):
            return True
    return False


def _asks(name: str, kind: str) -> bool:
    """Whether a middleware asks who comes; one that is defined elsewhere is told by its name."""
    return any(one in kind for one in _GUARDS) or (not kind and "auth" in name.lower())


def _bare(name: str) -> str:
    return name.strip().partition("@")[0]


def _servers(service: Any) -> Iterator[str]:
    servers = _dict(_dict(service).get("loadBalancer")).get("servers")
    for one in servers if isinstance(servers, list) else []:
        yield str(_dict(one).get("url", ""))


def _labels(labels: Any) -> Iterator[tuple[str, str]]:
    if isinstance(labels, dict):
        yield from ((str(key).lower(), str(value)) for key, value in labels.items())
    for one in labels if isinstance(labels, list) else []:
        key, _, value = str(one).partition("=")
        yield key.strip().lower(), value.strip()


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
