# SPDX-License-Identifier: ISC
"""Client rules mean here what they mean to tcpserver: random files and questions are put to
tcprules and tcprulescheck of ucspi-tcp, and to our own tables (build/test/tables/ask-tables)."""

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from pabal import peers, server

ASK = Path(os.environ.get("PABAL_BUILD", server.BINARY.parent)) / "test/tables/ask-tables"
FILES = 400
QUESTIONS = 10
SEED = 4

KNOWN = ("RELAYCLIENT", "DATABYTES", "RBLSMTPD", "MAXRCPT")
HOSTS = ["a.b", "c.b", "b", "x.a.b", "mail.example.kr", "example.kr", "kr", "a..b", "a.", "A.b", "a-b.kr"]


class Maker:
    """Random rule files, most of their lines good and about few addresses, so that they meet."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def one(self, *choices):
        return self.random.choice(choices)

    def number(self):
        return self.one("1", "2", "3", "10", "0", "255")

    def odd_number(self):
        return self.one(self.number, lambda: self.one(
            "01", "00", "256", "300", "", "1x", "99999999999999999999", "18446744073709551617"))()

    def address(self):
        return ".".join(self.number() for _ in range(4))

    def prefix(self):
        return "".join(self.number() + "." for _ in range(self.random.randint(1, 3)))

    def range(self):
        parts = [self.number() for _ in range(self.random.randint(1, 4))]
        where = self.random.randrange(len(parts))
        parts[where] = f"{self.odd_number()}-{self.odd_number()}"
        return ".".join(parts) + (self.one("", ".") if len(parts) < 4 else "")

    def name(self):
        host = self.one(*HOSTS)
        return "=" + self.one(host, host, "." + host, host[host.find("."):], "", ".")

    def odd(self):
        return self.one(
            "1.2.3", " 1.2.3.4", "1.2.3.4 ", "1.2.3.4.", "1..2.", ".", "foo", "1.2.3.4#", "1.2.3.04",
            "kim@1.2.3.4", "kim@=a.b", "@", "1.2.3.4-6=x", "-", "1-2-3", "1.2.3.4--5", "1,2", "", "=A.b")

    def key(self):
        return self.random.choices(
            [self.address, self.prefix, self.range, self.name, self.odd, lambda: ""],
            [6, 6, 4, 6, 2, 1])[0]()

    def variable(self, key):
        name = self.one(*KNOWN, *KNOWN, "TCPREMOTEINFO", "FOO", "relayclient", "A B")
        if name == "RELAYCLIENT" and key in ("", "="):
            name = "RBLSMTPD" # that would be an open relay, which we refuse
        value = self.one("", "1000", "0", "@suffix.kr", "-no robots", "see http://a.kr/?b=c", "12x")
        quote = self.one('"', '"', "'", "/", "x", "=", ",", "|")
        if quote in value and self.random.random() < 0.9:
            quote = '"'
        return f",{name}={quote}{value}{quote}"

    def line(self):
        if self.random.random() < 0.08:
            return self.one("", "# allow:", "#1.2.3.4:deny", "  ", "words", "\t# no", " #x:deny")
        key = self.key()
        rest = self.one("allow", "allow", "deny")
        for _ in range(self.random.choice([0, 0, 1, 1, 2, 3])):
            rest += self.variable(key)
        return f"{key}:{rest}" + self.one("", "", "", " ", "\t ")

    def bad_line(self):
        return self.one(
            "1.2.3.4:", "1.2.3.4: allow", "1.2.3.4:Allow", "1.2.3.4:allowed", "1.2.3.4:allow,", "::",
            "1.2.3.4:allow,A", "1.2.3.4:allow,A=", '1.2.3.4:allow,A="b', '1.2.3.4:deny,A="b"c',
            "1.2.3.4:allow#x", "1.2.3.4::allow", "1.2.3.a-5:deny", "xyz::allow", "1.2.3.4:allow deny")

    def text(self):
        lines = [self.line() for _ in range(self.random.randint(1, 14))]
        if self.random.random() < 0.1:
            lines.insert(self.random.randrange(len(lines) + 1), self.bad_line())
        return "\n".join(lines) + self.one("\n", "\n", "")

    def question(self):
        return self.address(), self.one("", *HOSTS)


def ask_theirs(folder, cases):
    """One shell for everything: what tcprules said of each file, and each answer."""
    script = ["cd " + str(folder)]
    for number, (_, questions) in enumerate(cases):
        script.append(f"echo FILE; tcprules {number}.cdb tmp <{number} 2>/dev/null || echo BAD")
        for address, host in questions:
            name = f"TCPREMOTEHOST='{host}' " if host else ""
            script.append(f"[ ! -e {number}.cdb ] || {{ echo ASK; TCPREMOTEIP={address} {name}"
                          f"tcprulescheck {number}.cdb; }}")
    (folder / "script").write_text("\n".join(script) + "\n")
    done = subprocess.run([peers.ENTER, peers.PEERS, folder, "sh", folder / "script"],
                          capture_output=True, check=True)
    for one in done.stdout.decode("latin-1").split("FILE\n")[1:]:
        parts = one.split("ASK\n")
        yield "BAD\n" in parts[0], [their_answer(text) for text in parts[1:]]


def their_answer(text):
    """Rule, action and what we know of its variables, as ours says it."""
    lines = text.splitlines()
    if lines[0] == "default:":
        return "none"
    rule = lines[0].removeprefix("rule ").removesuffix(":")
    if lines[-1] == "deny connection":
        return f"rule {rule}", "deny"
    values = {}
    for line in lines[1:-1]:
        name, _, value = line.removeprefix("set environment variable ").partition("=")
        if name in ("DATABYTES", "MAXRCPT") and not value.isdigit():
            continue # told as a warning, and left out
        values[name] = str(int(value)) if name in ("DATABYTES", "MAXRCPT") else value
    said = [f"{name}={values[name]}" for name in KNOWN if name in values]
    return f"rule {rule}", "relay" if "RELAYCLIENT" in values else "allow", *said


def ask_ours(folder, cases, end=""):
    commands = []
    for number, (_, questions) in enumerate(cases):
        commands.append(f"rules {folder}/{number}{end}")
        commands += [f"ask {address} {host}".rstrip() for address, host in questions]
    done = subprocess.run([ASK], input="\n".join(commands) + "\n", capture_output=True, check=True,
                          encoding="latin-1", timeout=120)
    lines = iter(done.stdout.splitlines())
    for _, questions in cases:
        findings = read_block(lines)
        yield findings, [our_answer(read_block(lines)) for _ in questions]


def read_block(lines):
    block = [next(lines)]
    while block[-1] not in (".", "none"):
        block.append(next(lines))
    return block


def our_answer(block):
    return "none" if block == ["none"] else tuple(block[:-1])


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """Files, questions, and what tcprules and tcprulescheck make of them."""
    folder = tmp_path_factory.mktemp("tcprules")
    make = Maker(SEED)
    made = [(make.text(), [make.question() for _ in range(QUESTIONS)]) for _ in range(FILES)]
    for number, (text, _) in enumerate(made):
        (folder / str(number)).write_text(text, encoding="latin-1")
    yield folder, made, list(ask_theirs(folder, made))
    shutil.rmtree(folder)


def test_text_means_what_tcprules_makes_of_it(cases):
    folder, made, theirs = cases
    agreed = refused = matched = 0
    for (text, questions), (bad, answers), (findings, own) in zip(made, theirs, ask_ours(folder, made)):
        assert (findings[0] != "errors 0") == bad, (text, findings)
        if bad:
            refused += 1
            continue
        for question, answer, ours in zip(questions, answers, own, strict=True):
            assert ours == answer, (text, question)
            agreed += 1
            matched += answer != "none"
    assert agreed > FILES * QUESTIONS * 0.6 and refused > FILES * 0.05 and matched > agreed * 0.3


def test_cdb_means_the_same(cases):
    folder, made, theirs = cases
    good = [(number, case) for number, case in enumerate(made) if not theirs[number][0]]
    kept = folder / "good"
    kept.mkdir()
    for place, (number, _) in enumerate(good):
        shutil.copy(folder / f"{number}.cdb", kept / f"{place}.cdb")
    for (number, (text, questions)), (findings, own) in zip(
            good, ask_ours(kept, [case for _, case in good], ".cdb")):
        assert findings[0] == "errors 0", (text, findings)
        assert list(own) == theirs[number][1], (text, questions)


def test_what_tcprules_does_not_know(tmp_path):
    """Additions: IPv6, lengths, the end of a line as Windows has it. And what we refuse."""
    (tmp_path / "0").write_bytes(
        b'10.0.0.0/9:allow,RELAYCLIENT=""\r\n10.1.:deny\r\n2001:db8::/32:deny\r\n'
        b'[2001:db8:1::]/48:allow,RELAYCLIENT="@x"\n::ffff:192.0.2.1:deny\n[::1]:deny,A="b"\n')
    (tmp_path / "1").write_text(':allow,RELAYCLIENT=""\n')
    (tmp_path / "2").write_text('=:allow,RELAYCLIENT=""\n0.0.0.0/0:allow,RELAYCLIENT=""\n')
    asked = ["10.2.0.1", "10.1.0.1", "10.200.0.1", "2001:db8::1", "2001:db8:1::9", "192.0.2.1", "::1"]
    cases = [("", [(address, "") for address in asked]), ("", []), ("", [])]
    (findings, answers), (everybody, _), (named, _) = ask_ours(tmp_path, cases)
    assert findings[0] == "errors 0"
    assert answers == [
        ("rule 10.0.0.0/9", "relay", "RELAYCLIENT="), ("rule 10.1.", "deny"), "none",
        ("rule 2001:db8::/32", "deny"), ("rule [2001:db8:1::]/48", "relay", "RELAYCLIENT=@x"),
        ("rule ::ffff:192.0.2.1", "deny"), ("rule [::1]", "deny")]
    assert everybody[0] == "errors 1" and "open relay" in everybody[1] and everybody[1].startswith("E 1 ")
    assert named[0] == "errors 2"


def test_text_newer_than_its_cdb_is_told(tmp_path):
    subprocess.run(["sh", "-c", f"printf '1.2.3.4:deny\\n' >{tmp_path}/0"], check=True)
    made = subprocess.run([peers.ENTER, peers.PEERS, tmp_path, "sh", "-c",
                           f"tcprules {tmp_path}/0.cdb {tmp_path}/tmp <{tmp_path}/0"], check=False)
    assert made.returncode == 0
    os.utime(tmp_path / "0", ns=(0, (tmp_path / "0.cdb").stat().st_mtime_ns - 10**9))
    cases = [("", [("1.2.3.4", "")])]
    assert list(ask_ours(tmp_path, cases))[0][0] == ["errors 0", "."]
    os.utime(tmp_path / "0", ns=(0, (tmp_path / "0.cdb").stat().st_mtime_ns + 10**9))
    for end in ("", ".cdb"):
        findings = list(ask_ours(tmp_path, cases, end))[0][0]
        assert findings[0] == "errors 0" and "run tcprules" in findings[1]
