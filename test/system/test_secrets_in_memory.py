# SPDX-License-Identifier: ISC
"""After a login, no process of the server holds the password any more, in clear
or as the client sent it: a core, a swap file or a later bug cannot give it away."""

import base64
import re
import socket
import threading
from pathlib import Path

import pytest

from pabal import server, wait
from test_sources import Source, usual

CANARY = "canary-Zq7vR2tLx9WmK4pB"
ROLES = ["smtpd", "auth", "source", "checker", "queue"]
REGION_MAX = 256 * 1024 * 1024  # larger ones are the sanitizer's own, and sparse


@pytest.fixture
def shared(folder):
    programs = folder / "programs"
    programs.mkdir(mode=0o755)
    return programs


def forms(*texts):
    """Of each text: itself, and what of its base64 does not depend on its place."""
    found = []
    for text in texts:
        octets = text.encode()
        found.append(octets)
        for shift in range(3):
            coded = base64.b64encode(b"\0" * shift + octets)
            found.append(coded[4 if shift else 0:-4])
    return found


def regions(pid):
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        match = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
        if match:
            start, end = (int(word, 16) for word in match.groups())
            if end - start <= REGION_MAX:
                yield start, end, line


def places(pid, needles):
    """Where the memory of a process has one of the needles."""
    found = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for start, end, line in regions(pid):
            try:
                memory.seek(start)
                octets = memory.read(end - start)
            except (OSError, ValueError, OverflowError):
                continue  # given back meanwhile, or no memory
            for needle in needles:
                at = octets.find(needle)
                if at >= 0:
                    found.append((needle, hex(start + at), line.split()[-1],
                                  octets[max(0, at - 48):at + len(needle) + 16]))
    return found


def held(pabal, needles):
    return {(role, pid): found for role in ROLES for pid in pabal.pids(role)
            if (found := places(pid, needles))}


def check_nobody_holds(pabal, needles):
    # What is due at the end of a turn of a loop is done soon.
    try:
        wait.until(lambda: not held(pabal, needles), 10)
    except wait.Late:
        pytest.fail("\n".join(f"{who}: {place}" for who, found in held(pabal, needles).items()
                              for place in found))


def log_in(pabal, name, password, mechanism="plain", code=235):
    with pabal.client("submission") as client:
        client.ehlo()
        assert client.starttls().code == 220
        client.ehlo()
        if mechanism == "plain":
            token = base64.b64encode(f"\0{name}\0{password}".encode()).decode()
            reply = client.command(f"AUTH PLAIN {token}")
        else:
            assert client.command("AUTH LOGIN").code == 334
            assert client.command(base64.b64encode(name.encode()).decode()).code == 334
            reply = client.command(base64.b64encode(password.encode()).decode())
        assert reply.code == code


@pytest.mark.root
def test_the_needle_is_found_where_it_is(start, certificate):
    pabal = start(server.Pabal, certificate=certificate)
    needle = b"mail.example.kr"
    assert places(pabal.pids("smtpd")[0], [needle]), "the search works"


@pytest.mark.root
def test_passwords_of_accounts(start, certificate):
    pabal = start(server.Pabal, certificate=certificate)
    pabal.account("kim@example.kr", CANARY)
    pabal.run("account", "set", "kim@example.kr", "--legacy", "on", input=CANARY + "\n")
    for mechanism in ("plain", "login"):
        log_in(pabal, "kim@example.kr", CANARY, mechanism)
        log_in(pabal, "kim@example.kr", CANARY + "x", mechanism, 535)
    check_nobody_holds(pabal, forms(CANARY))


@pytest.mark.root
def test_a_password_that_comes_octet_by_octet(start, certificate):
    pabal = start(server.Pabal, certificate=certificate)
    pabal.account("kim@example.kr", CANARY)
    token = base64.b64encode(f"\0kim@example.kr\0{CANARY}".encode())
    with pabal.client("submission") as client:
        client.ehlo()
        client.starttls()
        client.ehlo()
        client.send_split(b"AUTH PLAIN " + token + b"\r\n")
        assert client.reply().code == 235
    check_nobody_holds(pabal, forms(CANARY))


@pytest.mark.root
def test_passwords_of_the_checker(start, certificate, shared):
    source = Source(shared, "one", "park", "right", "cache 1h")
    pabal = start(server.Pabal, usual(source.block), certificate=certificate)
    for mechanism in ("plain", "login"):
        log_in(pabal, "park", CANARY, mechanism, 535)
    check_nobody_holds(pabal, forms(CANARY))


class Saslauthd:
    """Says no to everybody, and keeps what it was asked to itself."""

    def __init__(self, folder):
        self.path = Path(folder) / "mux"
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(str(self.path))
        self.path.chmod(0o666)
        self.listening.listen()
        self.asked = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            connection, _ = self.listening.accept()
            with connection:
                for _field in range(4):
                    size = int.from_bytes(self._read(connection, 2), "big")
                    self._read(connection, size)
                self.asked += 1
                connection.sendall(b"\0\2NO")

    @staticmethod
    def _read(connection, size):
        octets = b""
        while len(octets) < size and (more := connection.recv(size - len(octets))):
            octets += more
        return octets


@pytest.mark.root
def test_passwords_of_the_role_source(start, certificate, shared):
    daemon = Saslauthd(shared)
    block = f'source "saslauthd" {{ path "{daemon.path}" }}'
    pabal = start(server.Pabal, usual(block), certificate=certificate)
    for mechanism in ("plain", "login"):
        log_in(pabal, "park", CANARY, mechanism, 535)
    assert daemon.asked and pabal.pids("source")
    check_nobody_holds(pabal, forms(CANARY))
