# SPDX-License-Identifier: ISC
"""What an administrator is told of logging in: `pabal check` and `pabal status`
about sources and mechanisms, and who keeps SCRAM from being offered."""

import re

import pytest

from pabal import server, wait
from test_sources import Source, login, usual

# of "secret", made elsewhere
HASH = ("$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc"
        "1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1")


@pytest.fixture
def shared(folder):
    programs = folder / "programs"
    programs.mkdir(mode=0o755)
    return programs


def offered(pabal, where="submission"):
    with pabal.client(where) as client:
        client.ehlo()
        assert client.starttls().code == 220
        return client.ehlo().text


# ---- status

def test_a_source_that_is_skipped_is_shown(start, certificate, shared):
    hanging = Source(shared, "hanging", "hang", more="timeout 1s")
    pabal = start(server.Pabal, usual(hanging.block), certificate=certificate)
    assert not pabal.status("skipped-source")
    assert login(pabal, "park", "p1").code == 454
    row, = pabal.status("skipped-source")
    assert row["source"] == "hanging" and 0 <= row["left_ms"] <= 10_000
    text = pabal.run("status", check=False).stdout
    assert re.search(r"^hanging +\d", text, re.M) and 'source "hanging" was too slow' in text


# ---- check

def test_check_tells_of_sources_and_of_what_servers_offer(start, certificate, shared):
    source = Source(shared, "one", "park", "p1", "on-failure continue")
    pabal = start(server.Pabal, usual(source.block, 'source "accounts"'), certificate=certificate)
    pabal.account("kim@example.kr", "secret")
    done = pabal.run("check")
    assert re.search(r"^one +checkpassword +passwords +checker(, as .*)?$", done.stdout, re.M), done.stdout
    assert re.search(r"^accounts +accounts +passwords, SCRAM keys, .* auth$", done.stdout, re.M)
    assert re.search(r"^submission +- +PLAIN LOGIN$", done.stdout, re.M), done.stdout
    assert re.search(r'server "submission" does not offer SCRAM-SHA-256: .*\(one\)', done.stderr)
    assert "SCRAM" not in offered(pabal)


# ---- accounts without SCRAM keys

def import_account(pabal, name):
    pabal.run("account", "add", name, "--hash-stdin", input=HASH + "\n")


def scram_is_offered(pabal):
    return "SCRAM-SHA-256" in offered(pabal)


def test_who_may_not_log_in_takes_no_scram_away(start, certificate):
    pabal = start(server.Pabal, certificate=certificate)
    pabal.account("kim@example.kr", "secret")
    wait.until(lambda: scram_is_offered(pabal), 20, "all have keys")
    for name in ("lee@example.kr", "park@example.kr"):
        import_account(pabal, name)
    wait.until(lambda: not scram_is_offered(pabal), 20, "two have none")
    shown = pabal.run("check").stderr
    assert re.search(r"no SCRAM keys.*: lee@example.kr park@example.kr$", shown, re.M), shown
    pabal.run("account", "disable", "lee@example.kr")
    shown = pabal.run("check").stderr
    assert re.search(r"no SCRAM keys.*: park@example.kr$", shown, re.M), shown
    assert not scram_is_offered(pabal)
    pabal.run("account", "disable", "park@example.kr")
    wait.until(lambda: scram_is_offered(pabal), 20, "who has none may not log in")
    done = pabal.run("check")
    assert "no SCRAM keys" not in done.stderr
    assert re.search(r"^submission +- +SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN$", done.stdout,
                     re.M), done.stdout
    pabal.run("account", "enable", "park@example.kr")
    wait.until(lambda: not scram_is_offered(pabal), 20, "one may again")
    pabal.stop()
    shown = pabal.run("check").stderr
    assert re.search(r"no SCRAM keys.*: park@example.kr$", shown, re.M), shown


def test_after_a_start_only_enabled_accounts_count(start, certificate):
    pabal = start(server.Pabal, certificate=certificate, start=False)
    import_account(pabal, "lee@example.kr")
    pabal.run("account", "disable", "lee@example.kr")
    pabal.start()
    wait.until(lambda: scram_is_offered(pabal), 20, "he does not count")
