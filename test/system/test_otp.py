# SPDX-License-Identifier: ISC
"""One-time passwords (mechanism OTP, RFC 2444) with a calculator of our own
(RFC 2289): they count down, none works twice, also after a crash."""

import base64
import hashlib
import json
import os
import re
import signal
import smtplib
import ssl

import pytest

from pabal import control, server, wait

PHRASE = "a phrase of the test"
CONFIG = server.USUAL.replace('server "submission" {', 'server "submission" { $extra').replace(
    'server "submissions" {', 'server "submissions" { $extra')


@pytest.fixture(scope="module")
def house(make_folder, certificate, ca):
    folder = make_folder("otp")
    with server.Pabal(folder, CONFIG, certificate=certificate,
                      extra='\nmechanisms "OTP" "PLAIN"\n') as running:
        running.account("kim@example.kr", "secret")
        running.ca = ca
        yield running


@pytest.fixture(autouse=True)
def fresh(house):
    house.run("account", "set", "kim", "--otp", "on", input=PHRASE + "\n")


def otp(algorithm, sequence, seed, phrase=PHRASE):
    value = (seed.lower() + phrase).encode()
    for _ in range(sequence + 1):
        digest = hashlib.new(algorithm, value).digest()
        folded = bytearray(8)
        for at, octet in enumerate(digest):
            folded[at % 8] ^= octet
        if algorithm == "sha1":
            folded = folded[3::-1] + folded[:3:-1]
        value = bytes(folded)
    return value.hex()


def connect(house, name="submission"):
    context = ssl.create_default_context(cafile=house.ca.cert)
    if name == "submissions":
        client = smtplib.SMTP_SSL("localhost", house.port(name), context=context, timeout=60)
    else:
        client = smtplib.SMTP("localhost", house.port(name), timeout=60)
        client.starttls(context=context)
    client.ehlo("client.example")
    return client


def ask(client, user="kim", authzid=""):
    """The challenge's algorithm, sequence and seed."""
    first = base64.b64encode(f"{authzid}\0{user}".encode()).decode()
    code, text = client.docmd("AUTH", f"OTP {first}")
    assert code == 334, text
    words = base64.b64decode(text).decode().split()
    assert words[3] == "ext" and words[0].startswith("otp-")
    return words[0][4:], int(words[1]), words[2]


def answer(client, text):
    return client.docmd(base64.b64encode(text.encode()).decode())[0]


def show(house):
    return json.loads(house.run("account", "show", "kim", "--json").stdout)


@pytest.mark.parametrize("name", ["submission", "submissions"])
@pytest.mark.parametrize("algorithm", ["sha1", "md5"])
def test_passwords_count_down(house, name, algorithm):
    house.run("account", "set", "kim", "--otp", algorithm, input=PHRASE + "\n")
    row = show(house)
    assert (row["otp"], row["otp_left"]) == (algorithm, 499)
    for sequence in (499, 498, 497):
        with connect(house, name) as client:
            assert "OTP" in client.esmtp_features["auth"].split()
            asked = ask(client)
            assert asked[:2] == (algorithm, sequence)
            assert answer(client, "hex:" + otp(*asked)) == 235
    assert show(house)["otp_left"] == 496
    assert f"{algorithm}, 496 left" in house.run("account", "show", "kim").stdout


def test_a_wrong_one_uses_nothing_up_and_keeps_nobody_out(house):
    with connect(house) as client:
        asked = ask(client)
        assert answer(client, "hex:" + otp(*asked, phrase="another phrase")) == 535
        asked = ask(client, "nobody")
        assert answer(client, "hex:" + otp(*asked)) == 535
        ask(client)
        assert client.docmd("*")[0] == 501
        asked = ask(client, authzid="lee@example.kr")
        assert answer(client, "word:") == 535
        again = ask(client)
        assert again[1] == 499
        assert answer(client, "hex:" + otp(*again)) == 235


def test_none_works_twice(house):
    with connect(house) as one, connect(house) as other:
        asked = ask(one)
        assert ask(other) == asked
        assert answer(one, "hex:" + otp(*asked)) == 235
        mark = house.log.mark()
        assert answer(other, "hex:" + otp(*asked)) == 535
        assert house.await_event("auth", since=mark, account="kim@example.kr",
                                 reason=re.compile("used already"))
        assert ask(other)[1] == 498
        assert answer(other, "hex:" + otp(*asked)) == 535


def test_none_works_twice_after_a_crash(house):
    with connect(house) as client:
        asked = ask(client)
        assert answer(client, "hex:" + otp(*asked)) == 235
        (auth,) = control.roles(house, "auth")
        os.kill(auth["pid"], signal.SIGKILL)
    wait.until(lambda: control.roles(house, "auth")[0].get("pid", 0) not in (0, auth["pid"]), 30)
    control.wait_ready(house, 60)
    with connect(house) as client:
        again = ask(client)
        assert again == (asked[0], asked[1] - 1, asked[2])
        assert answer(client, "hex:" + otp(*asked)) == 535


def test_a_client_starts_anew_with_another_seed_only(house):
    with connect(house) as client:
        algorithm, sequence, seed = asked = ask(client)
        same = f":{algorithm} 0499 {seed}:" + otp(algorithm, 499, seed)
        assert answer(client, "init-hex:" + otp(*asked) + same) == 535
        other = f":{algorithm} 0020 new7seed:" + otp(algorithm, 20, "new7seed")
        assert answer_next(client, other) == 235
    assert show(house)["otp_left"] == 19
    with connect(house) as client:
        asked = ask(client)
        assert asked[1:] == (19, "new7seed")
        assert answer(client, "hex:" + otp(*asked)) == 235


def answer_next(client, more):
    return answer(client, "init-hex:" + otp(*ask(client)) + more)


def test_few_are_told_and_the_last_is_the_last(house):
    with connect(house) as client:
        asked = ask(client)
        few = f":{asked[0]} 0002 few77:" + otp(asked[0], 2, "few77")
        assert answer(client, "init-hex:" + otp(*asked) + few) == 235
    assert "warning: few are left" in house.run("account", "show", "kim").stdout
    with connect(house) as client:
        assert answer(client, "hex:" + otp(*ask(client))) == 235
    assert show(house)["otp_left"] == 0
    with connect(house) as client:
        mark = house.log.mark()
        asked = ask(client)  # as if there were some
        assert answer(client, "hex:" + otp(*asked)) == 535
        assert house.await_event("auth", since=mark, reason=re.compile("used up"))


def test_it_is_taken_away(house):
    done = house.run("account", "set", "kim", "--otp", "on", input="too short\n", check=False)
    assert done.returncode == 1 and "10 to 63" in done.stderr
    assert house.run("account", "set", "kim", "--otp", "maybe", check=False).returncode == 1
    assert show(house)["otp_left"] == 499
    house.run("account", "set", "kim", "--otp", "off")
    assert "otp" not in show(house)
    with connect(house) as client:
        mark = house.log.mark()
        assert answer(client, "hex:" + otp(*ask(client))) == 535
        assert house.await_event("auth", since=mark, reason=re.compile("--otp on"))
