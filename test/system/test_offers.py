# SPDX-License-Identifier: ISC
"""What is offered changes while the server runs: with accounts that have no
SCRAM keys yet, with a reload that names mechanisms of libsasl2 which were not
loaded, and with what a foreign authentication service has."""

import base64
import os
import smtplib
import ssl

import pytest

from pabal import control, server, wait

CONFIG = server.USUAL.replace('server "submission" {', 'server "submission" { $extra').replace(
    'server "submissions" {', 'server "submissions" { $extra')
SHA512 = ("$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu"
          "9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/")  # of "password"
PATIENCE = 60  # the keys are looked for every ten seconds


@pytest.fixture
def house(make_folder, certificate, ca):
    folder = make_folder("offers")
    with server.Pabal(folder, CONFIG, certificate=certificate, extra="") as running:
        running.account("kim@example.kr", "secret")
        running.ca = ca
        yield running


def connect(house, name="submission"):
    context = ssl.create_default_context(cafile=house.ca.cert)
    if name == "submissions":
        client = smtplib.SMTP_SSL("localhost", house.port(name), context=context, timeout=60)
    else:
        client = smtplib.SMTP("localhost", house.port(name), timeout=60)
        client.starttls(context=context)
    client.ehlo("client.example")
    return client


def offered(house, name="submission"):
    with connect(house, name) as client:
        return client.esmtp_features.get("auth", "").split()


def base(octets):
    return base64.b64encode(octets).decode()


def login(client, user, password):
    return client.docmd("AUTH", "PLAIN " + base(f"\0{user}\0{password}".encode()))[0]


# ---- SCRAM is there for all or for nobody

def test_an_account_without_keys_takes_scram_away_until_it_logs_in(house):
    scram = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]
    wait.until(lambda: offered(house) == [*scram, "PLAIN", "LOGIN"], PATIENCE)
    house.run("account", "add", "park@example.kr", "--hash-stdin", input=SHA512 + "\n")
    for name in ("submission", "submissions"):
        wait.until(lambda: offered(house, name) == ["PLAIN", "LOGIN"], PATIENCE,
                   "SCRAM is taken away", every=0.2)
    with connect(house) as client:  # and cannot be used either
        assert client.docmd("AUTH", "SCRAM-SHA-256 " + base(b"n,,n=kim,r=abc"))[0] == 504
        assert login(client, "park@example.kr", "password") == 235
    for name in ("submission", "submissions"):
        wait.until(lambda: offered(house, name) == [*scram, "PLAIN", "LOGIN"], PATIENCE,
                   "SCRAM is back", every=0.2)


# ---- a reload may name what was not loaded

def rename(house, *mechanisms):
    house.words["extra"] = "\nmechanisms " + " ".join(f'"{m}"' for m in mechanisms) + "\n"
    house.write_config()
    done = house.reload()
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_reload_loads_what_it_names(house):
    (before,) = house.pids("auth")
    with connect(house) as old:
        code, _ = old.docmd("AUTH", "SCRAM-SHA-256 " + base(b"n,,n=kim,r=abcdefgh"))
        assert code == 334
        rename(house, "DIGEST-MD5", "OTP", "PLAIN")
        # What was half done is lost; the session itself is not.
        assert old.docmd(base(b"c=biws,r=abcdefgh,p=AAAA"))[0] == 454
        wait.until(lambda: login(old, "kim", "secret") == 235, 30, every=0.2)
    wait.until(lambda: offered(house) == ["OTP", "DIGEST-MD5", "PLAIN"], 30,
               "the new ones are offered", every=0.2)
    with connect(house) as client:
        code, text = client.docmd("AUTH", "DIGEST-MD5")
        assert code == 334 and b"nonce=" in base64.b64decode(text)
        assert client.docmd("*")[0] == 501
    (after,) = house.pids("auth")
    assert after != before
    assert house.await_event("role", reason=r"auth[0] starts anew: the new configuration needs what "
                             "it has not loaded")
    # Less needs nothing that is not there.
    rename(house, "DIGEST-MD5", "PLAIN")
    wait.until(lambda: offered(house) == ["DIGEST-MD5", "PLAIN"], 30, every=0.2)
    assert house.pids("auth") == [after]
    assert control.roles(house, "auth")[0]["restarts"] == 0  # nothing went wrong
