# SPDX-License-Identifier: ISC
"""A steady load of messages that knows what it was promised, and the sides on
which they arrive.

    arrived = load.Arrivals()
    sink = load.CountingSink(arrived, address="192.0.2.25", port=25)
    lanes = [load.Lane(server, "submission", ["lee@sink.test"], user=...), ...]
    with load.Load(lanes) as running:
        ...                                  # let things happen to the server
        running.wait_accepted(50)            # so many more
    running.wait_arrived(arrived)
    running.report(arrived)

Every attempt has a Message-ID of its own, so one that got no answer and is sent
again is another message. What got 250 has to arrive; how often the same one
came, and what came without a 250, is counted.
"""

import collections
import itertools
import random
import re
import threading
import time
from pathlib import Path

from . import sink, smtp, wait

ID = re.compile(rb"^message-id:\s*<([0-9]+)@load\.example>", re.I | re.M)
LARGE = 100 * 1024  # octets of a large message: it goes through a spool file

_numbers = itertools.count(random.randrange(1 << 20) << 32)


class Arrivals:
    """(number of the message, recipient) -> how often it came whole."""

    def __init__(self):
        self.lock = threading.Condition()
        self.counts = collections.Counter()
        self.damaged = []

    def add(self, body, recipients):
        found = ID.search(body)
        number = int(found.group(1)) if found else None
        with self.lock:
            if number is None or not body.rstrip().endswith(_end(number)):
                self.damaged.append(body[:2000])
            for recipient in recipients:
                self.counts[number, recipient] += 1
            self.lock.notify_all()

    def total(self):
        with self.lock:
            return len(self.counts)

    def wait_more(self, count, domain="", seconds=30):
        """Until so many more (of a domain) have come than now."""
        def now():
            return sum(1 for _, r in self.counts if r.endswith(domain))
        with self.lock:
            goal = now() + count
            if not self.lock.wait_for(lambda: now() >= goal, seconds):
                raise wait.Late(f"{count} more messages for *{domain} within {seconds} s")

    def read_maildirs(self, server, addresses):
        """What was delivered here is looked at when it is over."""
        for address in addresses:
            for sub in ("new", "cur"):
                for path in (Path(server.maildir(address)) / sub).glob("*"):
                    self.add(path.read_bytes(), [address])


class CountingSink(sink.Sink):
    """Keeps no message, only what Arrivals keeps."""

    def __init__(self, arrivals, **words):
        self.arrivals = arrivals
        super().__init__(**words)

    def _take(self, message):
        self.arrivals.add(message.body, message.recipients)
        message.body = b""
        super()._take(message)


class Lane:
    """How one client sends: over which server, as whom, to whom. `large`: one
    message in so many is large."""

    def __init__(self, server, name, recipients, *, user=None, password="secret", source=None,
                 messages=4, large=8, sender="kim@example.kr", pause=0.01):
        self.server, self.name, self.recipients = server, name, recipients
        self.user, self.password, self.source = user, password, source
        self.messages, self.large, self.sender, self.pause = messages, large, sender, pause

    def connect(self):
        words = {"timeout": 30}
        if self.source:
            words["source"] = self.source
        client = self.server.client(self.name, **words)
        if client.banner.code != 220:
            raise Refused("connect", client.banner)
        _want(client.ehlo(), "EHLO")
        if self.user:
            _want(client.starttls(), "STARTTLS")
            _want(client.ehlo(), "EHLO")
            _want(client.auth_plain(self.user, self.password), "AUTH")
        return client


class Refused(Exception):
    def __init__(self, step, reply):
        super().__init__(f"{step}: {reply}")
        self.step, self.reply = step, reply


def _want(reply, step):
    if reply.code >= 400:
        raise Refused(step, reply)


class Load:
    """One thread a lane, until stop() or so many messages were taken."""

    def __init__(self, lanes, most=50000):
        self.lock = threading.Condition()
        self.accepted = {}          # number -> recipients
        self.tried = {}             # number -> recipients, with DATA begun and no 250
        self.refused = collections.Counter()   # (step, code)
        self.wrong = []             # permanent refusals: our failures must never be the client's
        self.lost_connections = 0
        self.hung = 0               # an answer that did not come in 30 s
        self.by_lane = collections.Counter()
        self.stopping = threading.Event()
        self.most = most
        self.threads = [threading.Thread(target=self._run, args=(lane,), daemon=True)
                        for lane in lanes]
        for thread in self.threads:
            thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive(), "a client waits for an answer"

    def count(self, name=None):
        with self.lock:
            return self._count(name)

    def _count(self, name):
        return self.by_lane[name] if name else len(self.accepted)

    def wait_accepted(self, count, name=None, seconds=30):
        """Until so many more got 250 (on lanes to the server `name`)."""
        with self.lock:
            goal = self._count(name) + count
            if not self.lock.wait_for(lambda: self._count(name) >= goal, seconds):
                raise wait.Late(f"{count} more messages accepted by {name or 'the server'} within "
                                f"{seconds} s; refused so far: {dict(self.refused)}, "
                                f"{self.lost_connections} connections lost, {self.hung} hung")

    def expected(self):
        with self.lock:
            return {(n, r) for n, recipients in self.accepted.items() for r in recipients}

    def missing(self, arrivals):
        expected = self.expected()
        with arrivals.lock:
            return expected - set(arrivals.counts)

    def wait_arrived(self, arrivals, domain="", seconds=60):
        """All that was accepted (for a domain) came."""
        def left():
            return [m for m in self.missing(arrivals) if m[1].endswith(domain)]
        wait.until(lambda: not left(), seconds, "all accepted messages arrive", every=0.1)

    def numbers(self, arrivals):
        """twice: arrivals too many. undecided: recipients of messages that were
        begun and got no 250; unpromised: those that came all the same."""
        with arrivals.lock, self.lock:
            undecided = sum(len(recipients) for recipients in self.tried.values())
            twice = sum(n - 1 for n in arrivals.counts.values())
            unpromised = sum(1 for number, _ in arrivals.counts if number not in self.accepted)
            return {"accepted": len(self.accepted), "undecided": undecided, "twice": twice,
                    "unpromised": unpromised, "connections lost": self.lost_connections, "hung": self.hung,
                    "refused": dict(self.refused)}

    # ---- the threads

    def _run(self, lane):
        while not self.stopping.is_set() and self.most > 0:
            try:
                self._connection(lane)
            except Refused as refused:
                self._note(refused)
            except TimeoutError:
                with self.lock:
                    self.hung += 1
            except (OSError, smtp.Closed):
                with self.lock:
                    self.lost_connections += 1
            self.stopping.wait(lane.pause)

    def _note(self, refused):
        with self.lock:
            self.refused[refused.step, refused.reply.code] += 1
            if refused.reply.code >= 500:
                self.wrong.append(str(refused))

    def _connection(self, lane):
        client = lane.connect()
        try:
            for _ in range(lane.messages):
                if self.stopping.is_set():
                    break
                self._message(lane, client)
                self.stopping.wait(lane.pause)
            client.send(b"QUIT\r\n")
        finally:
            client.close()

    def _message(self, lane, client):
        number = next(_numbers)
        body = make_message(number, lane.sender, lane.recipients[0],
                            large=lane.large and number % lane.large == 0)
        _want(client.mail(lane.sender), "MAIL")
        for recipient in lane.recipients:
            _want(client.rcpt(recipient), "RCPT")
        with self.lock:
            self.tried[number] = lane.recipients
        reply = client.data(smtp.stuff(body))
        with self.lock:
            if reply.code == 250:
                self.accepted[number] = self.tried.pop(number)
                self.by_lane[lane.name] += 1
                self.most -= 1
                self.lock.notify_all()
        _want(reply, "DATA")


def _end(number):
    return b"end of %d" % number


def make_message(number, sender, recipient, large=False):
    text = b"A line of text that is sixty-four octets long with its ending.\r\n"
    head = (f"From: {sender}\r\nTo: {recipient}\r\nSubject: load\r\n"
            f"Date: Fri, 21 Nov 2025 10:00:00 +0900\r\n"
            f"Message-ID: <{number}@load.example>\r\n\r\n").encode()
    return head + text * (LARGE // len(text) if large else 8) + _end(number) + b"\r\n"


def pace(seconds):
    """A random moment within so much time."""
    time.sleep(random.uniform(0, seconds))
