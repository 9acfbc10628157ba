# SPDX-License-Identifier: ISC
"""One message in, one message out: whatever stands in a body, nobody behind us
reads two messages where we read one. The next hop is a real Postfix, which ends
a message at a bare LF."""

import itertools
import re

import pytest

from pabal import peers, plugin, server, smtp

CONFIG = re.sub(r'(?m)^server "mx".*\n', "", server.USUAL) + """\
clients { "127.0.0.1" relay }
limits { connections-address 50 }
server "mx" { max-errors 100000 max-messages 100000 listen "$listen_mx" }
queue { first-retry 1s max-retry 2s }
"""

# What some server somewhere takes for the end of a line, in front of a dot and
# behind it.
LINE_ENDS = [b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n\r", b"\0\r\n", b"\r\0\n", b"\r\n\0"]

# Octets that are no line ends, but once were for somebody: NEL, VT, FF, line
# separator, and CR and LF with the high bit.
ODD = [b"\x85", b"\xc2\x85", b"\v", b"\f", b"\xe2\x80\xa8", b"\x8d\x8a", b"\xff", b"\x1a", b"\x04"]

HIDDEN = (b"MAIL FROM:<smuggler@evil.test>\r\nRCPT TO:<victim@postfix.test>\r\n"
          b"RCPT TO:<kim@example.kr>\r\nDATA\r\nSubject: smuggled\r\n\r\nsmuggled")


def is_bad(octets):
    """A bare CR or LF, or a NUL."""
    return re.search(rb"\r(?!\n)|(?<!\r)\n|\0", octets) is not None


def is_mark(octets):
    """Has nothing that ends a message before what is bad in it."""
    return is_bad(octets.partition(b"\r\n.\r\n")[0])


MARKS = [a + b"." + b for a, b in itertools.product(LINE_ENDS, repeat=2)
         if is_mark(a + b"." + b)]
MARKS += [b"\n", b"\r", b"\0", b"\r\r\n", b"\n\r\n", b"\r\n\n", b"\n\n", b"\r\n.\r", b"\r\n.\n",
          b"\r\n..\n", b"\n..\r\n", b"\r\n.\0\r\n", b"\r\n\0.\r\n"]
HARMLESS = [a + b"." + b for a, b in itertools.product(ODD, repeat=2)]
HARMLESS += [b"\r\n" + a + b".\r\n" for a in ODD] + [b"\r\n." + a + b"\r\n" for a in ODD]
HARMLESS += [b"\r\n..\r\n", b"\r\n. \r\n", b"\r\n .\r\n", b"\r\n.\t\r\n", b"\r\n...\r\n",
             b"\r\n.a\r\n", b"\r\n" + b"x" * 5000 + b"\r\n"]


# ---- ways to bring a message in. Each gives the codes of the replies after the
# 354, the last one being that of a HELP behind it: one reply more is one command
# more that was obeyed.

CLOSED = 0


def rest_of(client):
    codes = []
    try:
        client.send(b"HELP\r\n")
        while not codes or codes[-1] != 214:
            codes.append(client.reply().code)
    except (smtp.Closed, ConnectionError):
        codes.append(CLOSED)
    return codes


def by_data(client, body):
    assert client.command("DATA").code == 354
    client.send(stuff_raw(body) + b".\r\n")
    return rest_of(client)


def by_data_split(client, body):
    assert client.command("DATA").code == 354
    client.send_split(stuff_raw(body) + b".\r\n")
    return rest_of(client)


def by_data_one_packet(client, body):
    client.send(b"DATA\r\n" + stuff_raw(body) + b".\r\n")
    assert client.reply().code == 354
    return rest_of(client)


def by_bdat(client, body):
    client.send(b"BDAT %d LAST\r\n" % len(body) + body)
    return rest_of(client)


def by_bdat_split(client, body):
    """In chunks of seven octets and an empty last one; refused at the chunk in
    which it becomes bad, then there is no message any more."""
    chunks = [body[i:i + 7] for i in range(0, len(body), 7)] + [b""]
    client.send(b"".join(b"BDAT %d%s\r\n" % (len(c), b"" if c else b" LAST") + c for c in chunks))
    codes = [client.reply().code for _ in chunks]
    bad = next((i for i, code in enumerate(codes) if code >= 400), len(codes) - 1)
    assert codes[:bad] == [250] * bad and set(codes[bad + 1:]) <= {503}, codes
    return [codes[bad], *rest_of(client)]


WAYS = [by_data, by_data_split, by_data_one_packet, by_bdat, by_bdat_split]
CHUNKED = [by_bdat, by_bdat_split]


def stuff_raw(body):
    """Only what an honest client doubles: a dot behind CRLF. The marks under test
    stay as they are. Bodies end with CRLF."""
    return body.replace(b"\r\n.", b"\r\n..") if not is_bad(body) else body


def make(number, mark):
    return (b"From: a@client.test\r\nSubject: number %d\r\n\r\nfirst" % number
            + mark + HIDDEN + b"\r\n")


class House:
    def __init__(self, running, postfix):
        self.running, self.postfix = running, postfix
        self.numbers = itertools.count(1)

    def client(self):
        client = self.running.client("mx")
        client.ehlo()
        return client

    def begin(self, client):
        assert client.mail("a@client.test").code == 250
        assert client.rcpt("lee@postfix.test").code == 250

    def arrived(self, count):
        """number -> octets of all at the next hop, after so many came."""
        self.postfix.wait_messages("lee@postfix.test", count)
        found = {}
        for message in peers.maildir_messages(self.postfix.folder / "mail" / "all"):
            assert b"smuggled" not in message.partition(b"\n\n")[0], message
            assert b"\nDelivered-To: victim@postfix.test\n" not in b"\n" + message
            number = int(re.search(rb"^Subject: number (\d+)$", message, re.M).group(1))
            assert number not in found, "one came twice"
            found[number] = message
        return found


@pytest.fixture(scope="module")
def house(make_folder, certificate):
    if not peers.is_root():
        plugin.missing("Postfix needs root")
    if not peers.have_peers():
        plugin.missing("the peers are not unpacked: ./dev test does it")
    folder = make_folder("smuggling")
    with peers.Postfix(folder) as postfix:
        route = f'route "*" {{ smtp "[127.0.0.1]:{postfix.port}" tls never }}\n'
        running = server.Pabal(folder, CONFIG, more=route, certificate=certificate)
        try:
            running.account("kim@example.kr", "secret")
            yield House(running, postfix)
        finally:
            running.stop()


@pytest.mark.root
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_no_mark_ends_a_message(house, way):
    """Each is refused, and nothing behind it is obeyed: after DATA nothing at all,
    for somebody before us may have seen another end."""
    before = house.running.log.mark()
    client = house.client()
    for mark in MARKS:
        house.begin(client)
        codes = way(client, make(0, mark))
        if way in CHUNKED:
            assert codes == [554, 214], (mark, codes)
        else:
            assert codes == [554, 421, CLOSED], (mark, codes)
            client.close()
            client = house.client()
    client.close()
    assert not house.running.log.events("accept", since=before)


@pytest.mark.root
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_what_is_taken_arrives_once_and_whole(house, way):
    already = len(house.postfix.messages("lee@postfix.test"))
    sent = {}
    with house.client() as client:
        for mark in HARMLESS:
            house.begin(client)
            number = next(house.numbers)
            body = make(number, mark)
            assert way(client, body) == [250, 214], mark
            sent[number] = body
    arrived = house.arrived(already + len(sent))
    for number, body in sent.items():
        assert text_of(arrived[number]) == text_of(body), number
    assert not house.running.messages("kim@example.kr")


@pytest.mark.root
def test_a_line_with_one_dot(house):
    """In BDAT it ends nothing, and must not end anything at the next hop."""
    already = len(house.postfix.messages("lee@postfix.test"))
    bodies = [b".\r\n", b"\r\n.\r\n", b"a\r\n.\r\n" + HIDDEN + b"\r\n.\r\n", b"a\r\n.", b".", b"..",
              b"", b"\r\n", b"no end", b"two\r\n\r\n"]
    sent = {}
    with house.client() as client:
        for body in bodies:
            house.begin(client)
            number = next(house.numbers)
            body = b"Subject: number %d\r\n\r\n" % number + body
            assert by_bdat(client, body) == [250, 214]
            sent[number] = body
    arrived = house.arrived(already + len(sent))
    for number, body in sent.items():
        want = text_of(body)
        want += b"" if not want or want.endswith(b"\n") else b"\n"
        assert text_of(arrived[number]) == want, number


@pytest.mark.root
def test_the_right_end_is_the_end(house):
    """Pipelined behind CRLF.CRLF is a second message, and that is what it is."""
    already = len(house.postfix.messages("lee@postfix.test"))
    one, two = next(house.numbers), next(house.numbers)
    with house.client() as client:
        house.begin(client)
        assert client.command("DATA").code == 354
        client.send(b"Subject: number %d\r\n\r\n.\r\n" % one
                    + b"MAIL FROM:<a@client.test>\r\nRCPT TO:<lee@postfix.test>\r\nDATA\r\n")
        assert [client.reply().code for _ in range(4)] == [250, 250, 250, 354]
        client.send_split(b"Subject: number %d\r\n\r\n.\r\n" % two)
        assert client.reply().code == 250
    assert {one, two} <= set(house.arrived(already + 2))


def text_of(message):
    return message.replace(b"\r\n", b"\n").partition(b"\n\n")[2]


# ---- other ways to slip lines in

@pytest.mark.root
def test_no_field_is_slipped_into_ours(house):
    """What a client says in the dialogue stands in Received and in reports."""
    log = house.running.log
    before = log.mark()
    evil = "evil+0D+0AX-Evil:+20yes+0D+0A"
    with house.client() as client:
        for helo in ("a\rX-Evil: yes", "a\nX-Evil: yes", "a X-Evil:yes", "a\tb", "a\x1b[2Jb", "a\x85b"):
            reply = client.command(b"EHLO " + helo.encode("latin-1"))
            assert reply.code in (500, 501), (helo, reply)
        client.ehlo("(evil)\"<>;:@")
        assert client.mail("kim@example.kr", f"ENVID={evil}").code == 501
        assert client.mail("kim@example.kr", "ENVID=QQ314159").code == 250
        reply = client.rcpt("nobody@gone.test", f"NOTIFY=FAILURE ORCPT=rfc822;{evil}")
        assert reply.code in (250, 501)
        if reply.code == 501:
            assert client.rcpt("nobody@gone.test", "NOTIFY=FAILURE").code == 250
        assert client.data(smtp.stuff(smtp.text_message())).code == 250
    # Postfix refuses gone.test; the report comes back to kim
    [report] = house.running.wait_messages("kim@example.kr")
    assert b"multipart/report" in report
    assert not re.search(rb"^X-Evil", report, re.M), report
    assert not re.search(rb"\r(?!\n)|\0|\x1b", report)
    for line in log.lines[before:]:
        assert not re.search(r"[\x00-\x1f\x7f]", line), line
