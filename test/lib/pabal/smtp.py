# SPDX-License-Identifier: ISC
"""A raw SMTP client: what it is told to send is what is on the wire, octet by
octet, in the packets that were asked for. It never repairs anything."""

import base64
import socket
import ssl
import time

from . import tls


class Closed(AssertionError):
    """The server ended the connection where a reply was awaited."""


class Reply:
    """One reply: `code` (int), `lines` (texts without codes), `raw` (octets)."""

    def __init__(self, raw):
        self.raw = raw
        rows = raw.decode("utf-8", "surrogateescape").split("\r\n")[:-1]
        self.code = int(rows[-1][:3])
        self.lines = [row[4:] for row in rows]

    @property
    def text(self):
        return "\n".join(self.lines)

    @property
    def enhanced(self):
        """The enhanced status code, "5.7.1", or ""."""
        word = self.lines[0].split(" ")[0]
        return word if word.count(".") == 2 else ""

    def __repr__(self):
        return self.raw.decode("utf-8", "replace").strip()


IPV6_FREEBIND = 78  # of the system's headers, which the module socket lacks


def _connect(address, port, timeout, source):
    if not source or ":" not in source:
        return socket.create_connection((address, port), timeout, (source, 0) if source else None)
    # A route says that the range is ours (test/lib/enter-network); bind() looks for an address.
    connection = socket.socket(socket.AF_INET6)
    connection.settimeout(timeout)
    connection.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
    connection.bind((source, 0))
    connection.connect((address, port))
    return connection


class Client:
    """Connects at once; `reply` of the banner is in `self.banner`.

    `tls_context` with `implicit=True` is TLS from the first octet. `source` is
    the address to come from. Works for LMTP, too."""

    def __init__(self, address, port=None, *, tls_context=None, implicit=False,
                 hostname="mail.example.kr", source=None, timeout=20, banner=True):
        self.hostname = hostname
        self.buffer = b""
        self.extensions = {}
        if port is None:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.socket.connect(str(address))
        else:
            self.socket = _connect(address, port, timeout, source)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if implicit:
            self.wrap(tls_context)
        self.banner = self.reply() if banner else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- octets

    def send(self, octets):
        self.socket.sendall(octets)

    def send_split(self, octets, size=1, pause=0):
        """In packets of `size` octets: each goes out before the next is given."""
        for at in range(0, len(octets), size):
            self.socket.sendall(octets[at:at + size])
            if pause:
                time.sleep(pause)

    def reply(self):
        raw = b""
        while True:
            line = self._line()
            if len(line) < 5 or not line[:3].isdigit() or line[3:4] not in (b" ", b"-"):
                if not (line[:3].isdigit() and line[3:] == b"\r\n"):
                    raise AssertionError(f"not a reply line: {line!r} after {raw!r}")
            raw += line
            if line[3:4] != b"-":
                return Reply(raw)

    def _line(self):
        while b"\n" not in self.buffer:
            got = self.socket.recv(65536)
            if not got:
                raise Closed(f"closed by the server after {self.buffer!r}")
            self.buffer += got
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line + b"\n"

    def is_closed(self):
        """Awaits the end of the connection; False when more octets come."""
        try:
            return not self.buffer and self.socket.recv(1) == b""
        except (ConnectionResetError, ssl.SSLError):
            return True

    def nothing_comes(self, seconds=0.3):
        """For tests of a missing answer: true when the server stays silent."""
        if self.buffer:
            return False
        before = self.socket.gettimeout()
        self.socket.settimeout(seconds)
        try:
            self.buffer += self.socket.recv(65536)
            return False
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(before)

    def close(self):
        self.socket.close()

    # ---- commands

    def command(self, line):
        self.send((line if isinstance(line, bytes) else line.encode()) + b"\r\n")
        return self.reply()

    def ehlo(self, name="client.example", verb="EHLO"):
        reply = self.command(f"{verb} {name}")
        if reply.code == 250:
            words = [line.split(" ", 1) for line in reply.lines[1:]]
            self.extensions = {w[0].upper(): (w[1] if len(w) > 1 else "") for w in words}
        return reply

    def starttls(self, context=None):
        reply = self.command("STARTTLS")
        if reply.code == 220:
            self.wrap(context)
        return reply

    def wrap(self, context=None):
        """The handshake alone."""
        context = context or tls.unchecked_context()
        self.socket = context.wrap_socket(self.socket, server_hostname=self.hostname)

    def auth_plain(self, user, password, authzid=""):
        words = "\0".join((authzid, user, password)).encode()
        return self.command(b"AUTH PLAIN " + base64.b64encode(words))

    def auth_login(self, user, password):
        reply = self.command("AUTH LOGIN")
        for word in (user, password):
            if reply.code != 334:
                return reply
            reply = self.command(base64.b64encode(word.encode()))
        return reply

    def mail(self, sender, parameters=""):
        return self.command(f"MAIL FROM:<{sender}> {parameters}".rstrip())

    def rcpt(self, recipient, parameters=""):
        return self.command(f"RCPT TO:<{recipient}> {parameters}".rstrip())

    def data(self, body, end=b"\r\n.\r\n"):
        """`body` as it is, without dot stuffing, and `end` after it."""
        reply = self.command("DATA")
        if reply.code != 354:
            return reply
        self.send(body + end)
        return self.reply()

    def bdat(self, chunk, last=True):
        self.send(b"BDAT %d%s\r\n" % (len(chunk), b" LAST" if last else b"") + chunk)
        return self.reply()

    def deliver(self, sender, recipients, body):
        """One whole message; the first reply that refuses, or the last one."""
        recipients = [recipients] if isinstance(recipients, str) else recipients
        replies = [self.mail(sender)]
        replies += [self.rcpt(r) for r in recipients if replies[-1].code < 400]
        if replies[-1].code >= 400:
            return replies[-1]
        return self.data(stuff(body))

    def quit(self):
        reply = self.command("QUIT")
        self.close()
        return reply


def stuff(body):
    """Dot stuffing, for text with CRLF line ends; the last CRLF is left to
    the end mark."""
    body = body if isinstance(body, bytes) else body.encode()
    body = body.replace(b"\r\n.", b"\r\n..")
    if body.startswith(b"."):
        body = b"." + body
    return body[:-2] if body.endswith(b"\r\n") else body


def text_message(sender="kim@example.kr", recipient="lee@example.kr", subject="a test",
                 text="Hello.\r\n", message_id=None, extra=""):
    """A small well-formed message."""
    message_id = message_id or f"<{time.time_ns()}.{id(text)}@client.example>"
    return (f"From: {sender}\r\nTo: {recipient}\r\nSubject: {subject}\r\n"
            f"Date: Fri, 21 Nov 2025 10:00:00 +0900\r\nMessage-ID: {message_id}\r\n{extra}"
            f"\r\n{text}").encode()
