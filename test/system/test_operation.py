# SPDX-License-Identifier: ISC
"""What an operator sees and does: events with their reasons, the story of a
message, the queue and its commands, with the server running and stopped."""

import json
import re

import pytest

from pabal import control, server, sink, smtp, wait

CONFIG = server.USUAL + """\
clients { "192.0.2.0/24" relay }
queue { first-retry 1h max-retry 1h }
route "sink.test" { smtp "127.0.0.1:$sink_port" tls never }
route "held.test" { smtp "127.0.0.1:$sink_port" tls never }
max-message-size 100K
"""


@pytest.fixture
def next_hop(start):
    return start(sink.Sink)


@pytest.fixture
def pabal(start, certificate, next_hop):
    running = start(server.Pabal, CONFIG, certificate=certificate, sink_port=next_hop.port)
    running.account("kim@example.kr", "secret")
    return running


def trace(running, what):
    return control.rows(running, "trace", what)


def told(running, what, wanted):
    """Awaits the events of that names, in this order among others."""
    def found():
        done = running.run("trace", what, "--json", check=False)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        names = [row["event"] for row in rows]
        at = iter(names)
        return rows if all(name in at for name in wanted) else None
    return wait.until(found, 10, f"the story of {what} has {wanted}", every=0.1)


def send(running, recipients, sender="kim@example.kr"):
    """From 192.0.2.77 by its right to relay; the id of the message."""
    mark = running.log.mark()
    with running.client(source="192.0.2.77") as client:
        client.ehlo()
        reply = client.deliver(sender, recipients, smtp.text_message(sender, recipient="lee"))
        assert reply.code == 250, reply
    return running.await_event("accept", since=mark)["id"]


# ---- what is refused has a reason and an id

def test_a_refused_relay_is_an_event_though_nothing_was_queued(pabal):
    with pabal.client(source="203.0.113.9") as client:
        client.ehlo()
        client.mail("lee@example.com")
        assert client.rcpt("someone@sink.test").code == 550
        client.quit()
    event = pabal.await_event("refuse", client="203.0.113.9")
    assert event["verb"] == "RCPT" and event["code"] == "550" and event["status"] == "5.7.1"
    assert event["rule"] and event["server"] == "mx" and event["session"] == event["id"]
    assert event["from"] == "lee@example.com" and event["to"] == "someone@sink.test"
    for what in (event["id"], "203.0.113.9", "someone@sink.test", "lee@example.com"):
        rows = told(pabal, what, ["refuse"])
        [refusal] = [row for row in rows if row["event"] == "refuse"]
        assert refusal["rule"] == event["rule"]
    told(pabal, event["id"], ["connect", "refuse", "disconnect"])
    words = pabal.run("trace", event["id"]).stdout
    assert "someone@sink.test" in words and event["rule"] in words and "203.0.113.9" in words


def test_what_an_account_may_not_do_names_the_account(pabal):
    with pabal.session() as client:
        assert client.mail("kim@example.kr", "SIZE=200000").code == 552
    event = pabal.await_event("refuse", account="kim@example.kr")
    assert event["rule"] and event["code"] == "552" and event["client"] == "127.0.0.1"
    assert event["server"] == "submission"
    rows = told(pabal, event["session"], ["connect", "auth", "refuse"])
    assert rows[-1]["session"] == event["session"]


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "VERB", "STARTTLS"])
def test_every_refused_command_has_an_id_a_rule_and_a_client(pabal, step):
    with pabal.client(source="203.0.113.10") as client:
        client.ehlo()
        if step == "MAIL":
            client.mail("no address")
        elif step == "RCPT":
            client.mail("lee@example.com")
            client.rcpt("nobody@example.kr")
        elif step == "DATA":
            client.command("DATA")
        elif step == "VERB":
            client.command("ETRN example.kr")
        else:
            client.command("STARTTLS now")
    event = pabal.await_event("refuse", client="203.0.113.10", rule=...)
    assert re.fullmatch("[0-9a-z]{13}", event["id"]), event
    assert 400 <= int(event["code"]) < 600


def test_a_wrong_password_is_an_event(pabal):
    with pabal.client("submission", source="203.0.113.11") as client:
        client.ehlo(), client.starttls(), client.ehlo()
        assert client.auth_plain("kim@example.kr", "sesame").code == 535
    event = pabal.await_event("auth", client="203.0.113.11", code="535")
    assert event["session"]
    assert "sesame" not in pabal.log.text(), "what was tried is nobody's business"
    told(pabal, "203.0.113.11", ["connect", "auth"])


def test_status_counts_what_was_refused(pabal):
    for _ in range(3):
        with pabal.client(source="203.0.113.9") as client:
            client.ehlo()
            client.mail("lee@example.com")
            client.rcpt("someone@sink.test")
    rule = pabal.await_event("refuse")["rule"]

    def counted():
        rows = [row for row in control.rows(pabal, "status") if row.get("kind") == "cause"]
        return [row["count"] for row in rows if row["rule"] == rule] == [3]
    wait.until(counted, 10, "three refusals by one rule")
    assert re.search(rf"{rule} +3", pabal.run("status").stdout)


# ---- the story of a message

def test_the_story_of_a_message(pabal, next_hop):
    identifier = send(pabal, ["lee@sink.test", "kim@example.kr"])
    next_hop.wait(messages=1)
    pabal.wait_messages("kim@example.kr")
    rows = told(pabal, identifier, ["accept", "result", "result"])
    accept = next(row for row in rows if row["event"] == "accept")
    assert accept["client"] == "192.0.2.77" and accept["from"] == "kim@example.kr"
    results = {row["to"]: row for row in rows if row["event"] == "result"}
    assert all(row["outcome"] == "delivered" for row in results.values()), results
    assert "127.0.0.1" in results["lee@sink.test"]["host"]
    # by the session it came in: the story begins with the connection
    told(pabal, accept["session"], ["connect", "accept", "result"])
    for address in ("lee@sink.test", "kim@example.kr"):
        told(pabal, address, ["accept", "result"])
    lines = pabal.run("trace", identifier).stdout.splitlines()
    assert re.match(r"\d{4}-\d\d-\d\dT\S+Z +connect ", lines[0]), lines
    assert any(" accept " in line for line in lines)
    assert sum("outcome=delivered" in line for line in lines) == 2


def test_the_story_of_a_bounce(pabal, next_hop):
    next_hop.answer("RCPT", "550 5.1.1 nobody here")
    identifier = send(pabal, ["lee@sink.test"])
    pabal.wait_messages("kim@example.kr")
    rows = told(pabal, identifier, ["accept", "result", "bounce"])
    [result] = [row for row in rows if row["event"] == "result"]
    assert result["outcome"] == "bounced" and "nobody here" in result["reason"]
    report = next(row for row in rows if row["event"] == "bounce")["report"]
    told(pabal, report, ["result"])


def test_the_story_is_told_after_a_restart_and_by_a_stopped_server(pabal, next_hop):
    identifier = send(pabal, ["lee@sink.test"])
    next_hop.wait(messages=1)
    told(pabal, identifier, ["accept", "result"])
    pabal.stop()
    told(pabal, identifier, ["accept", "result"])
    pabal.start()
    told(pabal, identifier, ["accept", "result"])


def test_nothing_is_known_of_what_never_was(pabal):
    for what in ("0000000000001", "never@seen.test", "198.51.100.200"):
        done = pabal.run("trace", what, check=False)
        assert done.returncode == 1 and "nothing is known" in done.stderr


# ---- the queue

@pytest.fixture
def waiting(pabal, next_hop):
    """Three messages that wait: ids by recipient. The next hop says 451."""
    next_hop.answer("RCPT", "451 4.2.0 come again")
    ids = {"lee@sink.test": send(pabal, ["lee@sink.test"]),
           "pak@sink.test": send(pabal, ["pak@sink.test"], "lee@example.kr"),
           "cho@held.test": send(pabal, ["cho@held.test"])}
    wait.until(lambda: [row["tries"] for row in control.queue(pabal)] == [1, 1, 1], 10)
    return ids


def recipients(rows):
    return sorted(row["recipient"] for row in rows)


def test_the_queue_is_listed(pabal, waiting):
    rows = control.queue(pabal)
    assert recipients(rows) == ["cho@held.test", "lee@sink.test", "pak@sink.test"]
    row = next(row for row in rows if row["recipient"] == "lee@sink.test")
    assert row["message"] == waiting["lee@sink.test"] and row["state"] == "due"
    assert row["sender"] == "kim@example.kr" and row["client"] == "192.0.2.77"
    assert "come again" in row["reply"] and row["status"] == "4.2.0" and row["tries"] == 1
    assert row["next_try"] > row["received"]
    assert recipients(control.queue(pabal, "--sender", "lee@example.kr")) == ["pak@sink.test"]
    assert recipients(control.queue(pabal, "--recipient", "lee@sink.test")) == ["lee@sink.test"]
    assert recipients(control.queue(pabal, "--domain", "held.test")) == ["cho@held.test"]
    assert recipients(control.queue(pabal, waiting["pak@sink.test"])) == ["pak@sink.test"]
    assert control.queue(pabal, "--state", "held") == []
    words = pabal.run("queue", "list").stdout
    assert "come again" in words and words.count("@sink.test") >= 2
    done = pabal.run("queue", "list", "--limit", "2", "--json")
    assert len(done.stdout.splitlines()) == 2 and "--limit" in done.stderr
    summary = control.summary(pabal)["queue"]
    assert (summary["messages"], summary["due"], summary["held"]) == (3, 3, 0)


def test_a_message_is_shown(pabal, waiting):
    rows = control.rows(pabal, "queue", "show", waiting["lee@sink.test"])
    assert rows[0]["recipient"] == "lee@sink.test"
    message = rows[-1]
    assert message["id"] == waiting["lee@sink.test"] and message["size"] > 0
    assert "Subject: a test" in message["headers"] and "Received: from" in message["headers"]
    assert "Subject: a test" in pabal.run("queue", "show", waiting["lee@sink.test"]).stdout
    done = pabal.run("queue", "show", "0000000000001", check=False)
    assert done.returncode == 1 and done.stderr


def test_retry_tries_now(pabal, waiting, next_hop):
    next_hop.be_good()
    assert control.rows(pabal, "queue", "retry", waiting["lee@sink.test"]) == [{"count": 1}]
    next_hop.wait(messages=1)
    assert control.rows(pabal, "queue", "retry", "--all") == [{"count": 2}]
    next_hop.wait(messages=3)
    wait.until(lambda: not control.queue(pabal), 10)


def test_what_is_held_waits_until_it_is_released(pabal, waiting, next_hop):
    next_hop.be_good()
    assert control.rows(pabal, "queue", "hold", "--domain", "sink.test") == [{"count": 2}]
    held = control.queue(pabal, "--state", "held")
    assert recipients(held) == ["lee@sink.test", "pak@sink.test"]
    pabal.await_event("hold", id=waiting["lee@sink.test"], to="lee@sink.test")
    assert "2 recipients are held" in pabal.run("status").stdout
    pabal.run("queue", "retry", "--all")
    messages = next_hop.wait(messages=1)
    assert messages[0].recipients == ["cho@held.test"], "held ones are not tried"
    wait.until(lambda: recipients(control.queue(pabal)) == ["lee@sink.test", "pak@sink.test"], 10)
    assert control.rows(pabal, "queue", "release", waiting["pak@sink.test"]) == [{"count": 1}]
    next_hop.wait(messages=2)
    assert control.rows(pabal, "queue", "release", "--all") == [{"count": 1}]
    next_hop.wait(messages=3)
    told(pabal, waiting["lee@sink.test"], ["accept", "hold", "release", "result"])


def test_what_is_deleted_is_gone(pabal, waiting, next_hop):
    next_hop.be_good()
    assert control.rows(pabal, "queue", "delete", "--sender", "lee@example.kr") == [{"count": 1}]
    assert control.rows(pabal, "queue", "delete", waiting["cho@held.test"]) == [{"count": 1}]
    pabal.run("queue", "retry", "--all")
    [message] = next_hop.wait(messages=1)
    assert message.recipients == ["lee@sink.test"]
    wait.until(lambda: not control.queue(pabal), 10)
    rows = told(pabal, waiting["cho@held.test"], ["accept", "admin"])
    assert "deleted" in rows[-1]["reason"]
    assert pabal.messages("kim@example.kr") == [], "without a report"


@pytest.mark.parametrize("action", ["retry", "hold", "release", "delete"])
def test_a_change_says_of_what(pabal, waiting, action):
    done = pabal.run("queue", action, check=False)
    assert done.returncode != 0 and "say which" in done.stderr
    done = pabal.run("queue", action, "0000000000001", check=False)
    assert done.returncode == 1 and done.stderr
    assert len(control.queue(pabal)) == 3


def test_the_commands_work_on_a_stopped_server(pabal, waiting, next_hop):
    pabal.stop()
    next_hop.be_good()
    assert recipients(control.queue(pabal)) == ["cho@held.test", "lee@sink.test", "pak@sink.test"]
    assert control.rows(pabal, "queue", "hold", waiting["lee@sink.test"]) == [{"count": 1}]
    assert control.rows(pabal, "queue", "delete", waiting["pak@sink.test"]) == [{"count": 1}]
    assert control.rows(pabal, "queue", "retry", waiting["cho@held.test"]) == [{"count": 1}]
    assert pabal.run("status", check=False).returncode == 1
    pabal.start()
    [message] = next_hop.wait(messages=1)
    assert message.recipients == ["cho@held.test"]
    wait.until(lambda: recipients(control.queue(pabal)) == ["lee@sink.test"], 10)
    assert control.queue(pabal)[0]["state"] == "held"


def test_mail_is_taken_and_kept_while_the_queue_is_on_hold(pabal, next_hop):
    pabal.write_config(CONFIG.replace("queue { first", "queue { hold yes first"))
    assert pabal.reload().returncode == 0
    identifier = send(pabal, ["lee@sink.test"])
    [row] = control.queue(pabal)
    assert row["state"] == "held" and row["message"] == identifier
    pabal.write_config(CONFIG)
    assert pabal.reload().returncode == 0
    next_hop.wait(messages=1)
