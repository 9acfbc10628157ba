# SPDX-License-Identifier: ISC
"""Logins a second on the authentication socket, and what a client of the same server notices of
them. On two processors, whatever the machine has. Also a program:

    logins.py noop ADDRESS PORT SECONDS    # the 99th percentile of a NOOP, in milliseconds
"""

import base64
import hashlib
import hmac
import os
import secrets
import selectors
import socket
import subprocess
import sys
import time

CONNECTIONS = 25
PASSWORD = "correct horse battery"


class Refused(Exception):
    pass


class Connection:
    """One kept connection, one login after the other."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.socket.sendall(b"VERSION\t1\t2\nCPID\t%d\n" % os.getpid())
        self.read = b""
        while b"\nDONE\n" not in self.read:
            self.read += self.socket.recv(65536)
        self.read = b""
        self.id = 0

    def lines(self):
        got = self.socket.recv(65536)
        if not got:
            raise Refused("the server closed the connection")
        *whole, self.read = (self.read + got).split(b"\n")
        return [row.split(b"\t") for row in whole]

    def start(self, mechanism, initial):
        self.id += 1
        self.socket.sendall(b"AUTH\t%d\t%s\tservice=smtp\tsecured\tresp=%s\n" % (
            self.id, mechanism, base64.b64encode(initial)))

    def go_on(self, response):
        self.socket.sendall(b"CONT\t%d\t%s\n" % (self.id, base64.b64encode(response)))


class Plain:
    """PLAIN: one step."""
    mechanism = b"PLAIN"

    def __init__(self, connection, name):
        self.connection = connection
        self.initial = b"\0%s\0%s" % (name.encode(), PASSWORD.encode())

    def begin(self):
        self.connection.start(self.mechanism, self.initial)

    def challenged(self, challenge):
        raise Refused("a challenge")


class Scram(Plain):
    """SCRAM-SHA-256 (RFC 7677). The salted password is kept, as clients do."""
    mechanism = b"SCRAM-SHA-256"

    def __init__(self, connection, name):
        self.connection, self.name, self.keys = connection, name, {}

    def begin(self):
        self.nonce = secrets.token_urlsafe(18)
        self.first = f"n={self.name},r={self.nonce}"
        self.seen_first = False
        self.connection.start(self.mechanism, f"n,,{self.first}".encode())

    def challenged(self, challenge):
        if self.seen_first:  # the server's signature
            self.connection.go_on(b"")
            return
        self.seen_first = True
        server_first = challenge.decode()
        fields = dict(f.split("=", 1) for f in server_first.split(","))
        key = fields["s"], int(fields["i"])
        if key not in self.keys:
            self.keys[key] = hashlib.pbkdf2_hmac(
                "sha256", PASSWORD.encode(), base64.b64decode(key[0]), key[1])
        client_key = hmac.digest(self.keys[key], b"Client Key", "sha256")
        bare = f"c=biws,r={fields['r']}"
        signed = f"{self.first},{server_first},{bare}".encode()
        signature = hmac.digest(hashlib.sha256(client_key).digest(), signed, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature))
        self.connection.go_on(f"{bare},p={base64.b64encode(proof).decode()}".encode())


def rate(path, kind, names, seconds):
    """Right logins a second over kept connections, one at a time on each."""
    chooser = selectors.DefaultSelector()
    dialogues = []
    for i in range(CONNECTIONS):
        connection = Connection(path)
        dialogues.append(kind(connection, names[i % len(names)]))
        chooser.register(connection.socket, selectors.EVENT_READ, dialogues[-1])
    right, began = 0, time.monotonic()
    for d in dialogues:
        d.begin()
    while (now := time.monotonic()) < began + seconds:
        for key, _ in chooser.select(began + seconds - now):
            for row in key.data.connection.lines():
                if row[0] == b"CONT":
                    key.data.challenged(base64.b64decode(row[2]))
                elif row[0] == b"OK":
                    right += 1
                    key.data.begin()
                elif row[0] == b"FAIL":
                    raise Refused(b" ".join(row).decode(errors="replace"))
    for d in dialogues:
        d.connection.socket.close()
    return right / (time.monotonic() - began)


class Noops:
    """Another client, meanwhile: a process of its own."""

    def __init__(self, address, port, seconds):
        self.process = subprocess.Popen(
            [sys.executable, __file__, "noop", address, str(port), str(seconds)],
            stdout=subprocess.PIPE, text=True)

    def worst(self):
        """The 99th percentile, milliseconds."""
        return float(self.process.communicate()[0])


def noop(address, port, seconds):
    times, end = [], time.monotonic() + seconds
    with socket.create_connection((address, port)) as s:
        s.recv(1000)
        while time.monotonic() < end:
            began = time.monotonic()
            s.sendall(b"NOOP\r\n")
            s.recv(1000)
            times.append(time.monotonic() - began)
            time.sleep(0.002)
        s.sendall(b"QUIT\r\n")
    return sorted(times)[int(len(times) * 0.99)] * 1000


if __name__ == "__main__":
    print(noop(sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
