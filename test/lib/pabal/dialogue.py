# SPDX-License-Identifier: ISC
r"""SMTP conversations as text, run against a real server.

    # a comment
    @config NAME            the lines of test/dialogue/NAME.conf are added to the
                            usual configuration
    @server NAME            which listener: mx (the default), submission, submissions
    @source ADDRESS         where the client comes from
    @starttls               STARTTLS and the handshake; not EHLO
    @handshake              only the handshake
    @auth USER PASSWORD     AUTH PLAIN, must be accepted
    @raw "octets\r\n"       sent as they are; \r \n \t \0 \\ \" \xNN; * COUNT repeats
    @closed                 the server ends the connection here
    @silent                 no reply comes (for a moment)
    @connect                a new connection from here on
    C: words                sent with CRLF
    S: words                the next reply; its first line begins so
    S= words                the next reply is this one line
    S+ words                the reply just read has a line that begins so (after the code)
    S- words                it has no such line

The connection is made at the first line that needs one; the banner is a reply
like others and is read by the first S line.
"""

import ast
import re
from pathlib import Path

HEAD = ("@config", "@server", "@source")


class Script:
    """A parsed file: what stands in its head, and its steps."""

    def __init__(self, path):
        self.path = Path(path)
        self.config = None
        self.server = "mx"
        self.source = None
        self.steps = []
        for number, line in enumerate(self.path.read_text().splitlines(), 1):
            if line.strip() and not line.startswith("#"):
                self._add(number, line)

    def _add(self, number, line):
        kind, _, rest = line.partition(" ")
        if kind in HEAD and not self.steps:
            setattr(self, kind[1:], rest.strip())
        elif kind in STEPS:
            self.steps.append((number, kind, rest))
        else:
            raise ValueError(f"{self.path.name}:{number}: unknown line: {line}")


class Run:
    """One conversation of a script with a started server."""

    def __init__(self, script, server):
        self.script, self.server = script, server
        self.client = None
        self.last = None

    def all(self):
        try:
            for number, kind, rest in self.script.steps:
                try:
                    STEPS[kind](self, rest)
                except (AssertionError, OSError) as error:
                    raise AssertionError(
                        f"{self.script.path.name}:{number}: {kind} {rest}\n    {error}") from None
        finally:
            if self.client:
                self.client.close()

    def need(self):
        if not self.client:
            self.client = self.server.client(self.script.server, banner=False,
                                             source=self.script.source)
        return self.client

    def connect(self, _rest):
        if self.client:
            self.client.close()
        self.client = None
        self.need()

    def say(self, rest):
        self.need().send(rest.encode() + b"\r\n")

    def raw(self, rest):
        words, _, count = rest.rpartition(" * ") if re.search(r'" \* \d+$', rest) else (rest, "", 1)
        octets = ast.literal_eval("b" + words)
        self.need().send(octets * int(count))

    def starttls(self, _rest):
        reply = self.need().starttls()
        assert reply.code == 220, reply

    def handshake(self, _rest):
        self.need().wrap()

    def auth(self, rest):
        reply = self.need().auth_plain(*rest.split())
        assert reply.code == 235, reply

    def expect(self, rest):
        self.last = self.need().reply()
        first = self.last.raw.decode("utf-8", "replace").split("\r\n")[0]
        assert first.startswith(rest), f"got: {self.last}"

    def expect_exact(self, rest):
        self.last = self.need().reply()
        assert self.last.raw == rest.encode() + b"\r\n", f"got: {self.last}"

    def has(self, rest):
        assert any(line.startswith(rest) for line in self.last.lines), f"got: {self.last}"

    def has_not(self, rest):
        assert not any(line.startswith(rest) for line in self.last.lines), f"got: {self.last}"

    def closed(self, _rest):
        assert self.need().is_closed(), "the connection is still open"

    def silent(self, _rest):
        assert self.need().nothing_comes(), f"got: {self.client.buffer}"


STEPS = {
    "C:": Run.say, "S:": Run.expect, "S=": Run.expect_exact, "S+": Run.has, "S-": Run.has_not,
    "@raw": Run.raw, "@starttls": Run.starttls, "@handshake": Run.handshake,
    "@auth": Run.auth, "@closed": Run.closed, "@silent": Run.silent, "@connect": Run.connect,
}
