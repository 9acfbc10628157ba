# SPDX-License-Identifier: ISC
"""Under load every role, and the whole family, is killed at random moments;
whatever got 250 arrives (P1, P3 of doc/queue.md)."""

import os
import random
import signal
from pathlib import Path

import pytest

from pabal import control, load, peers, server, wait

ROUNDS = int(os.environ.get("PABAL_KILL_ROUNDS", "20"))

MORE = """\
clients { "192.0.2.0/24" relay }
queue { first-retry 1s max-retry 2s min-free-size 1M min-free-percent 0 }
limits { connections-address 50 }
guard { action off }
"""

# What has to go on after each of them was killed: a server of the load, mail to a
# domain, or the mailbox. So each is known to work again, by itself.
VICTIMS = {
    "smtpd": ("submission", "mx"),
    "auth": ("submission",),
    "queue": ("submission", "mx"),
    "sender": ("@sink.test",),
    "resolver": ("@sink.test",),
    "local": ("mailbox",),
    "local worker": ("mailbox",),
}

EVERYTHING = ("submission", "mx", "@sink.test", "mailbox")


@pytest.fixture
def house(start, certificate, request):
    """(server, arrivals): mail for sink.test goes by MX to a sink that counts."""
    arrivals = load.Arrivals()
    start(load.CountingSink, arrivals, address="192.0.2.25", port=25)
    knot = start(peers.Knot, {"sink.test": "@ MX 10 mx\nmx A 192.0.2.25"})
    running = start(server.Pabal, certificate=certificate, dns=knot.server, more=MORE,
                    as_root=getattr(request, "param", False))
    running.account("kim@example.kr", "secret")
    return running, arrivals


def lanes(running):
    to_sink, to_both = ["lee@sink.test"], ["lee@sink.test", "kim@example.kr"]
    as_kim = {"user": "kim@example.kr"}
    return [load.Lane(running, "submission", to_sink, **as_kim),
            load.Lane(running, "submission", to_both, **as_kim),
            load.Lane(running, "mx", to_sink, source="192.0.2.77"),
            load.Lane(running, "mx", to_both, source="192.0.2.78"),
            load.Lane(running, "mx", ["kim@example.kr"], source="192.0.2.79")]


def parent(pid):
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def pids_of(running, victim):
    pids = running.pids(victim.split()[0])
    if victim.startswith("local"):
        workers = [pid for pid in pids if parent(pid) in pids]
        return workers if victim == "local worker" else [p for p in pids if p not in workers]
    if len(pids) > 1 and random.random() < 0.5:
        return [random.choice(pids)]
    return pids


def kill(running, victim):
    pids = wait.until(lambda: pids_of(running, victim), 20, f"{victim} is there")
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # ended by itself in between: a local worker with its role


def goes_on(running, under, arrivals, signs, killed):
    try:
        for sign in signs:
            if sign.startswith("@"):
                arrivals.wait_more(3, sign)
            elif sign == "mailbox":
                before = mailbox_size(running)
                wait.until(lambda: mailbox_size(running) >= before + 3, 30, "3 more in the mailbox")
            else:
                under.wait_accepted(3, sign)
    except wait.Late as late:
        raise AssertionError(f"after {killed} was killed: {late}\n"
                             f"{running.run('status', check=False).stdout}\n"
                             f"{running.log.text()[-20000:]}") from None


@pytest.mark.limit(600)
def test_nothing_is_lost_whoever_is_killed(house, capsys):
    kill_all(*house, ROUNDS, capsys)


@pytest.mark.root
@pytest.mark.limit(300)
@pytest.mark.parametrize("house", [True], indirect=True, ids=["as_root"])
def test_nothing_is_lost_with_users_of_their_own(house, capsys):
    """The same with the walls between the roles, shorter."""
    kill_all(*house, max(1, ROUNDS // 5), capsys)


def kill_all(running, arrivals, rounds, capsys):
    kills = 0
    with load.Load(lanes(running)) as under:
        under.wait_accepted(20)
        for _ in range(rounds):
            for victim in random.sample(list(VICTIMS), len(VICTIMS)):
                load.pace(0.1)
                kill(running, victim)
                kills += 1
                goes_on(running, under, arrivals, VICTIMS[victim], victim)
            load.pace(0.1)
            running.kill()
            kills += 1
            running.start(ready=False)
            goes_on(running, under, arrivals, EVERYTHING, "everybody")
    under.wait_arrived(arrivals, "@sink.test")
    wait.until(lambda: all_delivered(under, running), 60, "mail for kim is in the mailbox", 0.5)
    arrivals.read_maildirs(running, ["kim@example.kr"])
    numbers = under.numbers(arrivals)
    with capsys.disabled():
        print(f"\n{kills} kills: {numbers}")
    assert not under.missing(arrivals), "mail that got 250 is lost"
    assert not arrivals.damaged
    assert not under.wrong, "a crash of ours is no fault of the client"
    assert not under.hung
    # What may come twice was in flight when somebody was killed.
    assert numbers["twice"] <= kills * len(under.threads)
    assert numbers["unpromised"] <= numbers["undecided"]


def all_delivered(under, running):
    """As many files as messages, at least; what they are is looked at then."""
    expected = sum(1 for _, r in under.expected() if r == "kim@example.kr")
    return mailbox_size(running) >= expected and not control.queue(
        running, "--recipient", "kim@example.kr")


def mailbox_size(running):
    new = running.maildir("kim@example.kr") / "new"
    return len(os.listdir(new)) if new.is_dir() else 0
