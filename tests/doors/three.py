"""Make the three reports that are looked at page by page, on real targets in namespaces of their own.

`python -m tests.doors.three FOLDER` as root: a home practice (miniupnpd, Debian's Orthanc as it comes, images
on its disk, and a Livebox imitated from its documents), a clinic under a mandate, and a house of our own that
is served. Each in French and English, as JSON, HTML, PDF, SARIF and CSV. Invented people only.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from tests.doors.boxes import PASSWORD, Livebox, livebox_forward, served
from tests.doors.test_rest import encode, image
from tests.peers.house import huisclos, make_archive
from tests.peers.house import program as huisclos_program
from tests.tools import program

BOX, HOME, AUDITOR, CLINIC = "hc3-box", "hc3-home", "hc3-auditor", "hc3-clinic"
LANGUAGES: Final = ("fr", "en")
FACES: Final = ("json", "html", "pdf", "sarif", "csv")
HIDDEN: Final = (
    "/etc/nginx", "/etc/samba", "/etc/apache2", "/var/lib/orthanc", "/var/lib/dcmtk", "/var/log/orthanc",
    "/var/log/nginx", "/var/log/apache2",
)  # fmt: skip
"""what this machine has of its own, and the practice has not"""
MUTES: Final = """[[mute]]
check = "DCM-001"
target = "10.20.0.30:*"
reason = "L'échographe est seul sur son réseau"
author = "C. Durand, responsable informatique"
until = "2027-06-30"
"""
TABLES: Final = "".join(
    f"table inet {name} {{\nchain forward {{ type filter hook forward priority 0; jump miniupnpd; }}\n"
    "chain miniupnpd { }\nchain prerouting_miniupnpd { }\nchain postrouting_miniupnpd { }\n"
    "chain prerouting { type nat hook prerouting priority -100; jump prerouting_miniupnpd; }\n"
    "chain postrouting { type nat hook postrouting priority 100; jump postrouting_miniupnpd; }\n}\n"
    for name in ("filter", "miniupnpd")
)


FILTER: Final = (
    "table inet filter {\n chain input { type filter hook input priority 0; policy drop;\n"
    '  iif "lo" accept; ct state established,related accept;\n'
    "  ip saddr 192.168.1.0/24 tcp dport { 8443, 11112 } accept;\n }\n}\n"
)


def run(*command: str, check: bool = True) -> str:
    """What a command says."""
    return subprocess.run(command, check=check, capture_output=True, text=True, timeout=300).stdout


def inside(name: str, *command: str) -> list[str]:
    """A command in a namespace."""
    return ["ip", "netns", "exec", name, *command]


@contextmanager
def joined(one: str, ones: Sequence[str], other: str, others: Sequence[str]) -> Iterator[None]:
    """Two namespaces, a cable between them, and the addresses of each."""
    for name in (one, other):
        run("ip", "netns", "del", name, check=False)
        run("ip", "netns", "add", name)
    try:
        run(*f"ip link add hc3a netns {one} type veth peer name hc3b netns {other}".split())
        for name, device, addresses in ((one, "hc3a", ones), (other, "hc3b", others)):
            for address in addresses:
                run(*f"ip -n {name} addr add {address}/24 dev {device}".split())
            for link in ("lo", device):
                run(*f"ip -n {name} link set {link} up".split())
        yield
    finally:
        for name in (one, other):
            run("ip", "netns", "del", name, check=False)


@contextmanager
def running(name: str, *command: str, seconds: float = 2.0) -> Iterator[None]:
    """A program in a namespace, until the end."""
    process = subprocess.Popen(
        inside(name, *command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        time.sleep(seconds)
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def faces(folder: Path, name: str, language: str) -> list[str]:
    """The options that write every face of a report."""
    files = [part for face in FACES for part in (f"--{face}", str(folder / f"{name}.{language}.{face}"))]
    return [*files, "--lang", language]


def told(command: Sequence[str]) -> None:
    """Run a command of the doors; its exit code and first words on stderr."""
    ran = subprocess.run(list(command), check=False, capture_output=True, text=True, timeout=300)
    print(f"exit {ran.returncode}", ran.stderr[-300:], file=sys.stderr)


# A home practice.


def home(folder: Path, work: Path) -> None:
    """A forwarded port, Orthanc as Debian installs it, images in clear among the downloads."""
    images = work / "cabinet" / "Téléchargements"
    images.mkdir(parents=True)
    for number in range(12):
        made = image(f"INVENTÉ^P{number % 4}", f"P{number % 4}", f"20{15 + number % 5}0203")
        (images / f"{number}.dcm").write_bytes(encode(made))
    with joined(BOX, ["192.168.1.1"], HOME, ["192.168.1.20"]), ExitStack() as stack:
        run(*f"ip -n {HOME} route add default via 192.168.1.1".split())
        for line in ("link add hc3w type veth peer name hc3x", "addr add 203.0.113.1/24 dev hc3w",
                     "link set hc3w up", "link set hc3x up"):  # fmt: skip
            run(*f"ip -n {BOX} {line}".split())
        (work / "tables").write_text(TABLES)
        run(*inside(BOX, "nft", "-f", str(work / "tables")))
        (work / "box.conf").write_text(
            "ext_ifname=hc3w\nlistening_ip=hc3a\nport=5555\nenable_natpmp=yes\nenable_upnp=yes\n"
            "secure_mode=no\next_ip=9.9.9.9\nuuid=00000000-0000-0000-0000-000000000001\n"
            "allow 1024-65535 0.0.0.0/0 1024-65535\n"
        )
        daemon = ("miniupnpd", "-d", "-P", str(work / "pid"), "-f", str(work / "box.conf"))
        stack.enter_context(running(BOX, *daemon))
        to = (
            "upnpc",
            "-u",
            "http://192.168.1.1:5555/rootDesc.xml",
            "-a",
            "192.168.1.20",
            "4242",
            "4242",
            "tcp",
        )
        run(*inside(HOME, *to))
        lines = [mounts(work), "Orthanc /etc/orthanc > /dev/null 2>&1 & orthanc=$!", "sleep 4"]
        lines.append(f"storescu -nh +sd 127.0.0.1 4242 {shlex.quote(str(images))} > /dev/null 2>&1")
        for language in LANGUAGES:
            site = "Cabinet du Dr Inventé" if language == "fr" else "Dr Inventé's practice"
            lines.append(shlex.join(
                [huisclos_program(), "doors", "check", "--site", site, *faces(folder, "home", language)]
            ))  # fmt: skip
        lines.append("kill $orthanc; wait")
        script(HOME, lines)


def mounts(work: Path) -> str:
    """Hide what this machine has of its own, and give the practice a home."""
    hidden = " ".join(HIDDEN)
    return (
        f"for one in {hidden}; do [ -d $one ] && mount -t tmpfs none $one; done\n"
        "mount -t tmpfs none /home && mkdir /home/cabinet\n"
        f"mount --bind {shlex.quote(str(work / 'cabinet'))} /home/cabinet\n"
        "export HOME=/home/cabinet LANG=C.UTF-8"
    )


def script(name: str, lines: Sequence[str]) -> None:
    """Lines of shell in a namespace, with mounts that nobody else sees."""
    told(inside(name, "unshare", "-m", "sh", "-c", "\n".join(lines)))


def box(folder: Path) -> None:
    """A Livebox with a forward, a DMZ and no firewall over IPv6."""
    livebox = Livebox(
        forwards={"a": livebox_forward("4242", "4242")},
        dmz={"webui": {"DestinationIPAddress": "192.168.1.42", "Enable": True}},
        six="Low",
        upnp=True,
        remote=True,
    )
    os.environ["HUISCLOS_BOX_PASSWORD"] = PASSWORD
    with served(livebox) as (port, _):
        for language in LANGUAGES:
            told(
                [huisclos_program(), "doors", "box", "--kind", "livebox", "--address", f"127.0.0.1:{port}",
                 "--consent", "A. Martin, propriétaire", "--site", "Cabinet", *faces(folder, "box", language)]
            )  # fmt: skip


# A clinic.


def clinic(folder: Path, work: Path) -> None:
    """Five machines under a mandate; what changed since the last visit; one door muted."""
    hosts = [f"10.20.0.{number}" for number in (10, 20, 30, 40)]
    key, mandate = work / "owner.key", work / "mandate.json"
    huisclos(
        "doors", "mandate", "new", str(mandate), "--owner", "C. Durand, directrice",
        "--contact", "01 00 00 00 00",
        "--auditor", "B. Petit", "--basis", "contrat 12", "--target", "10.20.0.0/24", "--until", "2030-01-31",
    )  # fmt: skip
    huisclos("doors", "mandate", "sign", str(mandate), "--key", str(key))
    (work / "mutes.toml").write_text(MUTES)
    targets = [
        "10.20.0.10:4242", "http://10.20.0.10:8042", "https://10.20.0.20", "10.20.0.20:11112",
        "10.20.0.30:11112", "10.20.0.40:445", "10.20.0.50:104",
    ]  # fmt: skip
    ask = [
        huisclos_program(),
        "doors",
        "probe",
        *targets,
        "--mandate",
        str(mandate),
        "--mutes",
        str(work / "mutes.toml"),
    ]
    with joined(AUDITOR, ["10.20.0.2"], CLINIC, hosts):
        with running(CLINIC, *orthanc(work, login=True)), running(CLINIC, *nginx(work, login="")):
            receiver = (program("storescp"), "--disable-host-lookup", "--ignore", "11112")
            with running(CLINIC, *receiver):
                told(inside(AUDITOR, *ask, "--json", str(work / "before.json"), "--lang", "fr"))
        with ExitStack() as stack:
            login = f'auth_basic "images"; auth_basic_user_file {work}/users;'
            for server in (orthanc(work, login=True), nginx(work, login=login), archive(work), samba(work)):
                stack.enter_context(running(CLINIC, *server))
            for language in LANGUAGES:
                site = "Clinique des Lilas" if language == "fr" else "Lilac Clinic"
                more = ["--baseline", str(work / "before.json"), "--site", site]
                told(inside(AUDITOR, *ask, *more, *faces(folder, "clinic", language)))


def orthanc(work: Path, *, login: bool) -> list[str]:
    """Debian's, open to the network, with a login over HTTP and none over DICOM."""
    (work / "store").mkdir(exist_ok=True)
    settings = {
        "Name": "PACS", "StorageDirectory": f"{work}/store", "IndexDirectory": f"{work}/store",
        "DicomPort": 4242, "HttpPort": 8042, "RemoteAccessAllowed": True, "AuthenticationEnabled": login,
        "RegisteredUsers": {"radiologie": "an-invented-password"}, "DicomAlwaysAllowFind": True,
        "Plugins": ["/usr/share/orthanc/plugins/libOrthancDicomWeb.so"],
    }  # fmt: skip
    (work / "orthanc.json").write_text(json.dumps(settings))
    return [program("Orthanc"), str(work / "orthanc.json")]


def nginx(work: Path, *, login: str) -> list[str]:
    """In front of Orthanc, with a certificate of its own; asking at / and not at /dicom-web."""
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "90",
        "-subj", "/CN=pacs.invalid", "-keyout", f"{work}/key.pem", "-out", f"{work}/cert.pem")  # fmt: skip
    (work / "users").write_text("a:{PLAIN}b\n")
    basic = base64.b64encode(b"radiologie:an-invented-password").decode()
    to = f"proxy_pass http://10.20.0.10:8042; proxy_set_header Authorization 'Basic {basic}';"
    (work / "nginx.conf").write_text(
        f"daemon off; pid {work}/pid; error_log {work}/error.log; events {{}}\n"
        f"http {{ access_log off; client_body_temp_path {work}/b; proxy_temp_path {work}/p;\n"
        f"fastcgi_temp_path {work}/f; uwsgi_temp_path {work}/u; scgi_temp_path {work}/s;\n"
        f"server {{ listen 10.20.0.20:443 ssl; ssl_certificate {work}/cert.pem;\n"
        f"ssl_certificate_key {work}/key.pem; location / {{ {login} {to} }}\n"
        f"location /dicom-web/ {{ {to} }} }} }}\n"
    )
    return [program("nginx"), "-p", str(work), "-c", str(work / "nginx.conf")]


def archive(work: Path) -> list[str]:
    """DCMTK's archive, which wants to be called by its title."""
    (work / "qr").mkdir(exist_ok=True)
    (work / "dcmqrscp.cfg").write_text(
        "NetworkTCPPort = 11112\nMaxPDUSize = 16384\nMaxAssociations = 16\nHostTable BEGIN\nHostTable END\n"
        f"VendorTable BEGIN\nVendorTable END\nAETable BEGIN\nECHO {work}/qr RW (9, 1024mb) ANY\nAETable END\n"
    )
    return [program("dcmqrscp"), "-c", str(work / "dcmqrscp.cfg")]


def samba(work: Path) -> list[str]:
    """A share that takes guests."""
    (work / "share").mkdir(exist_ok=True)
    (work / "smb").mkdir(exist_ok=True)
    (work / "smb.conf").write_text(
        "[global]\nserver role = standalone\nmap to guest = Bad User\ninterfaces = 10.20.0.40/24\n"
        "bind interfaces only = yes\nsmb ports = 445\nload printers = no\n"
        + "".join(f"{one} = {work}/smb\n" for one in ("private dir", "lock directory", "state directory",
                                                      "cache directory", "pid directory", "ncalrpc dir"))
        + f"[images]\npath = {work}/share\nguest ok = yes\n"
    )  # fmt: skip
    return [program("smbd"), "--foreground", "--no-process-group", f"--configfile={work}/smb.conf"]


# A clean house.


def clean(folder: Path, work: Path) -> None:
    """Our own, served to its network."""
    (work / "cabinet").mkdir(exist_ok=True)
    kept = Path(tempfile.mkdtemp(prefix="hc3"))
    try:
        house, secrets = make_archive(kept)
        ports = {"http": 8443, "gate": 8444, "viewer": 8445, "dicom": 11112, "dicom-tls": 2762}
        serve = [huisclos_program(), "serve", str(house), "--unlock-with", f"file:{secrets / 'passphrase'}"]
        serve += [part for name, port in ports.items() for part in (f"--{name}", f"192.168.1.20:{port}")]
        with joined(BOX, ["192.168.1.1"], HOME, ["192.168.1.20"]), running(HOME, *serve, seconds=12):
            (work / "filter").write_text(FILTER)
            run(*inside(HOME, "nft", "-f", str(work / "filter")))
            # Nothing can be said of the disk there: whether it is encrypted is not the house's doing.
            lines = [
                mounts(work),
                "mount -t tmpfs none /home/cabinet",
                "mount -t tmpfs none /etc/orthanc",
                "mount -t tmpfs none /var/lib/dpkg",
            ]
            for language in LANGUAGES:
                site = "Cabinet des Tilleuls" if language == "fr" else "Linden practice"
                lines.append(shlex.join(
                    [huisclos_program(), "doors", "check", str(house), "--no-box", "--site", site,
                     *faces(folder, "clean", language)]
                ))  # fmt: skip
            script(HOME, lines)
    finally:
        shutil.rmtree(kept, ignore_errors=True)


MADE: Final = ("home", "box", "clinic", "clean")


def main() -> int:
    """Make what is named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=MADE, action="append")
    given = parser.parse_args()
    folder = given.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("LANG", "C.UTF-8")
    for name in given.only or MADE:
        with tempfile.TemporaryDirectory(prefix="hc3", ignore_cleanup_errors=True) as work:
            Path(work).chmod(0o755)
            print(name, file=sys.stderr)
            {"home": home, "clinic": clinic, "clean": clean}.get(name, lambda made, _: box(made))(
                folder, Path(work)
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
