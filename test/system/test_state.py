# SPDX-License-Identifier: ISC
"""After each command, done, failed or cut off, each next one is answered as
RFC 5321 says. A model says what is to be expected; the tables are made from it."""

import base64
import re
import socket
import struct

import pytest

from pabal import server, smtp

CONFIG = re.sub(r"(?m)^server .*\n", "", server.USUAL) + """\
limits { connections-address 2000 connections-network 2000 hops 3 }
max-errors 100000
route "elsewhere.test" { smtp "[127.0.0.1]:1" }
max-messages 1000000
server "mx" { listen "$listen_mx" }
server "offer" { auth offer listen "$listen_now" tls implicit listen "$listen_offer" }
"""

LOGIN = base64.b64encode(b"\0kim@example.kr\0secret").decode()
UNSURE = (250, 503)  # RFC 3030 2: DATA after BDAT leaves a state that nobody may count on


class Model:
    """What a session remembers, and what each command does to it."""

    def __init__(self, login=False, offered=False):
        self.helo = self.mail = self.bdat = self.unsure = False
        self.login, self.offered = login, offered  # AUTH
        self.recipients = []
        self.taken = []      # whom a message is for that got its 250

    def reset(self):
        self.mail = self.bdat = self.unsure = False
        self.recipients = []

    def take(self):
        self.taken += set(self.recipients)
        self.reset()
        return 250


# Each gives the replies that it must have, a code or a set of them.
def greet(m):
    m.helo = True
    m.reset()
    return [250]


def rset(m):
    m.reset()
    return [250]


def always(*codes):
    return lambda m: list(codes)


def mail(code):
    def run(m):
        if not m.helo or m.mail:
            return [503]
        m.mail = code == 250
        return [code]
    return run


def null_sender(m):
    """Who logged in sends as somebody; reports come from servers."""
    return mail(553 if m.login else 250)(m)


def rcpt(code, who=None):
    def run(m):
        if m.unsure:
            return [UNSURE]
        if not m.mail or m.bdat:
            return [503]
        if who:
            m.recipients.append(who)
        return [code]
    return run


def relay(m):
    return rcpt(250, "elsewhere")(m) if m.login else rcpt(550)(m)


def data(code, lines=1):
    """With a body of so many lines and the dot: no commands, where there is no 354."""
    def run(m):
        if m.bdat or m.unsure:
            m.reset()
            m.unsure = True
            return [503] + [500] * (lines + 1)
        if not m.recipients:
            return [503 if not m.mail else (503, 554)] + [500] * (lines + 1)
        if code == 250:
            return [354, m.take()]
        m.reset()
        return [354, code]
    return run


def bdat(code, last):
    """A chunk is read whatever is said about it, and one that is refused ends all."""
    def run(m):
        if not m.recipients:
            refusal = 503 if not m.mail else (503, 554)
            m.reset()
            return [refusal]
        if code != 250:
            m.reset()
            return [code]
        if last:
            return [m.take()]
        m.bdat = True
        return [250]
    return run


def auth(*codes):
    """The codes of an exchange that is begun; lines that follow its refusal are commands."""
    def run(m):
        if not m.helo or m.mail or m.login or not m.offered:
            refusal = 503 if not m.helo or m.mail or m.login else 502
            return [refusal] + [500] * (len(codes) - 1)
        if codes[-1] == 235:
            m.login = True
        return list(codes)
    return run


HOPS = "Received: x\r\n" * 4

COMMANDS = {
    "HELO c": greet,
    "EHLO c": greet,
    "EHLO": always(501),
    "HELO a b": always(501),
    "MAIL FROM:<kim@example.kr>": mail(250),
    "MAIL FROM:<>": null_sender,
    "MAIL FROM:kim@example.kr": mail(501),
    "MAIL FROM:<kim@example.kr> FOO=1": mail(555),
    "MAIL FROM:<kim@example.kr> SIZE=99999999999": mail(552),
    "MAIL": mail(501),
    "RCPT TO:<kim@example.kr>": rcpt(250, "kim"),
    "RCPT TO:<lee@example.kr>": rcpt(250, "lee"),
    "RCPT TO:<kim@example.kr> NOTIFY=NEVER": rcpt(250, "kim once more"),
    "RCPT TO:<kim@example.kr> NOTIFY=NEVER,DELAY": rcpt(501),
    "RCPT TO:<nobody@example.kr>": rcpt(550),
    "RCPT TO:<a@elsewhere.test>": relay,
    "RCPT TO:kim": rcpt(501),
    "DATA\r\nx: y\r\n.": data(250),
    "DATA\r\n" + HOPS + ".": data(554, HOPS.count("\n")),
    "DATA x": lambda m: [(501, 503) if m.unsure else 501 if m.mail else 503],
    "BDAT 6\r\nx: y\r\n\\": bdat(250, False),
    "BDAT 6 LAST\r\nx: y\r\n\\": bdat(250, True),
    "BDAT 6\r\nQUIT\n\n\\": bdat(554, False),
    "BDAT 6 LAST\r\nQUIT\n\n\\": bdat(554, True),
    "BDAT 0\r\n\\": bdat(250, False),
    "RSET": rset,
    "RSET x": always(501),
    "NOOP": always(250),
    "NOOP x": always(250),
    "VRFY kim": always(252),
    "VRFY": always(501),
    "EXPN kim": always(502),
    "HELP": always(214),
    "FOO": always(500),
    "QUIT x": always(501),
    "NOOP\n": always(500),
    "N" * 600: always(500),
}


PLAIN_ONLY = {
    "AUTH PLAIN " + LOGIN: auth(235),
    "STARTTLS x": lambda m: [503 if m.mail else 501],
}

TLS_ONLY = {
    "STARTTLS": lambda m: [503],
    "AUTH PLAIN " + LOGIN: auth(235),
    "AUTH PLAIN\r\n" + LOGIN: auth(334, 235),
    "AUTH PLAIN\r\n*": auth(334, 501),
    "AUTH PLAIN\r\n!": auth(334, 501),
    "AUTH PLAIN !": auth(501),
    "AUTH LOGIN\r\na2lt\r\n*": auth(334, 334, 501),
    "AUTH FOO": auth(504),
}

ALL = {**COMMANDS, **PLAIN_ONLY, **TLS_ONLY}

# Where a session can be.
PLACES = {
    "greeted": [],
    "ready": ["EHLO c"],
    "sender": ["EHLO c", "MAIL FROM:<kim@example.kr>"],
    "recipient": ["EHLO c", "MAIL FROM:<kim@example.kr>", "RCPT TO:<kim@example.kr>"],
    "chunks": ["EHLO c", "MAIL FROM:<kim@example.kr>", "RCPT TO:<kim@example.kr>",
               "BDAT 6\r\nx: y\r\n\\"],
}

# What is asked after each pair: is there a transaction, and does the next one work?
PROBE = ["RCPT TO:<lee@example.kr>", "RSET"]


def octets(command):
    r"""A backslash at the end: no CRLF follows."""
    return command[:-1].encode() if command.endswith("\\") else command.encode() + b"\r\n"


def fits(reply, wanted):
    return reply.code in wanted if isinstance(wanted, tuple) else reply.code == wanted


class Sequence:
    """Commands one after the other, and the replies that are expected."""

    def __init__(self, model, commands):
        self.commands = commands
        self.model = model
        self.expected = [(c, code) for c in commands for code in ALL[c](model)]

    def send(self):
        return b"".join(map(octets, self.commands))

    def check(self, client):
        for number, (command, wanted) in enumerate(self.expected):
            reply = client.reply()
            assert fits(reply, wanted), (
                f"after {self.commands}: {command!r} (reply {number}) got {reply}, not {wanted}")


@pytest.fixture(scope="module")
def running(make_folder, certificate):
    folder = make_folder("state")
    with server.Pabal(folder, CONFIG, certificate=certificate) as one:
        for name in ("kim", "lee"):
            one.account(f"{name}@example.kr", "secret")
        yield one


def run_all(make_client, sequences, size=40):
    """Many sequences over one connection, pipelined; each ends in RSET."""
    with make_client() as client:
        for start in range(0, len(sequences), size):
            part = sequences[start:start + size]
            client.send(b"".join(s.send() for s in part))
            for sequence in part:
                sequence.check(client)


def arrived(running, before, sequences):
    """What the models say was taken is what is in the mailboxes."""
    taken = [who.split()[0] for s in sequences for who in s.model.taken]
    for name in ("kim", "lee"):
        count = before[name] + taken.count(name)
        if count:
            running.wait_messages(f"{name}@example.kr", count)
        assert len(running.messages(f"{name}@example.kr")) == count
    return len(taken)


def counts(running):
    return {name: len(running.messages(f"{name}@example.kr")) for name in ("kim", "lee")}


def sequences_of(table, place, **model):
    return [Sequence(Model(**model), [*PLACES[place], first, second, *PROBE])
            for first in table for second in table]


@pytest.mark.parametrize("place", [p for p in PLACES if p != "greeted"])
def test_each_by_each(running, place):
    before = counts(running)
    sequences = sequences_of({**COMMANDS, **PLAIN_ONLY}, place)

    def make_client():
        return running.client("mx")

    run_all(make_client, sequences)
    assert arrived(running, before, sequences) or place == "ready"


def test_each_by_each_before_helo(running):
    """Each in a connection of its own, for HELO cannot be taken back."""
    before = counts(running)
    sequences = sequences_of({**COMMANDS, **PLAIN_ONLY}, "greeted")
    for start in range(0, len(sequences), 100):
        part = sequences[start:start + 100]
        clients = [running.client("mx", banner=False) for _ in part]
        for client, sequence in zip(clients, part):
            client.send(sequence.send())
        for client, sequence in zip(clients, part):
            assert client.reply().code == 220
            sequence.check(client)
            client.close()
    assert arrived(running, before, sequences) == 0


@pytest.mark.parametrize("place", [p for p in PLACES if p != "greeted"])
def test_each_by_each_under_tls(running, place):
    """With logins, good and bad. Who is logged in stays so: one connection for all
    of that, and one each for those who are not."""
    before = counts(running)
    table = {**{c: COMMANDS[c] for c in list(COMMANDS)[:24:3]}, **TLS_ONLY}

    def logged_in():
        client = running.client("now", implicit=True)
        client.ehlo()
        assert client.command("AUTH PLAIN " + LOGIN).code == 235
        return client

    sequences = sequences_of(table, place, offered=True, login=True)
    run_all(logged_in, sequences)
    others = [s for s in sequences_of(table, place, offered=True)
              if any(c in TLS_ONLY for c in s.commands)]
    for sequence in others:
        run_all(lambda: running.client("now", implicit=True), [sequence])
    arrived(running, before, sequences + others)


def test_starttls_forgets_all(running):
    """In every place where it may be given, also after a login."""
    for commands in ([], ["EHLO c"], ["EHLO c", "MAIL FROM:<>", "RSET"],
                     ["EHLO c", "MAIL FROM:<>", "RCPT TO:<kim@example.kr>", "EHLO c"]):
        with running.client("offer") as client:
            for command in commands:
                assert client.command(command).code == 250
            assert client.starttls().code == 220
            assert client.command("MAIL FROM:<>").code == 503
            assert client.command("STARTTLS").code == 503
            assert client.command("RCPT TO:<kim@example.kr>").code == 503
            client.ehlo()
            assert client.command("RCPT TO:<kim@example.kr>").code == 503
            assert client.deliver("", "kim@example.kr", smtp.text_message()).code == 250


def test_starttls_that_fails_ends_the_connection(running):
    for what in (b"EHLO c\r\nMAIL FROM:<>\r\n", b"\x16\x03\x01\x00\x05hello", b"\x80" * 50, b""):
        with running.client("mx") as client:
            client.ehlo()
            assert client.command("STARTTLS").code == 220
            rest = b""
            try:
                client.send(what)
                client.socket.shutdown(socket.SHUT_WR)
                while got := client.socket.recv(4096):
                    rest += got
            except OSError:
                pass
            assert not re.search(rb"^\d\d\d[ -]", rest, re.M), rest


# ---- the connection is cut

STORY = [b"EHLO c\r\n", b"MAIL FROM:<kim@example.kr>\r\n", b"RCPT TO:<kim@example.kr>\r\n",
         b"DATA\r\n", b"Subject: cut\r\n\r\n" + b"line\r\n" * 5, b"."]
STORY_BDAT = STORY[:3] + [b"BDAT 16\r\nSubject: cut\r\n\r\n", b"BDAT 20 LAST\r\n", b"0123456789"]
STORY_LARGE = STORY[:4] + [b"Subject: cut\r\n\r\n" + (b"x" * 98 + b"\r\n") * 1000, b"."]


@pytest.mark.parametrize("how", ["closed", "reset", "half-closed"])
def test_cut_off_anywhere(running, how):
    """Nothing of what was not finished arrives, and nobody else is disturbed."""
    before = counts(running)["kim"]
    with running.client("mx") as bystander:
        bystander.ehlo()
        for story in (STORY, STORY_BDAT, STORY_LARGE):
            all_of_it = b"".join(story)
            ends = [len(b"".join(story[:i])) for i in range(1, len(story) + 1)]
            for cut in sorted({c for e in ends for c in (e, e - 1, e - 3)}):
                client = running.client("mx")
                client.send(all_of_it[:cut])
                end(client, how)
        assert bystander.deliver("", "kim@example.kr", smtp.text_message()).code == 250
    running.wait_messages("kim@example.kr", before + 1)
    assert len(running.messages("kim@example.kr")) == before + 1


def end(client, how):
    if how == "half-closed":
        client.socket.shutdown(socket.SHUT_WR)
        try:
            while client.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass
    elif how == "reset":
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


@pytest.mark.parametrize("name", ["mx", "now"])
def test_a_client_that_says_all_and_shuts_its_side(running, name):
    """As `printf ... | nc` does: all that was said is answered."""
    before = counts(running)["kim"]
    with running.client(name, implicit=name == "now") as client:
        client.send(b"EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<kim@example.kr>\r\nDATA\r\n"
                    b"Subject: all at once\r\n\r\nx\r\n.\r\nQUIT\r\n")
        if name == "mx":
            client.socket.shutdown(socket.SHUT_WR)
        assert [client.reply().code for _ in range(6)] == [250, 250, 250, 354, 250, 221]
        assert client.is_closed()
    running.wait_messages("kim@example.kr", before + 1)
