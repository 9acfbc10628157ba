# SPDX-License-Identifier: ISC
"""Bounds: connections, memory, patience. A flood costs a bounded part of us, and the
others are served meanwhile."""

import os
import random
import socket
import ssl
import threading
import time
from pathlib import Path

import pytest

from pabal import server, sink, smtp, tls, wait

LIMITS = "limits { connections 30 connections-address 4 connections-network 6 }\n"

# What the address checker keeps to itself would be taken for ours.
MEMORY = {"ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:quarantine_size_mb=1:"
                          "thread_local_quarantine_size_kb=64"}


def served(running, name="mx", **words):
    """The reply to a new client: 220 or what it is refused with."""
    client = running.client(name, **words)
    return client, client.banner.code


def until_served(running, name="mx", **words):
    """A place becomes free when the server has noticed that its client went."""
    def try_it():
        try:
            client, code = served(running, name, **words)
        except (OSError, smtp.Closed):
            return False  # refused before its handshake
        client.close()
        return code == 220
    wait.until(try_it, 10, "a client is served again")


def close_all(clients):
    for client in clients:
        client.close()


# ---- connections

@pytest.fixture
def limited(start, certificate):
    return start(server.Pabal, more=LIMITS, certificate=certificate)


def test_connections_of_one_address(limited):
    """Four, over all servers and workers; the fifth is told why, and 20 more do not
    change it; when one goes there is room again, and others are not concerned."""
    held = [served(limited, n) for n in ("mx", "submission", "submissions", "mx")]
    assert [code for _, code in held] == [220] * 4
    for _ in range(20):
        client, code = served(limited)
        assert code == 421 and client.banner.enhanced == "4.7.0", client.banner
        assert client.is_closed()
        client.close()
    limited.log.await_event("refuse", rule="max-connections-address", client="127.0.0.1")
    other, code = served(limited, source="192.0.2.1")
    assert code == 220
    other.close()
    other, code = served(limited, "6:mx")
    assert code == 220
    other.close()
    held.pop()[0].close()
    until_served(limited)
    close_all(c for c, _ in held)


def test_connections_of_one_network(limited):
    held = [served(limited, source=f"192.0.2.{n}") for n in range(1, 7)]
    assert [code for _, code in held] == [220] * 6
    client, code = served(limited, source="192.0.2.77")
    assert code == 421 and client.banner.enhanced == "4.7.0"
    limited.log.await_event("refuse", rule="max-connections-network")
    other, code = served(limited, source="198.51.100.1")
    assert code == 220
    close_all([client, other, *(c for c, _ in held)])
    until_served(limited, source="192.0.2.77")


def test_connections_in_all(limited):
    sources = [f"{net}.{n}" for net in ("192.0.2", "198.51.100", "203.0.113") for n in range(1, 7)]
    sources += [f"127.0.{n}.1" for n in range(12)]
    held = [served(limited, source=s) for s in sources]
    assert [code for _, code in held] == [220] * 30
    client, code = served(limited, source="127.1.0.1")
    assert code == 421
    client.close()
    close_all(c for c, _ in held)
    until_served(limited, source="127.1.0.1")


def test_silent_handshakes_count(limited):
    """On 465 one can connect and say nothing. Who does so holds no more than twice
    his places, and does not keep others out."""
    address = limited.listeners["submissions"]
    silent = [socket.create_connection(address) for _ in range(60)]
    limited.log.await_event("disconnect", reason="max-connections")

    def closed():
        return sum(is_cut(s) for s in silent) >= 60 - 2 * 4 - 1
    wait.until(closed, 10, "most are cut")
    client, code = served(limited, "submissions", source="192.0.2.9")
    assert code == 220
    client.close()
    for one in silent:
        one.close()
    until_served(limited, "submissions")


def is_cut(one):
    one.setblocking(False)
    try:
        return one.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def test_places_of_killed_clients_and_workers_come_back(limited):
    """Nobody is counted twice or for ever: not after resets, not after a worker died."""
    for _ in range(3):
        for how in range(8):
            client, _ = served(limited)
            if how % 2:
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
    until_served(limited)
    held = [served(limited)[0] for _ in range(3)]
    limited.signal_role("role smtpd")
    close_all(held)
    until_served(limited)
    held = []

    def full():
        client, code = served(limited)
        held.append(client)
        return code == 421
    wait.until(full, 10, "the limit holds")
    assert len(held) <= 6
    close_all(held)


# ---- memory. What is measured is what the kernel says, of processes that are built
# with or without checks.

def resident(pids):
    total = 0
    for pid in pids:
        rows = Path(f"/proc/{pid}/status").read_text().splitlines()
        total += int(next(r for r in rows if r.startswith("VmRSS")).split()[1]) * 1024
    return total


WIDE = """\
limits { connections 5000 connections-address 5000 connections-network 5000 }
max-errors 100000
max-messages 1000000
max-recipients 1000
route "elsewhere.test" { smtp "[127.0.0.1]:$sink" tls never }
clients { "127.0.0.1" relay }
"""


@pytest.fixture(scope="module")
def wide(make_folder, certificate):
    folder = make_folder("limits")
    with sink.Sink() as outside, \
            server.Pabal(folder, server.USUAL.replace("workers 2", "workers 1"), WIDE,
                         certificate=certificate, environment=MEMORY,
                         sink=str(outside.port)) as running:
        running.account("kim@example.kr", "secret")
        running.outside = outside
        yield running


MIB = 1 << 20


def begin_body(client, size=0):
    client.send(b"EHLO c\r\nMAIL FROM:<>%s\r\nRCPT TO:<kim@example.kr>\r\n"
                % (b" SIZE=%d" % size if size else b""))
    assert [client.reply().code for _ in range(3)] == [250] * 3


@pytest.mark.parametrize("how", ["DATA", "BDAT"])
def test_a_large_body_does_not_stay_in_memory(wide, how):
    line = b"x" * 998 + b"\r\n"
    size = 45 * 1000 * 1000

    def work():
        with wide.client("mx", timeout=60) as client:
            begin_body(client, size)
            if how == "DATA":
                assert client.command("DATA").code == 354
            else:
                client.send(b"BDAT %d LAST\r\n" % size)
            for _ in range(45):
                client.send(line * 1000)
            peak.append(resident(wide.pids("role smtpd")))
            if how == "DATA":
                client.send(b".\r\n")
            client.send(b"RSET\r\n")
            assert client.reply().code == 250

    peak = []
    base = resident(wide.pids("role smtpd"))
    work()
    assert max(peak) - base < 24 * MIB, f"{(max(peak) - base) / MIB:.1f} MiB"
    before = resident(wide.pids("role smtpd"))
    for path in (wide.maildir("kim@example.kr") / "new").glob("*"):
        path.unlink()
    assert before - base < 12 * MIB, f"{(before - base) / MIB:.1f} MiB stay"


def test_many_who_stop_in_the_middle(wide):
    """Of a command, a login, a body: each costs what it has sent, no more."""
    count = 200
    beginnings = [b"EHLO " + b"x" * 400, b"EHLO c\r\nMAIL FROM:<" + b"x" * 800, b"",
                  b"EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<kim@example.kr>\r\nDATA\r\n" + b"x" * 1000,
                  b"EHLO c\r\nAUTH PLAIN " + b"A" * 12000]

    def work():
        clients = [wide.client("mx") for _ in range(count)]
        for number, client in enumerate(clients):
            client.send(beginnings[number % len(beginnings)])
        peaks.append(resident(wide.pids("role smtpd")))
        close_all(clients)

    peaks = []
    work()
    base = resident(wide.pids("role smtpd"))
    for _ in range(3):
        work()
    assert max(peaks[1:]) - base < count * 64 * 1024
    assert resident(wide.pids("role smtpd")) - base < 8 * MIB


def send_until_full(client, words, most):
    """Without reading; how much went out before both sides' buffers were full."""
    sent = idle = 0
    client.socket.setblocking(False)
    while idle < 40 and sent < most:
        try:
            sent += client.socket.send(words[sent % len(words):])
            idle = 0
        except BlockingIOError:
            idle += 1
            time.sleep(0.005)  # the kernel's own buffers fill
    return sent


def test_who_never_reads_is_not_waited_for(wide):
    """Commands without end whose answers nobody takes: we stop reading, too."""
    base = resident(wide.pids("role smtpd"))
    clients = [wide.client("mx") for _ in range(2)]
    for client in clients:
        client.send(b"EHLO c\r\nMAIL FROM:<>\r\n")
        sent = send_until_full(client, b"RCPT TO:<postmaster>\r\n" * 1000, 100 * MIB)
        assert sent < 100 * MIB
    with wide.client("mx") as other:
        other.ehlo()
        assert other.deliver("", "kim@example.kr", smtp.text_message()).code == 250
    grown = resident(wide.pids("role smtpd")) - base
    assert grown < 8 * MIB, f"{grown / MIB:.1f} MiB"
    close_all(clients)


def test_who_reads_late_gets_every_answer(wide):
    """10,000 commands, and only then the replies, the last one too."""
    for name in ("mx", "submissions"):
        with wide.client(name) as client:
            client.ehlo()
            lane = threading.Thread(target=client.send, args=(b"EXPN x\r\n" * 10000 + b"QUIT\r\n",))
            lane.start()
            lane.join(0.2)  # it may have to wait for us
            codes = [client.reply().code for _ in range(10001)]
            lane.join()
            assert codes == [502] * 10000 + [221]
            assert client.is_closed()


def test_a_flood_of_sessions_leaves_nothing(wide):
    """Thousands of short sessions of every kind, then memory is where it was."""
    context = tls.unchecked_context()

    def session(number):
        kind = number % 6
        with wide.client("submissions" if kind == 5 else "mx", timeout=30) as client:
            if kind == 0:
                client.send(b"QUIT\r\n")
            elif kind == 1:
                client.ehlo()
                client.starttls(context)
                client.ehlo()
            elif kind == 2:
                client.ehlo()
                client.deliver("", "nobody@example.kr", b"")
            elif kind == 3:
                begin_body(client)
                client.send(b"BDAT 100000\r\n" + b"x" * 70000)  # has a spool file, then goes
            elif kind == 4:
                client.send(b"\0\1\2" * 500 + b"\r\n")
            else:
                client.ehlo()

    def work():
        lanes = [threading.Thread(target=lambda b=b: [session(n) for n in range(b, 300, 4)])
                 for b in range(4)]
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join()

    work()
    work()
    before = resident(wide.pids("role smtpd"))
    for _ in range(3):
        work()
    grown = resident(wide.pids("role smtpd")) - before
    assert grown < 6 * MIB, f"{grown / MIB:.1f} MiB after 900 more sessions"

    def descriptors():
        return len(os.listdir(f"/proc/{wide.pids('role smtpd')[0]}/fd")) < 40
    wait.until(descriptors, 10, "descriptors are closed")


# ---- work

def test_tiny_chunks(wide):
    """A message in 5,000 chunks of one octet, and one in 20,000 empty ones."""
    with wide.client("mx") as client:
        begin_body(client)
        text = b"Subject: chunks\r\n\r\n" + b"x" * 5000
        client.send(b"".join(b"BDAT 1\r\n%c" % octet for octet in text) + b"BDAT 0 LAST\r\n")
        assert {client.reply().code for _ in range(len(text) + 1)} == {250}
        begin_body(client)
        for _ in range(20):
            client.send(b"BDAT 0\r\n" * 1000)
            assert {client.reply().code for _ in range(1000)} == {250}
        client.send(b"BDAT 2 LAST\r\n\r\n")
        assert client.reply().code == 250


HEADERS = {
    "many small": b"X: y\r\n" * 40000,
    "one large": b"X: " + b"y" * 60000 + b"\r\n",
    "folded": b"X: a\r\n" + b" b\r\n" * 50000,
    "without a colon": b"x" * 990 + b"\r\n" + b"y\r\n" * 1000,
    "blind copies": b"Bcc: a@b.test\r\nX: y\r\n" * 12000,
    "one blind copy": b"Bcc: a@b.test" + b",\r\n a@b.test" * 20000 + b"\r\n",
    "odd names": b": x\r\n" * 100 + b"\x80\xff: x\r\n" * 100 + b" x: y\r\n" * 100,
    "delivered": b"Delivered-To: someone@else.test\r\n" * 7000,
}


@pytest.mark.parametrize("what", HEADERS)
@pytest.mark.parametrize("name", ["mx", "submission"])
def test_header_bombs(wide, what, name):
    """Taken or refused, at once; what is taken arrives."""
    already = len(wide.outside.messages)
    client = wide.session() if name == "submission" else wide.client("mx")
    with client:
        client.ehlo()
        began = time.monotonic()
        assert client.mail("kim@example.kr").code == 250
        assert client.rcpt("lee@elsewhere.test").code == 250
        reply = client.data(HEADERS[what] + b"\r\nbody")
        assert reply.code in (250, 552, 554), reply
        assert time.monotonic() - began < 5
        if reply.code == 250:
            message = wide.outside.wait(messages=already + 1)[already]
            assert message.body.endswith(b"\r\nbody\r\n")
            assert name == "mx" or b"a@b.test" not in message.body
        assert client.command("NOOP").code == 250


def test_a_thousand_recipients(wide):
    already = len(wide.outside.messages)
    people = [f"person{n}@elsewhere.test" for n in range(2000)]
    with wide.client("mx") as client:
        client.ehlo()
        assert "RCPTMAX=1000" in client.extensions["LIMITS"]
        client.mail("kim@example.kr")
        client.send(b"".join(b"RCPT TO:<%s>\r\n" % p.encode() for p in people))
        codes = [client.reply().code for _ in range(2000)]
        assert codes == [250] * 1000 + [452] * 1000
        assert client.data(smtp.text_message()).code == 250

    def came():
        return sum(len(m.recipients) for m in wide.outside.messages[already:]) >= 1000
    wait.until(came, 30, "all have it")
    assert sorted(r for m in wide.outside.messages[already:] for r in m.recipients) == sorted(people[:1000])


def test_drips_end_with_the_session(start, certificate):
    """An octet now and then keeps a connection from being silent, not from ending; and
    others are served as fast as ever."""
    more = 'server "short" { listen "$listen_short" session-timeout 1500ms command-timeout 1s }\n'
    running = start(server.Pabal, more=more + "limits { connections-address 100 }\n",
                    certificate=certificate)
    running.account("kim@example.kr", "secret")
    drips = [running.client("short") for _ in range(50)]
    ended = began = time.monotonic()
    left = set(range(50))
    while left and ended - began < 10:
        for number in list(left):
            try:
                drips[number].send(b"N")
                drips[number].socket.setblocking(False)
                try:
                    if b"421 4.4.2" in drips[number].socket.recv(200):
                        left.discard(number)
                except BlockingIOError:
                    pass
                drips[number].socket.setblocking(True)
            except OSError:
                left.discard(number)
        with running.client("mx") as client:
            asked = time.monotonic()
            client.ehlo()
            assert time.monotonic() - asked < 1
        time.sleep(0.1)  # the pace of a drip
        ended = time.monotonic()
    assert not left and ended - began < 6
    close_all(drips)


# ---- limits of a server that is no longer configured

def without_mx(running):
    """The configuration without that server; those that are left take little."""
    mx = [line for line in server.USUAL.splitlines(True) if line.startswith('server "mx"')]
    running.write_config(server.USUAL.replace(mx[0], "max-message-size 2K\n"))
    done = running.reload()
    assert done.returncode == 0, done.stderr


def is_told_to_go(client):
    reply = client.reply()
    assert (reply.code, reply.enhanced) == (421, "4.3.2"), reply
    assert len(reply.text) > 10
    assert client.is_closed()


@pytest.mark.parametrize("how", ["DATA", "BDAT"])
def test_a_body_ends_under_the_limits_it_began_with(start, certificate, how):
    """The first server that is left is not the one it came to: neither its size nor its
    demand for a login counts for the message under way."""
    with start(server.Pabal, certificate=certificate) as running:
        running.account("kim@example.kr", "secret")
        body = smtp.text_message(text="much\r\n" * 5000)
        client = running.client()
        begin_body(client)
        if how == "DATA":
            assert client.command("DATA").code == 354
        else:
            client.send(b"BDAT %d LAST\r\n" % len(body))
        client.send(body[:1000])
        idle, begun = running.client(), running.client()
        idle.ehlo()
        begin_body(begun)
        without_mx(running)
        is_told_to_go(idle)
        is_told_to_go(begun)  # its transaction, too: nothing of it was promised
        client.send(body[1000:] + (b"\r\n.\r\n" if how == "DATA" else b""))
        assert client.reply().code == 250
        is_told_to_go(client)
        running.wait_messages("kim@example.kr")
        assert running.await_event("accept")["server"] == "mx"
        assert running.session("kim@example.kr", "secret").extensions["SIZE"] == "2048"


# ---- chaos

PIECES = [
    b"EHLO c\r\n", b"HELO c\r\n", b"MAIL FROM:<a@b.test>\r\n", b"MAIL FROM:<> SIZE=1000\r\n",
    b"RCPT TO:<kim@example.kr>\r\n", b"RCPT TO:<nobody@example.kr>\r\n",
    b"RCPT TO:<lee@elsewhere.test>\r\n", b"DATA\r\n", b"Subject: x\r\n\r\n", b".\r\n", b"\r\n.\r\n",
    b"x" * 3000 + b"\r\n", (b"y" * 998 + b"\r\n") * 80, b"BDAT 10\r\n0123456\r\n.", b"BDAT 0 LAST\r\n",
    b"BDAT 100000\r\n" + (b"z" * 98 + b"\r\n") * 1000, b"BDAT 5 LAST\r\nabc\r\n", b"RSET\r\n", b"NOOP\r\n",
    b"VRFY x\r\n", b"QUIT\r\n", b"\n", b"\r", b"\0", b"AUTH PLAIN\r\n", b"*\r\n",
    b"AUTH PLAIN AGtpbUBleGFtcGxlLmtyAHNlY3JldA==\r\n", b"AUTH LOGIN\r\n", b"a2lt\r\n",
    b"AUTH PLAIN AGtpbUBleGFtcGxlLmtyAHdyb25n\r\n", b"STARTTLS\r\n", b"\x16\x03\x01\x02\x00\x01",
]


def chaos(running, seed, seconds, trouble):
    dice = random.Random(seed)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            name = dice.choice(["mx", "submission", "submissions", "6:mx"])
            client = running.client(name, timeout=5, banner=dice.random() < 0.5)
            if dice.random() < 0.3 and name in ("mx", "submission"):
                client.send(b"EHLO c\r\nSTARTTLS\r\n")
                while client.reply().code != 220 or not client.buffer == b"":
                    pass
                client.wrap()
            for _ in range(dice.randrange(30)):
                client.send(dice.choice(PIECES[:15] if dice.random() < 0.7 else PIECES))
                if dice.random() < 0.2:
                    client.socket.settimeout(0.02)
                    try:
                        client.socket.recv(65536)
                    except TimeoutError:
                        pass
                    client.socket.settimeout(5)
            how = dice.random()
            if how < 0.3:
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            elif how < 0.5:
                client.socket.shutdown(socket.SHUT_WR)
            client.close()
        except (OSError, smtp.Closed, ssl.SSLError, AssertionError):
            pass
        except Exception as error:  # our own bug
            trouble.append(error)
            return


def test_chaos(wide):
    """Random commands, cuts and resets on many connections at once. The processes
    that were there are there afterwards, and the sanitizers have nothing to say."""
    before = {n: wide.pids(f"role {n}") for n in ("smtpd", "queue", "auth", "sender", "local")}
    seed = random.randrange(1 << 30)
    trouble = []
    lanes = [threading.Thread(target=chaos, args=(wide, seed + n, 5, trouble)) for n in range(8)]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    assert not trouble
    for name, pids in before.items():
        assert set(pids) <= set(wide.pids(f"role {name}")), f"{name} ended; seed {seed}"
    with wide.client("mx") as client:
        client.ehlo()
        assert client.deliver("", "kim@example.kr", smtp.text_message()).code == 250
