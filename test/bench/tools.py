# SPDX-License-Identifier: ISC
"""What the bench drives servers with: the sink, smtp-source of the Postfix
package, our own `load` where smtp-source has no way, and idle connections."""

import shlex
import socket
import ssl
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from pabal import peers, tls, wait

HERE = Path(__file__).resolve().parent
SENDER = "kim@example.kr"
SOURCES = 2  # processes of smtp-source


def compile(folder):
    """sink.c and load.c, into the folder."""
    for name, libraries in (("sink", []), ("load", ["-lssl", "-lcrypto", "-lpthread"])):
        subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-o", folder / name, HERE / f"{name}.c",
                        *libraries], check=True)


@dataclass
class Sent:
    """Of one load: when it began and ended, in seconds, and how many were taken."""
    start: float
    end: float
    count: int


class Failed(Exception):
    """A load that did not go through to its end."""


@dataclass
class Seen:
    messages: int
    distinct: int
    doubled: int
    last: float


class Sink:
    def __init__(self, folder):
        self.port = wait.free_port()
        self.process = subprocess.Popen(
            [folder / "sink", f"127.0.0.1:{self.port}"], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        wait.until_port("127.0.0.1", self.port, b"220")

    def _ask(self, question):
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        row = self.process.stdout.readline().split()
        return Seen(*map(int, row[:3]), int(row[3]) / 1e9)

    def zero(self):
        self._ask("zero")

    def seen(self):
        return self._ask("?")

    def await_messages(self, count, patience):
        """Until that many distinct ones came, or none for `patience` seconds;
        then a moment more, for doubled ones."""
        seen, changed = self.seen(), time.monotonic()
        while seen.distinct < count and time.monotonic() - changed < patience:
            time.sleep(0.05)
            before, seen = seen, self.seen()
            if seen.messages != before.messages:
                changed = time.monotonic()
        time.sleep(0.3)
        return self.seen()

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)


def smtp_source(folder, port, count, *, kept, connections=50, octets=4096, seconds=120):
    """By several processes, since one is soon busy; `count` is rounded up to their
    number. Process K sends to the recipients 1K, 2K, 3K ... (smtp-source -N), read
    as decimal numbers. Ends at the first reply that is not the expected one."""
    each = -(-count // SOURCES)
    rows = []
    for number in range(SOURCES):
        share = connections // SOURCES + (number < connections % SOURCES)
        words = ["/usr/sbin/smtp-source", "-N", "-s", share, "-m", each, "-l", octets,
                 "-f", SENDER, "-t", f"{number}user@remote.example", "-M", "client.example",
                 *(["-d"] if kept else []), f"127.0.0.1:{port}"]
        rows.append(shlex.join(map(str, words)) + f" & p{number}=$!")
    waits = [f"wait $p{number} || exit 1" for number in range(SOURCES)]
    script = "\n".join(["date +%s%N", *rows, *waits, "date +%s%N"])
    out = _run([peers.ENTER, peers.PEERS, folder, "/bin/sh", "-c", script], seconds)
    start, end = map(int, out.split())
    return Sent(start / 1e9, end / 1e9, each * SOURCES)


def submit(folder, port, count, *, password=None, kept=False, connections=50, octets=4096,
           seconds=120):
    """By `load`; with a password: STARTTLS and AUTH. Numbered from 0."""
    words = ["-c", connections, "-n", count, "-l", octets, *(["-k"] if kept else [])]
    if password:
        words += ["-t", "-u", SENDER, "-w", password]
    out = _run([folder / "load", *words, f"127.0.0.1:{port}"], seconds)
    start, end, taken = map(int, out.split())
    if taken != count:
        raise Failed(f"only {taken} of {count} were accepted")
    return Sent(start / 1e9, end / 1e9, taken)


def _run(command, seconds):
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                              timeout=seconds)
    except subprocess.TimeoutExpired:
        raise Failed(f"not done within {seconds:.0f} s") from None
    if done.returncode or (done.stderr and not done.stdout):
        raise Failed(done.stderr.strip()[-300:] or f"exit {done.returncode}")
    return done.stdout


class Idle:
    """Connections that said EHLO (with `secure`: after STARTTLS) and wait."""

    def __init__(self, port, secure=False):
        self.port, self.open = port, []
        self.context = tls.unchecked_context() if secure else None

    def grow(self, count):
        while len(self.open) < count:
            self.open.append(self._connect())

    def _connect(self):
        s = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        _reply(s)
        _ask(s, b"EHLO client.example\r\n")
        if self.context:
            _ask(s, b"STARTTLS\r\n")
            s = self.context.wrap_socket(s)
            _ask(s, b"EHLO client.example\r\n")
        return s

    def close(self):
        for s in self.open:
            try:
                s.close()
            except (OSError, ssl.SSLError):
                pass
        self.open = []


def _ask(s, line):
    s.sendall(line)
    _reply(s)


def _reply(s):
    text = b""
    while not text.endswith(b"\n") or text.splitlines()[-1][3:4] == b"-":
        more = s.recv(4096)
        if not more:
            raise Failed(f"closed after {text!r}")
        text += more
    if text[:1] != b"2":
        raise Failed(text.decode(errors="replace").strip())
