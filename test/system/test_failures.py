# SPDX-License-Identifier: ISC
"""Parts that fail: the disk, the store, DNS, and each role that others need.
Every answer is a 4xx, nothing that got 250 is lost, and all goes on by itself
when the part is there again (P4 of doc/queue.md)."""

import os
import re
import shutil
import signal
import subprocess
import threading

import pytest

from pabal import control, load, peers, server, sink, smtp, wait

FAST = "queue { first-retry 1s max-retry 2s min-free-size 1M min-free-percent 0 }\n"
RELAY = 'clients { "192.0.2.0/24" relay }\n'
TO_SINK = "lee@sink.test"


@pytest.fixture
def arrivals(start):
    """What a sink at the MX of sink.test got."""
    arrived = load.Arrivals()
    arrived.sink = start(load.CountingSink, arrived, address="192.0.2.25", port=25)
    return arrived


@pytest.fixture
def knot(start):
    return start(peers.Knot, {"sink.test": "@ MX 10 mx\nmx A 192.0.2.25"})


@pytest.fixture
def house(start, certificate, knot, arrivals):
    """(server, what came to lee@sink.test): relays for 192.0.2.0/24."""
    running = start(server.Pabal, certificate=certificate, dns=knot.server, more=FAST + RELAY)
    running.account("kim@example.kr", "secret")
    return running, arrivals


def relay_lane(running, **words):
    return load.Lane(running, "mx", [TO_SINK], source="192.0.2.77", **words)


def submit(running, recipient="kim@example.kr", size=0):
    """One message on port 25; the first reply that refuses, or the last."""
    with running.client(source="192.0.2.77") as client:
        if client.banner.code != 220:
            return client.banner
        client.ehlo()
        text = "A line that fills a large message up, octet by octet, 64 of them\r\n"
        body = smtp.text_message(recipient=recipient, text=text * (1 + size // len(text)))
        return client.deliver("lee@example.com", recipient, body)


def settled(under, arrivals, seconds=60):
    under.wait_arrived(arrivals, seconds=seconds)
    assert not under.wrong, under.wrong[:3]
    assert not under.hung
    assert not arrivals.damaged


# ---- the disk

class SmallDisk:
    """A tmpfs for the state folder, and a file that takes the room on it."""

    def __init__(self, path, size):
        self.path = path
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "small", path],
                       check=True)
        shutil.chown(path, server.PLAIN_USER, server.PLAIN_USER)
        self.ballast = path / "ballast"

    def free(self):
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    def fill(self, leave=0):
        """Until so many octets are left."""
        with open(self.ballast, "ab", buffering=0) as file:
            while self.free() > leave:
                try:
                    file.write(bytes(min(self.free() - leave, 1 << 20) or 1))
                except OSError:
                    return

    def make_room(self):
        self.ballast.unlink(missing_ok=True)

    def stop(self):
        subprocess.run(["umount", "-l", self.path], check=True)


@pytest.fixture
def small(start, certificate, knot, arrivals, request):
    """small(more) -> (server, disk): the state on a disk of 24 MiB."""
    disks = []

    def make(more):
        running = start(server.Pabal, certificate=certificate, dns=knot.server,
                        more=more + RELAY, start=False)
        disks.append(SmallDisk(running.folder / "state", "24m"))
        running.start()
        running.account("kim@example.kr", "secret")
        return running, disks[0]

    yield make
    for disk in disks:
        disk.stop()


@pytest.mark.root
def test_below_the_limit_no_mail_is_taken(small):
    running, disk = small("queue { min-free-size 8M min-free-percent 0 }\n")
    assert submit(running).code == 250
    with running.client() as old:
        old.ehlo()
        disk.fill(leave=4 << 20)
        reply = wait.until(lambda: refused(submit(running)), 10)
        assert (reply.code, reply.enhanced) == (452, "4.3.1"), reply
        # in old sessions, too; another smtpd may hear of it a moment later
        wait.until(lambda: old.mail("lee@example.com").code == 452 or not old.command("RSET"), 10)
        running.await_event("queue", level="error", reason=re.compile("space"))
        running.await_event("refuse", rule="store-full", verb="MAIL")
        assert "disk space" in running.run("status").stdout
        disk.make_room()
        wait.until(lambda: old.mail("lee@example.com").code == 250, 10)
    assert submit(running).code == 250
    running.wait_messages("kim@example.kr", 2)


def refused(reply):
    return reply if reply.code >= 400 else None


@pytest.mark.root
def test_a_full_disk_loses_nothing(small, arrivals):
    running, disk = small("queue { first-retry 1s max-retry 2s min-free-size 0 min-free-percent 0 }\n")
    with load.Load([relay_lane(running, large=3), relay_lane(running)]) as under:
        under.wait_accepted(20)
        for _ in range(3):
            disk.fill()
            before = sum(under.refused.values())
            wait.until(lambda: sum(under.refused.values()) > before + 5, 20,
                       f"messages are refused: {under.refused}")
            assert disk.free() < 3 << 20
            disk.make_room()
            under.wait_accepted(20)
    settled(under, arrivals)
    assert {step for step, _ in under.refused} <= {"MAIL", "DATA"}, under.refused
    [queue] = control.roles(running, "queue")
    assert queue["restarts"] == 0, "without a restart"
    wait.until(lambda: not control.queue(running), 20, "the queue is empty")


@pytest.mark.root
def test_mail_leaves_a_full_disk(small, arrivals):
    running, disk = small("queue { first-retry 1h min-free-size 0 min-free-percent 0 }\n")
    arrivals.sink.answer("RCPT", "451 4.2.0 later")
    with load.Load([relay_lane(running, large=2)], most=30) as under:
        under.wait_accepted(30)
    wait.until(lambda: all(row["tries"] for row in control.queue(running)), 20)
    disk.fill()
    arrivals.sink.be_good()
    running.run("queue", "retry", "--all")
    settled(under, arrivals)
    wait.until(lambda: not control.queue(running), 20, "the queue is empty")
    assert disk.free() < 4 << 20, "the disk was full all the time"
    disk.make_room()
    assert submit(running, TO_SINK).code == 250


@pytest.mark.root
def test_a_server_starts_on_a_full_disk_and_delivers(small, arrivals):
    running, disk = small("queue { first-retry 1s max-retry 1s min-free-size 0 min-free-percent 0 }\n")
    arrivals.sink.answer("RCPT", "451 4.2.0 later")
    with load.Load([relay_lane(running, large=2)], most=20) as under:
        under.wait_accepted(20)
    running.kill()
    disk.fill()
    running.start()
    arrivals.sink.be_good()
    settled(under, arrivals)
    disk.fill()  # what was delivered left room
    assert refused(submit(running, size=1 << 20)).code in (451, 452)
    disk.make_room()
    wait.until(lambda: submit(running, size=1 << 20).code == 250, 10)


# ---- the store

def close_folder(path):
    """Takes the right to write from the server's user."""
    shutil.chown(path, 0, 0)
    path.chmod(0o555)


def open_folder(path):
    shutil.chown(path, server.PLAIN_USER, server.PLAIN_USER)
    path.chmod(0o700)


@pytest.mark.root
def test_without_a_store_the_answer_is_to_come_again(house):
    running, arrivals = house
    assert submit(running, TO_SINK).code == 250
    arrivals.wait_more(1)
    running.kill()
    store = running.folder / "state" / "queue"
    close_folder(store)
    database = store / "queue.db"
    shutil.chown(database, 0, 0)
    database.chmod(0o600)
    running.start(ready=False)
    reply = wait.until(lambda: try_submit(running), 20)
    assert 400 <= reply.code < 500, reply
    running.await_event("role", level="error", process="queue", reason=re.compile("queue.db|queue"))
    assert running.run("status", check=False).returncode == 1
    open_folder(store)
    shutil.chown(database, server.PLAIN_USER, server.PLAIN_USER)
    wait.until(lambda: try_submit(running).code == 250, 60, "the store is opened again")
    running.wait_messages("kim@example.kr")


def try_submit(running):
    try:
        return submit(running)
    except (OSError, smtp.Closed):
        return None


@pytest.mark.root
def test_a_spool_that_cannot_be_written_refuses_large_mail(house):
    running, _ = house
    spool = running.folder / "state" / "queue" / "spool"
    folders = [spool, *spool.iterdir()]
    for path in folders:
        close_folder(path)
    reply = submit(running, size=1 << 20)
    assert 400 <= reply.code < 500, reply
    assert submit(running).code == 250, "small mail needs no file"
    for path in folders:
        open_folder(path)
    assert submit(running, size=1 << 20).code == 250
    running.wait_messages("kim@example.kr", 2)


@pytest.mark.root
def test_a_mailbox_that_cannot_be_written_waits(house):
    running, _ = house
    close_folder(running.folder / "mail")
    assert submit(running).code == 250
    event = running.await_event("result", outcome="deferred", to="kim@example.kr")
    assert event["status"].startswith("4.")
    [row] = control.queue(running)
    assert row["state"] == "due" and row["recipient"] == "kim@example.kr"
    open_folder(running.folder / "mail")
    running.wait_messages("kim@example.kr")
    wait.until(lambda: not control.queue(running), 10)


# ---- DNS

def test_dead_dns_defers_and_recovers(house, knot):
    running, arrivals = house
    knot.pause()
    with load.Load([relay_lane(running)], most=20) as under:
        under.wait_accepted(20)
        event = running.await_event("result", seconds=60, outcome="deferred", to=TO_SINK)
        assert event["status"].startswith("4.4"), event
        assert int(event["delay"]) < 25000, "two questions of 7.5 s, and a busy machine"
        assert submit(running).code == 250, "who is here needs no DNS"
        knot.resume()
        settled(under, arrivals, 60)
    [resolver] = control.roles(running, "resolver")
    assert resolver["restarts"] == 0


def test_a_dead_resolver_defers_and_recovers(house):
    running, arrivals = house
    with load.Load([relay_lane(running)], most=200) as under:
        for _ in range(4):
            wait.until(lambda: running.pids("resolver"), 10)
            running.signal_role("resolver")
            arrivals.wait_more(3)
            under.wait_accepted(3)
    settled(under, arrivals)


# ---- auth

def try_auth(running, password="secret"):
    """The reply to AUTH of one new session; None when the connection broke."""
    try:
        with running.client("submission") as client:
            client.ehlo()
            client.starttls()
            client.ehlo()
            assert "AUTH" in client.extensions, "a client would think that nobody logs in here"
            return client.auth_plain("kim@example.kr", password)
    except (OSError, smtp.Closed):
        return None


def test_while_auth_dies_again_and_again_nobody_is_refused_for_good(house):
    running, _ = house
    codes, stop = [], threading.Event()
    failed = []

    def knock():
        while not stop.is_set():
            try:
                reply = try_auth(running)
                codes.append(reply and reply.code)
            except AssertionError as error:
                failed.append(error)
                return

    threads = [threading.Thread(target=knock) for _ in range(3)]
    for thread in threads:
        thread.start()
    old = []
    for _ in range(5):
        [pid] = wait.until(lambda: [p for p in running.pids("auth") if p not in old], 10)
        old.append(pid)
        os.kill(pid, signal.SIGKILL)
    wait.until(lambda: failed or codes and codes[-1] == 235, 20, "auth answers again")
    stop.set()
    for thread in threads:
        thread.join(30)
    assert not failed, failed[0]
    assert set(codes) <= {235, 454}, set(codes)
    assert 454 in codes
    assert try_auth(running, "wrong").code == 535


@pytest.mark.limit(150)
def test_while_auth_stands_still_clients_wait_and_then_hear_454(house):
    running, _ = house
    replies = []
    [auth] = running.signal_role("auth", signal.SIGSTOP)
    client = running.client("submission", timeout=100)
    client.ehlo(), client.starttls(), client.ehlo()
    waiting = threading.Thread(target=lambda: replies.append(
        client.auth_plain("kim@example.kr", "secret")))
    waiting.start()
    assert submit(running).code == 250, "nobody else is held up"
    waiting.join(90)
    assert [(r.code, r.enhanced) for r in replies] == [(454, "4.7.0")], replies
    wait.until(lambda: auth not in running.pids("auth"), 60, "who does not answer is replaced")
    wait.until(lambda: client.auth_plain("kim@example.kr", "secret").code == 235, 20, every=0.2)
    assert client.deliver("kim@example.kr", "kim@example.kr", smtp.text_message()).code == 250


def test_auth_goes_on_where_it_stood(house):
    running, _ = house
    running.signal_role("auth", signal.SIGSTOP)
    client = running.client("submission")
    client.ehlo(), client.starttls(), client.ehlo()
    client.send(b"AUTH PLAIN AGtpbUBleGFtcGxlLmtyAHNlY3JldA==\r\n")
    assert client.nothing_comes()
    running.signal_role("auth", signal.SIGCONT)
    assert client.reply().code == 235


# ---- queue

def test_while_the_queue_dies_again_and_again_the_answer_is_to_come_again(house):
    running, arrivals = house
    lanes = [relay_lane(running), relay_lane(running, large=2),
             load.Lane(running, "submission", [TO_SINK], user="kim@example.kr")]
    with load.Load(lanes) as under:
        under.wait_accepted(20)
        old = []
        for _ in range(5):
            [pid] = wait.until(lambda: [p for p in running.pids("queue") if p not in old], 10)
            old.append(pid)
            load.pace(0.2)
            os.kill(pid, signal.SIGKILL)
        under.wait_accepted(20, "submission")
        under.wait_accepted(20, "mx")
    settled(under, arrivals)
    assert all(400 <= code < 500 for _, code in under.refused)


def test_a_session_lives_through_a_queue_that_dies(house):
    running, arrivals = house
    with running.session() as client:
        assert client.mail("kim@example.kr").code == 250
        [old] = running.signal_role("queue")
        reply = client.rcpt(TO_SINK)
        while reply.code == 451:
            client.command("RSET")
            assert client.mail("kim@example.kr").code in (250, 451)
            reply = client.rcpt(TO_SINK)
            if reply.code == 503:
                reply.code = 451
        assert reply.code == 250, reply
        wait.until(lambda: [p for p in running.pids("queue") if p != old], 10)
        control.wait_ready(running)
        client.command("RSET")
        assert client.deliver("kim@example.kr", TO_SINK, smtp.text_message()).code == 250
    arrivals.wait_more(0)


def test_a_queue_that_stands_still_holds_mail_up_and_loses_none(house):
    running, arrivals = house
    with load.Load([relay_lane(running), relay_lane(running, large=2)]) as under:
        under.wait_accepted(10)
        for _ in range(3):
            running.signal_role("queue", signal.SIGSTOP)
            load.pace(0.5)
            running.signal_role("queue", signal.SIGCONT)
            under.wait_accepted(10)
    settled(under, arrivals)
    assert not under.refused, under.refused


def test_connections_are_counted_by_a_new_queue_as_well(start, certificate):
    running = start(server.Pabal, certificate=certificate,
                    more="limits { connections-address 3 }\n")
    kept = [running.client(source="192.0.2.9") for _ in range(3)]
    assert running.client(source="192.0.2.9").banner.code == 421
    [old] = running.signal_role("queue")
    wait.until(lambda: [p for p in running.pids("queue") if p != old], 10)
    wait.until(lambda: running.client(source="192.0.2.9").banner.code == 421, 10,
               "the connections that stayed are counted again")
    kept.pop().quit()
    wait.until(lambda: running.client(source="192.0.2.9").banner.code == 220, 10)
    assert running.client(source="192.0.2.10").banner.code == 220
