# SPDX-License-Identifier: ISC
"""What an account may do, and how it can log in: rights and limits of its own
and of its groups, in old sessions too; locked and expired accounts; passwords
of applications; recoverable passwords; acting as another."""

import base64
import hashlib
import hmac
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from pabal import server, smtp

KIM, LEE = "kim@example.kr", "lee@example.kr"
CONFIG = server.USUAL + """\
queue { hold yes }
server "old" { listen "$listen_old" require { tls auth } mechanisms "PLAIN" "CRAM-MD5" }
"""


@pytest.fixture(scope="module")
def made(certificate):
    with tempfile.TemporaryDirectory(prefix="accounts.", dir=os.environ.get("PABAL_TEST_FOLDER"),
                                     ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with server.Pabal(folder, CONFIG, certificate=certificate) as made:
            made.account(KIM, "secret")
            made.account(LEE, "other")
            yield made


@pytest.fixture
def pabal(made):
    yield made
    made.run("account", "set", "kim", "--submit", "default", "--relay", "default", "--from", "default",
             "--servers", "default", "--groups", "none", "--expires", "never", "--unlock",
             "--act-as", "none")


def show(made, name="kim"):
    (row,) = [json.loads(line) for line in
              made.run("account", "show", name, "--json").stdout.splitlines()]
    return row


def log_in(made, user, password, name="submission", authzid="", **words):
    """The reply to AUTH PLAIN under TLS."""
    with made.client(name, **words) as client:
        client.ehlo()
        if name == "submission":
            client.starttls()
            client.ehlo()
        return client.auth_plain(user, password, authzid)


# ---- rights

def test_rights_hold_from_the_next_message_on(pabal):
    with pabal.session() as old:
        assert old.mail(KIM).code == 250
        assert old.rcpt("someone@example.com").code == 250
        assert old.command("RSET").code == 250
        pabal.run("account", "set", "kim", "--relay", "no")
        assert old.mail(KIM).code == 250
        reply = old.rcpt("someone@example.com")
        assert reply.code == 550 and "your account has no right" in reply.text
        assert old.rcpt(LEE).code == 250
        assert old.command("RSET").code == 250
        pabal.run("account", "set", "kim", "--submit", "no")
        reply = old.mail(KIM)
        assert reply.code == 550 and "submit-denied" in reply.text
        row = show(pabal)
        assert (row["submit"], row["submit_by"], row["relay"]) == ("no", "account", "no")
        pabal.run("account", "set", "kim", "--submit", "yes", "--relay", "default")
        assert old.mail(KIM).code == 250
        assert old.rcpt("someone@example.com").code == 250


def test_an_account_sends_from_its_networks_only(pabal):
    with pabal.session(source="203.0.113.7") as far, pabal.session(source="192.0.2.5") as near:
        assert far.mail(KIM).code == 250 and far.command("RSET").code == 250
        pabal.run("account", "set", "kim", "--from", "192.0.2.0/24,2001:db8::/32")
        reply = far.mail(KIM)
        assert (reply.code, reply.enhanced) == (550, "5.7.1")
        assert "account kim@example.kr may not send from 203.0.113.7" in reply.text
        refused = pabal.await_event("refuse", rule="account-from-networks", account=KIM)
        assert refused["client"].startswith("203.0.113.7")
        assert near.mail(KIM).code == 250
        pabal.run("account", "set", "kim", "--from", "any")
        assert far.mail(KIM).code == 250
    done = pabal.run("account", "set", "kim", "--from", "office", check=False)
    assert done.returncode == 1 and '"office" is no network' in done.stderr


def test_an_account_sends_through_its_servers_only(pabal):
    pabal.run("account", "set", "kim", "--servers", "submissions")
    with pabal.session() as there, pabal.session(name="submissions") as here:
        reply = there.mail(KIM)
        assert reply.code == 550 and "account-servers" in reply.text
        assert here.mail(KIM).code == 250
    done = pabal.run("account", "set", "kim", "--servers", "nowhere", check=False)
    assert done.returncode == 1 and 'no server "nowhere"' in done.stderr


def test_a_group_speaks_for_its_accounts(pabal):
    pabal.run("account", "group", "add", "interns", "--relay", "no", "--from", "192.0.2.0/24")
    try:
        done = pabal.run("account", "set", "kim", "--groups", "interns,ghosts", check=False)
        assert done.returncode == 1 and "group add" in done.stderr
        pabal.run("account", "set", "kim", "--groups", "interns")
        row = show(pabal)
        assert (row["relay"], row["relay_by"]) == ("no", "group interns")
        assert row["from"] == [{"by": "group interns", "words": "192.0.2.0/24"}]
        text = pabal.run("account", "show", "kim").stdout
        assert re.search(r"relay +no \(group interns\)", text), text
        with pabal.session(source="203.0.113.7") as old:
            assert old.mail(KIM).code == 550
            pabal.run("account", "group", "set", "interns", "--from", "default")
            assert old.mail(KIM).code == 250
            assert old.rcpt("someone@example.com").code == 550
            assert old.command("RSET").code == 250
        pabal.run("account", "set", "kim", "--relay", "yes")  # beats its groups
        with pabal.session() as new:
            assert new.mail(KIM).code == 250
            assert new.rcpt("someone@example.com").code == 250
        done = pabal.run("account", "group", "remove", "interns", check=False)
        assert done.returncode == 1 and "accounts are in the group" in done.stderr
        assert "interns" in pabal.run("account", "group", "list").stdout
    finally:
        pabal.run("account", "set", "kim", "--groups", "none")
        pabal.run("account", "group", "remove", "interns")


# ---- locked and expired

@pytest.mark.parametrize("words,reason,rule", [
    (["--lock", "telephone was stolen"], "locked: telephone was stolen", "account-locked"),
    (["--expires", "2020-01-31"], "expired", "account-expired"),
])
def test_who_must_not_log_in_hears_what_a_wrong_password_hears(pabal, words, reason, rule):
    wrong = log_in(pabal, KIM, "wrong")
    with pabal.session() as old:
        pabal.run("account", "set", "kim", *words)
        mark = pabal.log.mark()
        refused = log_in(pabal, KIM, "secret")
        assert (refused.code, refused.text) == (wrong.code, wrong.text)
        assert refused.code == 535 and refused.enhanced == "5.7.8"
        assert pabal.await_event("auth", since=mark, account=KIM, reason=re.compile(reason))
        reply = old.mail(KIM)
        assert reply.code == 550 and rule in reply.text and "stolen" not in reply.text
        assert old.deliver(LEE, [LEE], smtp.text_message()).code == 550
    assert show(pabal)["state"] == reason.partition(":")[0]
    pabal.run("account", "set", "kim", "--unlock", "--expires", "30d")
    assert log_in(pabal, KIM, "secret").code == 235
    assert show(pabal)["expires"] > 0


def test_expiry_is_a_date(pabal):
    for given in ("tomorrow", "2026-13-01", "2026-02-30", "30", "2026-01-01T25:00", ""):
        done = pabal.run("account", "set", "kim", "--expires", given, check=False)
        assert done.returncode == 1 and "is no date" in done.stderr, given


# ---- passwords of applications

def add_password(made, *words):
    out = made.run("account", "app-password", "add", "kim", *words).stdout
    password = out.splitlines()[0]
    assert re.fullmatch(r"[a-z]{4}(-[a-z]{4}){4}", password)
    return password


def test_an_application_password_works_until_it_is_removed(pabal):
    password = add_password(pabal, "--label", "telephone")
    assert log_in(pabal, KIM, password, source="192.0.2.8").code == 235
    assert log_in(pabal, KIM, password.replace("-", "").upper()).code == 235
    assert log_in(pabal, LEE, password).code == 535
    assert log_in(pabal, KIM, "secret").code == 235
    (row,) = show(pabal)["applications"]
    assert row["label"] == "telephone" and row["last_use"] > 0
    assert password not in pabal.run("account", "app-password", "list", "kim").stdout
    assert password not in pabal.log.text()
    done = pabal.run("account", "app-password", "add", "kim", "--label", "telephone", check=False)
    assert done.returncode == 1 and "remove it first" in done.stderr
    pabal.run("account", "app-password", "remove", "kim", "--label", "telephone")
    assert log_in(pabal, KIM, password).code == 535
    assert show(pabal)["applications"] == []


def test_an_application_password_is_bound_to_networks_and_time(pabal):
    home = add_password(pabal, "--label", "home", "--from", "192.0.2.0/24")
    old = add_password(pabal, "--label", "old", "--expires", "2020-01-31")
    wrong = log_in(pabal, KIM, "wrong")
    assert log_in(pabal, KIM, home, source="192.0.2.8").code == 235
    mark = pabal.log.mark()
    refused = log_in(pabal, KIM, home, source="203.0.113.7")
    assert (refused.code, refused.text) == (wrong.code, wrong.text)
    assert pabal.await_event("auth", since=mark, reason=re.compile("home.*203.0.113.7"))
    assert log_in(pabal, KIM, old).code == 535
    assert pabal.await_event("auth", since=mark, reason=re.compile("old.*expired"))
    for label in ("home", "old"):
        pabal.run("account", "app-password", "remove", "kim", "--label", label)


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl")
def test_curl_sends_with_an_application_password(pabal, certificate, tmp_path):
    password = add_password(pabal, "--label", "curl")
    message = tmp_path / "message"
    message.write_bytes(smtp.text_message(KIM, LEE, "by curl"))
    done = subprocess.run(
        ["curl", "-sS", "--ssl-reqd", "-k", "--url", f"smtp://127.0.0.1:{pabal.port('submission')}",
         "--user", f"{KIM}:{password}", "--mail-from", KIM, "--mail-rcpt", LEE, "-T", str(message)],
        capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert pabal.await_event("accept", account=KIM)
    pabal.run("account", "app-password", "remove", "kim", "--label", "curl")


# ---- recoverable passwords

def test_legacy_stores_the_password_sealed_and_forgets_it(pabal):
    key, secrets = (pabal.folder / "state" / "auth" / name for name in ("legacy.key", "secrets.db"))
    assert show(pabal)["legacy"] is False
    done = pabal.run("account", "set", "kim", "--legacy", "on", input="wrong\n", check=False)
    assert done.returncode == 1 and "not the password" in done.stderr
    assert not show(pabal)["legacy"]
    pabal.run("account", "set", "kim", "--legacy", "on", input="secret\n")
    assert show(pabal)["legacy"] is True
    assert "recoverable" in pabal.run("account", "show", "kim").stdout
    assert key.stat().st_mode & 0o777 == 0o600 and key.stat().st_size == 32
    pabal.run("account", "passwd", "kim", input="horse-battery\n")  # sealed again
    assert show(pabal)["legacy"] is True
    assert log_in(pabal, KIM, "horse-battery").code == 235
    pabal.run("account", "set", "kim", "--legacy", "off")
    assert show(pabal)["legacy"] is False
    pabal.run("account", "passwd", "kim", input="secret\n")
    assert show(pabal)["legacy"] is False
    assert b"horse-battery" not in secrets.read_bytes()


def cram_md5(made, user, password):
    with made.client("old") as client:
        client.ehlo()
        client.starttls()
        client.ehlo()
        reply = client.command("AUTH CRAM-MD5")
        assert reply.code == 334, reply
        challenge = base64.b64decode(reply.text.split(" ")[-1])
        digest = hmac.new(password.encode(), challenge, hashlib.md5).hexdigest()
        return client.command(base64.b64encode(f"{user} {digest}".encode()))


def test_an_old_mechanism_needs_the_recoverable_password(pabal):
    wrong = log_in(pabal, KIM, "wrong")
    mark = pabal.log.mark()
    refused = cram_md5(pabal, KIM, "secret")
    assert (refused.code, refused.text) == (wrong.code, wrong.text)
    assert pabal.await_event("auth", since=mark, account=KIM,
                             reason=re.compile(f"pabal account set {KIM} --legacy on"))
    pabal.run("account", "set", "kim", "--legacy", "on", input="secret\n")
    assert cram_md5(pabal, KIM, "secret").code == 235
    assert cram_md5(pabal, KIM, "wrong").code == 535
    pabal.run("account", "set", "kim", "--lock", "on holiday")
    mark = pabal.log.mark()
    assert cram_md5(pabal, KIM, "secret").code == 535
    assert pabal.await_event("auth", since=mark, account=KIM, reason="locked: on holiday")
    pabal.run("account", "set", "kim", "--unlock", "--legacy", "off")
    assert cram_md5(pabal, KIM, "secret").code == 535


# ---- hashes made elsewhere

SHA512 = ("$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu"
          "9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/")  # of "password"


def test_an_imported_hash_gets_its_keys_at_the_next_login(pabal):
    pabal.run("account", "add", "park", "--hash-stdin", input=SHA512 + "\n")
    row = show(pabal, "park")
    assert (row["password"], row["scram"]) == ("sha512crypt", False)
    assert log_in(pabal, "park@example.kr", "wrong").code == 535
    assert not show(pabal, "park")["scram"]
    assert log_in(pabal, "park@example.kr", "password", source="192.0.2.9").code == 235
    row = show(pabal, "park")
    assert (row["password"], row["scram"]) == ("sha512crypt", True)
    assert row["last_use"] > 0 and row["last_client"] == "192.0.2.9"
    pabal.run("account", "remove", "park")
    done = pabal.run("account", "add", "park", "--hash-stdin", input="secret\n", check=False)
    assert done.returncode == 1 and "no password hash" in done.stderr
    assert pabal.run("account", "show", "park", check=False).returncode == 1


# ---- acting as another

def test_nobody_acts_as_another_without_a_grant(pabal):
    wrong = log_in(pabal, KIM, "wrong")
    refused = log_in(pabal, KIM, "secret", authzid=LEE)
    assert (refused.code, refused.text) == (wrong.code, wrong.text)
    pabal.run("account", "set", "kim", "--act-as", LEE)
    mark = pabal.log.mark()
    assert log_in(pabal, KIM, "secret", authzid=LEE).code == 235
    assert pabal.await_event("auth", since=mark, account=LEE, login=KIM, status="acts as")
    assert pabal.await_event("auth", since=mark, account=LEE, code="235")
    assert log_in(pabal, KIM, "wrong", authzid=LEE).code == 535
    assert log_in(pabal, LEE, "other", authzid=KIM).code == 535
    pabal.run("account", "disable", "lee")
    assert log_in(pabal, KIM, "secret", authzid=LEE).code == 535
    assert log_in(pabal, KIM, "secret").code == 235
    pabal.run("account", "enable", "lee")


# ---- with the server stopped

def test_all_of_it_works_with_the_server_stopped(folder, certificate):
    with server.Pabal(folder, CONFIG, certificate=certificate, start=False) as made:
        made.account(KIM, "secret")
        made.run("account", "group", "add", "staff", "--relay", "no")
        made.run("account", "set", "kim", "--groups", "staff", "--from", "192.0.2.0/24")
        made.run("account", "set", "kim", "--legacy", "on", input="secret\n")
        password = add_password(made, "--label", "telephone")
        row = show(made)
        assert row["legacy"] and row["relay_by"] == "group staff"
        made.start()
        assert show(made) == row
        assert log_in(made, KIM, password).code == 235
        made.stop()
        (application,) = show(made)["applications"]  # kept over the restart
        assert application["last_use"] > 0 and application["last_client"] == "127.0.0.1"
        made.run("account", "remove", "kim")
        assert made.run("account", "show", "kim", check=False).returncode == 1


@pytest.mark.root
def test_the_key_file_belongs_to_the_role_that_reads_it(folder, certificate):
    with server.Pabal(folder, CONFIG, certificate=certificate, as_root=True) as made:
        made.account(KIM, "secret")
        made.run("account", "set", "kim", "--legacy", "on", input="secret\n")
        key = made.folder / "state" / "auth" / "legacy.key"
        assert (key.owner(), key.stat().st_mode & 0o777) == ("pabal-auth", 0o600)
        made.stop()
        key.unlink()
        made.run("account", "set", "kim", "--legacy", "on", input="secret\n")  # by root itself
        assert (key.owner(), key.stat().st_mode & 0o777) == ("pabal-auth", 0o600)
        made.start()
        made.run("account", "passwd", "kim", input="horse-battery\n")
        assert show(made)["legacy"] is True
