"""The simulated practice behind the real servers, over TLS, for a browser: `python -m tests.web.demo`."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from huisclos.cage.client import Cage, spawn_zygote
from huisclos.web.app import make_app, make_gate_app, make_viewer_app
from huisclos.web.serve import Server
from huisclos.web.site import Origins
from tests import corpus
from tests.web.world import World


@dataclass
class Running:
    """A practice that answers on loopback."""

    world: World
    authority: Path
    http: int
    gate: int
    viewer: int

    @property
    def url(self) -> str:
        """The pages."""
        return f"https://localhost:{self.http}"


def certificates(folder: Path) -> tuple[Path, Path]:
    """A throw-away authority, and a chain and key for loopback signed by it."""
    now = dt.datetime.now(dt.UTC)
    authority_key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "invented authority")])

    def builder(name: str) -> x509.CertificateBuilder:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = x509.CertificateBuilder().issuer_name(issuer).subject_name(subject)
        made = made.serial_number(x509.random_serial_number())
        return made.not_valid_before(now - dt.timedelta(hours=1)).not_valid_after(now + dt.timedelta(days=2))

    authority = (
        builder("invented authority")
        .public_key(authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=True,
                crl_sign=True,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .sign(authority_key, hashes.SHA256())
    )
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    leaf = (
        builder("localhost")
        .public_key(leaf_key.public_key())
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    ca, chain = folder / "ca.pem", folder / "leaf.pem"
    ca.write_bytes(authority.public_bytes(pem))
    plain = serialization.NoEncryption()
    key = leaf_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    chain.write_bytes(leaf.public_bytes(pem) + authority.public_bytes(pem) + key)
    return ca, chain


@asynccontextmanager
async def running(
    folder: Path, *, viewer: Path | None = None, world: World | None = None
) -> AsyncIterator[Running]:
    """The three origins, served on free ports."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    http, gate, view = (sock.getsockname()[1] for sock in sockets)
    origins = Origins(frozenset({"localhost", "127.0.0.1"}), http, gate, view)
    world = world or World()
    world.site = replace(world.site, origins=origins, viewer=viewer)
    authority, chain = certificates(folder)
    world.house.trusted = type(world.house.trusted)(
        authority.read_bytes(), "AB:CD:EF:01:23", ("abeille", "bateau", "cabane"), 4e9
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(chain)
    apps = (make_app(world.site), make_gate_app(world.gate_site), make_viewer_app(world.site))
    servers = [Server(app, [sock], tls, lambda _: True) for app, sock in zip(apps, sockets, strict=True)]
    for server in servers:
        await server.start()
    try:
        yield Running(world, authority, http, gate, view)
    finally:
        for server in servers:
            await server.stop()
        for sock in sockets:
            sock.close()


async def main() -> None:
    """Serve until interrupted; say where, and a session for each role."""
    folder = Path(sys.argv[1])
    viewer = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    _, control = spawn_zygote()
    world = World()
    world.site = world.with_renderer(Cage(control))
    async with running(folder, viewer=viewer, world=world) as house:
        for path in corpus.files():
            try:
                await house.world.put(path.read_bytes())
            except Exception as error:  # noqa: BLE001 - a demonstration shows what it can
                print(path.name, type(error).__name__, file=sys.stderr)
        house.world.furnish()
        print(house.url, house.gate, house.viewer, flush=True)
        for user in house.world.house.user_list.values():
            print(user.role, house.world.house.session_for(user.name), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
