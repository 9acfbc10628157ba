# SPDX-License-Identifier: ISC
"""Mail programs of the world submit on 587 and 465 and bring mail on 25; what
arrives says how it came, and is what submission has to make of it."""

import email
import re
import smtplib
import ssl
import subprocess

import pytest

from pabal import server, sink

CONFIG = server.USUAL + """\
route "elsewhere.test" { smtp "[127.0.0.1]:$sink" tls never }
"""

# No Date and no Message-ID, and a blind copy.
MESSAGE = ("From: Kim <kim@example.kr>\r\nTo: Lee <lee@elsewhere.test>\r\n"
           "Cc: Park <park@elsewhere.test>\r\nBcc: secret@elsewhere.test,\r\n"
           " kim@example.kr\r\nSubject: {subject}\r\n\r\n.\r\n..two dots\r\nBody.\r\n")


@pytest.fixture(scope="module")
def house(make_folder, certificate, ca):
    folder = make_folder("clients")
    with sink.Sink() as outside, \
            server.Pabal(folder, CONFIG, certificate=certificate, sink=str(outside.port)) as running:
        running.account("kim@example.kr", "secret")
        yield House(running, outside, ca)


class House:
    def __init__(self, running, outside, ca):
        self.running, self.outside, self.ca = running, outside, ca

    def port(self, name):
        return self.running.listeners[name][1]


# ---- the programs: (house, server, sender, recipients, message) -> sends, with a
# login where there is one to make; raises when it was refused

class Refused(AssertionError):
    pass


def run(words, message, **more):
    done = subprocess.run([str(w) for w in words], input=message, text=True, capture_output=True,
                          timeout=30, **more)
    if done.returncode:
        raise Refused(f"{words}: exit {done.returncode}\n{done.stdout}{done.stderr}")


def swaks(house, name, sender, recipients, message, password="secret"):
    words = ["swaks", "--server", f"127.0.0.1:{house.port(name)}", "--from", sender,
             "--to", ",".join(recipients), "--data", "-", "--ehlo", "client.example"]
    if name == "submission":
        words += ["--tls"]
    if name == "submissions":
        words += ["--tls-on-connect"]
    if name != "mx":
        words += ["--auth", "PLAIN", "--auth-user", "kim@example.kr", "--auth-password", password]
    # swaks stuffs dots itself and reads \n
    run(words, message.replace("\r\n", "\n"))


def curl(house, name, sender, recipients, message, password="secret"):
    scheme = "smtps" if name == "submissions" else "smtp"
    words = ["curl", "-sS", f"{scheme}://localhost:{house.port(name)}/client.example",
             "--mail-from", sender, "-T", "-", "--cacert", house.ca.cert, "-4"]
    for recipient in recipients:
        words += ["--mail-rcpt", recipient]
    if name == "submission":
        words += ["--ssl-reqd"]
    if name != "mx":
        words += ["--user", f"kim@example.kr:{password}"]
    run(words, message)


def msmtp(house, name, sender, recipients, message, password="secret"):
    words = ["msmtp", "--file=/dev/null", "--host=localhost", f"--port={house.port(name)}",
             "--domain=client.example", f"--from={sender}", "--keepbcc=on",
             "--set-date-header=off", "--set-from-header=off", "--set-msgid-header=off"]
    words += [f"--tls={'off' if name == 'mx' else 'on'}"]
    if name != "mx":
        words += [f"--tls-starttls={'on' if name == 'submission' else 'off'}",
                  f"--tls-trust-file={house.ca.cert}", "--auth=plain", "--user=kim@example.kr",
                  f"--passwordeval=echo {password}"]
    run([*words, "--", *recipients], message.replace("\r\n", "\n"))


def python(house, name, sender, recipients, message, password="secret"):
    context = ssl.create_default_context(cafile=house.ca.cert)
    words = {"host": "localhost", "port": house.port(name), "local_hostname": "client.example"}
    if name == "submissions":
        client = smtplib.SMTP_SSL(context=context, **words)
    else:
        client = smtplib.SMTP(**words)
    with client:
        if name == "submission":
            client.starttls(context=context)
        try:
            if name != "mx":
                client.login("kim@example.kr", password)
            client.sendmail(sender, recipients, message)
        except smtplib.SMTPException as error:
            raise Refused(error) from None


PROGRAMS = [swaks, curl, msmtp, python]


def received(message):
    """The first Received field, unfolded."""
    return re.sub(r"\s+", " ", email.message_from_bytes(message).get_all("Received")[0])


def by_subject(messages, subject):
    return [m for m in messages if f"Subject: {subject}".encode() in m]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
@pytest.mark.parametrize("name", ["submission", "submissions"])
def test_submits_with_a_login(house, program, name):
    subject = f"{program.__name__} on {name}"
    message = MESSAGE.format(subject=subject)
    before = len(house.running.messages("kim@example.kr"))
    already = len(house.outside.messages)
    program(house, name, "kim@example.kr", ["lee@elsewhere.test", "kim@example.kr"], message)

    [relayed] = [m for m in house.outside.wait(messages=already + 1)[already:]]
    assert relayed.recipients == ["lee@elsewhere.test"]
    assert relayed.sender == "kim@example.kr"
    local = by_subject(house.running.wait_messages("kim@example.kr", before + 1), subject)
    for octets in (relayed.body, *local):
        check_submitted(octets.replace(b"\r\n", b"\n"), subject)
    assert len(local) == 1


def check_submitted(octets, subject):
    fields = email.message_from_bytes(octets)
    assert fields["Subject"] == subject
    assert not fields["Bcc"] and b"secret@elsewhere.test" not in octets, "a blind copy is seen"
    [date], [identifier] = fields.get_all("Date"), fields.get_all("Message-ID")
    assert re.fullmatch(r"\w{3}, \d\d? \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", date)
    assert re.fullmatch(r"<[^<>@\s]+@mail\.example\.kr>", identifier)
    assert fields["From"] == "Kim <kim@example.kr>" and fields["Cc"] == "Park <park@elsewhere.test>"
    assert octets.partition(b"\n\n")[2].rstrip(b"\n") == b".\n..two dots\nBody."
    said = received(octets)
    assert re.fullmatch(
        r"from client\.example \(\[127\.0\.0\.1\]\) "
        r"\(using TLSv1\.[23] with cipher [\w-]+ \(\d+ bits\)\) "
        r"by mail\.example\.kr with ESMTPSA id \w+; .* [+-]\d{4}", said), said


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_brings_mail_on_25(house, program):
    """As it is, with the Bcc of who sends it: we are not its submission server."""
    subject = f"{program.__name__} on mx"
    before = len(house.running.messages("kim@example.kr"))
    program(house, "mx", "lee@elsewhere.test", ["kim@example.kr"], MESSAGE.format(subject=subject))
    [message] = by_subject(house.running.wait_messages("kim@example.kr", before + 1), subject)
    fields = email.message_from_bytes(message)
    assert message.startswith(b"Return-Path: <lee@elsewhere.test>\n")
    assert fields["Delivered-To"] == "kim@example.kr"
    assert fields["Message-ID"] is None and fields["Date"] is None, "nothing is added to others' mail"
    said = received(message)
    assert re.fullmatch(r"from client\.example \(\[127\.0\.0\.1\]\) by mail\.example\.kr with ESMTP "
                        r"id \w+ for <kim@example\.kr>; .* [+-]\d{4}", said), said


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_is_refused_without_the_right(house, program):
    already = len(house.outside.messages)
    with pytest.raises(Refused, match="535|Auth|denied"):
        program(house, "submission", "kim@example.kr", ["lee@elsewhere.test"],
                MESSAGE.format(subject="x"), password="wrong")
    with pytest.raises(Refused, match="550|55"):
        program(house, "mx", "kim@example.kr", ["lee@elsewhere.test"], MESSAGE.format(subject="x"))
    assert len(house.outside.messages) == already


def test_tls_on_25_is_told(house):
    before = len(house.running.messages("kim@example.kr"))
    with smtplib.SMTP("localhost", house.port("mx"), "client.example") as client:
        client.starttls(context=ssl.create_default_context(cafile=house.ca.cert))
        client.sendmail("lee@elsewhere.test", ["kim@example.kr"], MESSAGE.format(subject="tls"))
    [message] = by_subject(house.running.wait_messages("kim@example.kr", before + 1), "tls")
    assert re.search(r"TLSv?1\.3", received(message))
    assert re.search(r"with ESMTPS id", received(message))


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_the_version_of_tls_is_told(house, version):
    context = ssl.create_default_context(cafile=house.ca.cert)
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    already = len(house.outside.messages)
    with smtplib.SMTP("localhost", house.port("submission"), "client.example") as client:
        client.starttls(context=context)
        client.login("kim@example.kr", "secret")
        client.sendmail("kim@example.kr", ["lee@elsewhere.test"], MESSAGE.format(subject=version))
        cipher = client.sock.cipher()
    message = house.outside.wait(messages=already + 1)[already]
    said = received(message.body)
    assert version.replace("_", ".") in said, said
    assert cipher[0] in said, said


def test_what_is_there_is_kept(house):
    """Date and Message-ID of the client's own; fields nobody knows; 8-bit text;
    an 8-bit name in SMTPUTF8."""
    already = len(house.outside.messages)
    text = ("From: kim@example.kr\r\nMessage-ID: <own@client.example>\r\n"
            "Date: Fri, 21 Nov 2025 10:00:00 +0900\r\nX-Own: \r\n folded\r\n"
            "Subject: 안녕\r\n\r\n본문\r\n").encode()
    with smtplib.SMTP("localhost", house.port("submission"), "client.example") as client:
        client.starttls(context=ssl.create_default_context(cafile=house.ca.cert))
        client.login("kim@example.kr", "secret")
        client.sendmail("kim@example.kr", ["lee@elsewhere.test"], text, ["BODY=8BITMIME"])
    body = house.outside.wait(messages=already + 1)[already].body
    assert body.endswith(text), body
    assert body.count(b"\r\nDate:") == 1 and body.count(b"Message-ID:") == 1


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_each_mechanism(house, mechanism):
    for name in ("submission", "submissions"):
        with smtplib.SMTP_SSL("localhost", house.port(name), "client.example",
                              context=ssl.create_default_context(cafile=house.ca.cert)) \
                if name == "submissions" else \
                smtplib.SMTP("localhost", house.port(name), "client.example") as client:
            if name == "submission":
                client.starttls(context=ssl.create_default_context(cafile=house.ca.cert))
            client.ehlo()
            client.user, client.password = "kim@example.kr", "secret"
            assert mechanism in client.esmtp_features["auth"].split()
            method = getattr(client, "auth_" + mechanism.lower())
            assert client.auth(mechanism, method)[0] == 235
