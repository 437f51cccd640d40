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
USUAL_PORTS: Final[tuple[int, ...]] = (
    104,
    11112,
    4242,
    8042,
    443,
    80,
    2762,
    8080,
    5678,
    8443,
    2761,
    3333,
    2375,
)
"""where imaging listens when nobody moved it, the most usual first: a firewall that drops ends it early

What answers there is still told by its protocol."""
DICOM_PORTS: Final = frozenset({104, 11112, 4242, 2762, 5678, 2761})
"""of those, where a modality may listen"""
TOGETHER: Final[dict[int, tuple[int, ...]]] = {
    11112: (8080, 8042),
    8042: (4242,),
    8080: (8443, 11112),
    8443: (8080,),
    5678: (80,),
}
"""what the same product usually opens too: dcm4chee at 11112, 8080 and 8443, Orthanc at 4242 and 8042"""


def after(port: int, waiting: tuple[int, ...]) -> tuple[int, ...]:
    """`waiting`, in its order, but first what belongs to `port`, where somebody answered."""
    first = tuple(one for one in TOGETHER.get(port, ()) if one in waiting)
    return (*first, *(one for one in waiting if one not in first))
