# SPDX-License-Identifier: ISC
"""`limit "SCOPE" { }`: who is held to what, what is said about it and where it was
written; rates that are exact whoever else sends, and outlive a restart."""

import json
import re
import threading

import pytest

from pabal import server, smtp, wait

# Clients are told apart by their address of 127.0.0.0/8.
BLOCKS = """\
limits { connections-address 100 }
limit "everywhere" { local-size 2M }
limit "account kim@example.kr" { recipients 3  message-size 20K }
limit "group staff" { recipients 5  messages 2 }
limit "domain example.kr" { message-size 60K  header-size 2K }
limit "server submissions" { commands 10 }
limit "network 127.0.1.0/24" { errors 2  header-fields 10  body-memory 4K  message-size 1M }
limit "network 127.0.1.3" { connections-per-minute 2  session-timeout 300ms }
limit "network 127.0.1.4/30" { connections-address 1 }
limit "account little@example.kr" { local-size 10K }

limit "account many@example.kr" { rate account recipients 40 per day }
limit "account no@example.kr" { rate account messages 2 per day refuse }
limit "account later@example.kr" { rate account recipients 2 per day hold }
limit "group quick" { rate account recipients 100 per day }
limit "network 127.0.2.1" { rate client messages 2 per day refuse }
"""
ACCOUNTS = ["kim", "lee", "little", "many", "no", "later", "quick"]


@pytest.fixture(scope="module")
def running(make_folder, certificate):
    with server.Pabal(make_folder("blocks"), more=BLOCKS, certificate=certificate) as one:
        for name in ACCOUNTS:
            one.account(f"{name}@example.kr", "secret")
        one.run("account", "group", "add", "staff")
        one.run("account", "group", "add", "quick")
        one.run("account", "set", "lee@example.kr", "--groups", "staff")
        one.run("account", "set", "quick@example.kr", "--groups", "quick")
        yield one


def user(running, name, **words):
    return running.session(f"{name}@example.kr", **words)


def counted(event):
    return int(event["count"]), int(event["limit"])


def refused(running, mark, reply, code, enhanced, rule, where):
    """The reply, and its one event with the rule, the count and the limit."""
    assert (reply.code, reply.enhanced) == (code, enhanced), reply
    event = running.await_event("refuse", since=mark, rule=rule)
    assert len(running.log.events("refuse", since=mark, rule=rule)) == 1
    assert re.fullmatch(rf"limit {re.escape(where)} \S+pabal\.conf:\d+", event["where"]), event
    count, limit = counted(event)
    assert count > limit or rule in ("max-errors", "session-timeout"), event
    line = int(event["where"].rsplit(":", 1)[1])
    written = running.folder.joinpath("pabal.conf").read_text().splitlines()[line - 1]
    assert where.removesuffix("/32") in written
    return event


# ---- each limit once, and each scope

def test_size_of_an_account(running):
    with user(running, "kim") as client:
        client.ehlo()
        assert client.extensions["SIZE"] == str(20 << 10)
        assert client.extensions["LIMITS"] == "MAILMAX=100 RCPTMAX=3"
        mark = running.log.mark()
        refused(running, mark, client.mail("kim@example.kr", " SIZE=20481"), 552, "5.3.4",
                "max-message-size", "account kim@example.kr")
        client.mail("kim@example.kr")
        client.rcpt("lee@example.kr")
        mark = running.log.mark()
        refused(running, mark, client.data(b"X: y\r\n\r\n" + b"x" * 30000), 552, "5.3.4",
                "max-message-size", "account kim@example.kr")


def test_recipients_of_an_account_and_a_group(running):
    for name, most, where in (("kim", 3, "account kim@example.kr"), ("lee", 5, "group staff")):
        with user(running, name) as client:
            client.mail(f"{name}@example.kr")
            for _ in range(most):
                assert client.rcpt("lee@example.kr").code == 250
            mark = running.log.mark()
            refused(running, mark, client.rcpt("lee@example.kr"), 452, "4.5.3", "max-recipients",
                    where)


def test_what_a_group_says_is_shown_to_ehlo(running):
    with user(running, "lee") as client:
        client.ehlo()
        assert client.extensions["LIMITS"] == "MAILMAX=2 RCPTMAX=5"
        assert client.extensions["SIZE"] == str(60 << 10)  # of the domain
        mark = running.log.mark()
        for _ in range(2):
            client.mail("lee@example.kr")
            client.command("RSET")
        refused(running, mark, client.mail("lee@example.kr"), 421, "4.7.0", "max-messages",
                "group staff")


def test_headers_of_a_domain_and_of_a_network(running):
    with user(running, "lee") as client:
        client.mail("lee@example.kr")
        client.rcpt("lee@example.kr")
        mark = running.log.mark()
        refused(running, mark, client.data(b"X: y\r\n" * 400 + b"\r\n"), 552, "5.3.4",
                "header-size", "domain example.kr")
    with running.client(source="127.0.1.1") as client:
        client.ehlo()
        client.mail("a@elsewhere.example")
        client.rcpt("lee@example.kr")
        mark = running.log.mark()
        refused(running, mark, client.data(b"X: y\r\n" * 11 + b"\r\n"), 552, "5.3.4",
                "header-fields", "network 127.0.1.0/24")
        client.mail("a@elsewhere.example")
        client.rcpt("lee@example.kr")  # over body-memory: by way of a file
        assert client.data(b"X: y\r\n\r\n" + b"x" * 6000).code == 250


def test_commands_and_errors(running):
    with running.client("submissions") as client:
        mark = running.log.mark()
        for _ in range(10):
            assert client.command("NOOP").code == 250
        refused(running, mark, client.command("NOOP"), 421, "4.7.0", "max-commands",
                "server submissions")
        assert client.is_closed()
    with running.client(source="127.0.1.2") as client:
        mark = running.log.mark()
        client.send(b"XYZZY\r\nXYZZY\r\n")
        assert client.reply().code == client.reply().code == 500
        refused(running, mark, client.reply(), 421, "4.7.0", "max-errors", "network 127.0.1.0/24")
        assert client.is_closed()


def test_connections_of_a_network(running):
    with running.client(source="127.0.1.5") as first:
        assert first.banner.code == 220
        mark = running.log.mark()
        with running.client(source="127.0.1.5") as second:
            refused(running, mark, second.banner, 421, "4.7.0", "max-connections-address",
                    "network 127.0.1.4/30")


def test_connections_a_minute_and_time(running):
    """The longest prefix wins value by value: errors come from the wider network."""
    mark = running.log.mark()
    with running.client(source="127.0.1.3") as client:
        refused(running, mark, client.reply(), 421, "4.4.2", "session-timeout",
                "network 127.0.1.3/32")
        assert client.is_closed()
    codes = []
    while 421 not in codes and len(codes) < 7:  # a minute may be over in between
        mark = running.log.mark()
        with running.client(source="127.0.1.3") as client:
            codes.append(client.banner.code)
            last = client.banner
    refused(running, mark, last, 421, "4.7.0", "max-connections-minute", "network 127.0.1.3/32")
    assert codes[0] == 220 and len(codes) <= 5


def test_local_size_where_it_is_declared(running):
    """Only the recipient that takes so little is concerned."""
    with running.client() as client:
        client.ehlo()
        client.mail("a@elsewhere.example", " SIZE=20000")
        mark = running.log.mark()
        event = refused(running, mark, client.rcpt("little@example.kr"), 552, "5.2.3",
                        "max-local-size", "account little@example.kr")
        assert counted(event) == (20000, 10240)
        assert client.rcpt("lee@example.kr").code == 250


def test_local_size_at_the_end_of_the_body(running):
    body = b"Subject: large\r\n\r\n" + b"x" * 20000
    with running.client() as client:
        client.ehlo()
        client.mail("a@elsewhere.example")
        client.rcpt("little@example.kr")
        mark = running.log.mark()
        refused(running, mark, client.data(body), 552, "5.2.3", "max-local-size",
                "account little@example.kr")
        client.mail("lee@example.kr")
        client.rcpt("little@example.kr")
        client.rcpt("no@example.kr")
        mark = running.log.mark()
        assert client.data(body).code == 250
    event = running.await_event("limit", since=mark, rule="max-local-size", to="little@example.kr")
    assert event["where"].startswith("limit account little@example.kr ")
    assert counted(event)[0] > counted(event)[1] == 10240
    result = running.await_event("result", since=mark, to="little@example.kr", outcome="bounced")
    assert (result["status"], result["code"]) == ("5.2.3", "552")
    running.await_event("result", since=mark, to="no@example.kr", outcome="delivered")
    report = running.wait_messages("lee@example.kr")
    assert any(b"5.2.3" in m and b"takes messages of up to 10K" in m for m in report)
    assert not running.messages("little@example.kr")


# ---- rates

def shown(running, *words):
    return {row["key"]: row for row in running_rows(running, *words) if "key" in row}


def running_rows(running, *words):
    done = running.run("limits", *words, "--json")
    return [json.loads(line) for line in done.stdout.splitlines()]


def used(running, key):
    row = shown(running).get(key)
    return row["used"] + row["reserved"] if row else 0


def test_defer_is_exact_under_parallel_sessions(running):
    """Eight sessions at once over all workers: the 40 of the day, not one more. What
    was never sent is given back."""
    key = "account many@example.kr recipients day"
    clients = [user(running, "many") for _ in range(8)]
    codes, lock = [], threading.Lock()

    def lane(client):
        client.mail("many@example.kr")
        client.send(b"RCPT TO:<lee@example.kr>\r\n" * 10)
        got = [client.reply() for _ in range(10)]
        with lock:
            codes.extend((r.code, r.enhanced) for r in got)

    lanes = [threading.Thread(target=lane, args=(c,)) for c in clients]
    for one in lanes:
        one.start()
    for one in lanes:
        one.join()
    assert codes.count((250, "2.1.5")) == 40
    assert codes.count((451, "4.7.1")) == 40
    assert used(running, key) == 40
    clients[0].command("RSET")
    clients[1].close()
    for client in clients[2:6]:
        client.data(smtp.text_message("many@example.kr"))
    for client in clients[6:]:
        client.close()
    wait.until(lambda: shown(running)[key]["reserved"] == 0, 10, "nothing is reserved any more")
    sent = used(running, key)
    with user(running, "many") as client:
        client.mail("many@example.kr")
        got = [client.rcpt("lee@example.kr") for _ in range(41 - sent)]
        assert [r.code for r in got] == [250] * (40 - sent) + [451]
        assert re.search(r"40 recipients per day; there is room again in \d", got[-1].text)
    event = running.await_event("refuse", rule="rate")
    assert counted(event) == (41, 40)
    assert "limit account many@example.kr" in event["where"]


def test_an_smtpd_that_dies_gives_back(running):
    key = "account quick@example.kr recipients day"
    client = user(running, "quick")
    client.mail("quick@example.kr")
    for _ in range(7):
        assert client.rcpt("lee@example.kr").code == 250
    assert used(running, key) == 7
    running.signal_role("smtpd")
    wait.until(lambda: used(running, key) == 0, 10, "what was reserved is free again")
    client.close()


def test_refuse_by_account_and_by_client(running):
    with user(running, "no") as client:
        for _ in range(2):
            assert client.deliver("no@example.kr", "lee@example.kr",
                                  smtp.text_message("no@example.kr")).code == 250
        mark = running.log.mark()
        event = refused(running, mark, client.mail("no@example.kr"), 550, "5.7.1", "rate",
                        "account no@example.kr")
        assert counted(event) == (3, 2)
    before = shown(running)
    done = running.run("explain", "--from-ip", "192.0.2.9", "--server", "submission", "--tls", "--auth",
                       "no@example.kr", "--mail-from", "no@example.kr", "--rcpt", "lee@example.kr",
                       check=False)
    assert "550 5.7.1" in done.stdout and "limit account no@example.kr" in done.stdout, done
    assert shown(running).keys() == before.keys()  # a rehearsal counts nothing
    for _ in range(2):
        with running.client(source="127.0.2.1") as client:
            client.ehlo()
            assert client.deliver("", "lee@example.kr", smtp.text_message()).code == 250
    with running.client(source="127.0.2.1") as client:
        client.ehlo()
        mark = running.log.mark()
        refused(running, mark, client.mail("a@b.example"), 550, "5.7.1", "rate",
                "network 127.0.2.1/32")


def test_hold_takes_the_message(running):
    with user(running, "later") as client:
        for count, to in ((2, ["lee", "kim"]), (1, ["lee"])):
            mark = running.log.mark()
            reply = client.deliver("later@example.kr", [f"{name}@example.kr" for name in to],
                                   smtp.text_message("later@example.kr", subject=f"held {count}"))
            assert reply.code == 250
        event = running.await_event("hold", since=mark, rule="rate")
        assert event["reason"] == "rate account recipients 2 per day"
        assert counted(event) == (3, 2)
    held = [row for row in running.queue() if row["state"] == "held"]
    assert [row["hold_reason"] for row in held] == ["rate account recipients 2 per day"]


# ---- what is told, restarts, reloads

def test_limits_are_shown(running):
    rows = running_rows(running, "--account", "lee@example.kr", "--client", "127.0.1.3",
                        "--server", "submissions")
    limits = {row["limit"]: row for row in rows if "limit" in row}
    expected = {"recipients": (5, "group staff"), "message-size": (60 << 10, "domain example.kr"),
                "errors": (2, "network 127.0.1.0/24"), "commands": (10, "server submissions"),
                "connections-per-minute": (2, "network 127.0.1.3/32")}
    for name, (value, where) in expected.items():
        assert limits[name]["value"] == value
        assert limits[name]["where"].startswith(f"limit {where} "), limits[name]
    assert limits["connections"] == {"limit": "connections", "value": 10000, "unit": "number",
                                     "where": "default"}
    assert limits["connections-address"]["where"].startswith("limit everywhere ")
    text = running.run("limits", "--account", "many@example.kr").stdout
    assert re.search(r"rate account recipients 40 per day +defer +\d+ ", text), text


def test_counts_outlive_the_processes_and_can_be_reset(running):
    key = "account no@example.kr messages day"
    assert used(running, key) == 2
    running.signal_role("queue")
    wait.until(lambda: used(running, key) == 2, 20, "the new queue knows")
    running.stop()
    assert shown(running)[key]["used"] == 2  # also while nothing runs
    running.start()
    with user(running, "no") as client:
        assert client.mail("no@example.kr").code == 550
        running.run("limits", "reset", key)
        assert client.mail("no@example.kr").code == 250
    assert running.run("limits", "reset", "account x@y.z messages day", check=False).returncode


def test_a_changed_limit_holds_from_the_next_message_on(running):
    with user(running, "kim") as client:
        client.mail("kim@example.kr")
        client.command("RSET")
        assert "{ recipients 3  message-size 20K }" in running.template
        running.write_config(
            running.template.replace("{ recipients 3  message-size 20K }", "{ recipients 1 }"))
        assert running.reload().returncode == 0
        client.mail("kim@example.kr", " SIZE=50000")
        assert [client.rcpt("lee@example.kr").code for _ in range(2)] == [250, 452]
