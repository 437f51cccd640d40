"""Where each protocol usually listens: which one is tried first, never what it is."""

from __future__ import annotations

from typing import Final

WEB_PORTS: Final = frozenset({80, 81, 2375, 3000, 3333, 5000, 8000, 8008, 8042, 8080, 8081, 8088, 8888, 9990})
TLS_PORTS: Final = frozenset({443, 2762, 8443, 8843, 9443})
HL7_PORTS: Final = frozenset({2575, 2576})
"""where HL7 messages are taken (MLLP): connected to, and never spoken to"""
SERVICE_PORTS: Final = {
    5432: "postgres", 5433: "postgres", 3306: "mysql", 6379: "redis", 445: "samba", 139: "samba",
    3389: "rdp", 5900: "vnc", 5901: "vnc",
}  # fmt: skip
