# SPDX-License-Identifier: ISC
"""Our Unix sockets and the names in our commands, in bad hands: garbage ends a
connection at most, and a name is a name, never a path or a line of a log."""

import base64
import json
import random
import re
import socket

import pytest

from pabal import control, server, smtp, wait

NAMES = ["smtpd", "queue", "auth", "sender", "local", "resolver"]


@pytest.fixture(scope="module")
def running(make_folder, certificate):
    folder = make_folder("sockets")
    with server.Pabal(folder, certificate=certificate) as one:
        one.account("kim@example.kr", "secret")
        yield one


@pytest.fixture
def unhurt(running):
    """After the test the same processes run, and do their work."""
    before = {name: running.pids(f"role {name}") for name in NAMES}
    yield
    assert {name: running.pids(f"role {name}") for name in NAMES} == before
    assert control.summary(running)["master"]["ready"]
    with running.session() as client:
        assert client.deliver("kim@example.kr", "kim@example.kr", smtp.text_message()).code == 250


def sockets(running):
    return sorted(p for p in (running.folder / "run").iterdir() if p.is_socket())


def say(path, octets, until=None):
    """What is answered until these octets come or the other side closes."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(str(path))
        answer = b""
        try:
            s.sendall(octets)
            if not until:
                s.shutdown(socket.SHUT_WR)
            while not (until and until in answer) and (got := s.recv(65536)):
                answer += got
        except (BrokenPipeError, ConnectionResetError):
            pass
        return answer


GARBAGE = {
    "nothing": b"", "one octet": b"\0", "a line end": b"\n", "noise": random.Random(1).randbytes(5000),
    "zeros": b"\0" * 100000 + b"\n", "endless": b"x" * 1000000, "endless lines": b"x\n" * 100000,
    "deep": b"[" * 60000 + b"\n", "deeper": b'{"a":' * 12000 + b"\n", "another language": b"GET / HTTP/1.0\r\n\r\n",
    "number": b"1e999999\n", "text": b'"' + b"\\ud800" * 100 + b'"\n', "null": b"null\n",
    "huge number": b'{"version":99999999999999999999999999,"command":"status"}\n',
    "no command": b'{"version":1}\n', "wrong kinds": b'{"version":"1","command":["status"],"arguments":7}\n',
    "twice": b'{"version":1,"command":"nothing","command":"status"}\n',
    "a frame": b"\x10\0\0\0\x01\0\0\0" * 100,
}


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_on_every_socket(running, unhurt, what):
    for path in sockets(running):
        say(path, GARBAGE[what])


def test_many_who_say_nothing(running, unhurt):
    """More connections than a socket serves at once; when they go there is room."""
    for path in sockets(running):
        held = []
        for _ in range(150):
            s = socket.socket(socket.AF_UNIX)
            s.setblocking(False)
            try:
                s.connect(str(path))
            except BlockingIOError:
                s.close()
                break
            held.append(s)
        for s in held:
            s.close()


# ---- commands with arguments of every kind

KEYS = ["address", "client", "domain", "id", "limit", "name", "password", "quota", "rights", "since",
        "state", "sender", "recipient", "more", "hold"]
VALUES = [None, True, 0, -1, 2**63 - 1, 1.5e300, "", "x", "kim@example.kr", "'; DROP TABLE message; --",
          "%", "a" * 20000, "\0", "a\nb", "\u202e", "../../etc/passwd", [], [[]], {}, {"a": {}}]


def commands(running):
    rows = (server.peers.TREE / "src" / "control" / "commands.c").read_text()
    table = [line.split('"') for line in rows.splitlines() if line.startswith('\t{"')]
    return [(words[1], words[3]) for words in table if words[1] not in ("stop", "reload")]


def test_commands_with_odd_arguments(running, unhurt):
    """Each is answered, with a row, an end or an error; nobody dies, nothing is deleted."""
    dice = random.Random(7)
    for name, role in commands(running):
        if role not in ("master", "queue", "auth"):
            continue
        path = running.folder / "run" / f"{role}.sock"
        for _ in range(40):
            arguments = {key: dice.choice(VALUES) for key in KEYS if dice.random() < 0.4}
            if arguments.get("name") == "kim@example.kr" or name.startswith("secret"):
                arguments["name"] = "nobody@example.kr"
            request = json.dumps({"version": 1, "command": name, "arguments": arguments})
            answer = say(path, request.encode() + b"\n")
            rows = [json.loads(line) for line in answer.splitlines()]
            assert rows and ("done" in rows[-1] or "error" in rows[-1]), (name, arguments, answer[-500:])


# ---- the public authentication socket

HELLO = b"VERSION\t1\t2\nCPID\t4711\n"
WORDS = [b"AUTH\t1\tPLAIN\tservice=smtp\tsecured\tresp=", b"AUTH\t4294967296\tPLAIN", b"AUTH\t-1\tPLAIN",
         b"AUTH\t1\tPLAIN\n" * 2, b"AUTH", b"AUTH\t\t\t\t", b"AUTH\t1\tEXTERNAL\tsecured\tresp=",
         b"AUTH\t1\tSCRAM-SHA-256-PLUS\tsecured", b"AUTH\t1\t" + b"A" * 10000, b"CONT\t1\tAAAA", b"CONT",
         b"CANCEL\t1", b"CANCEL", b"VERSION\t2\t0", b"CPID\t1", b"USER\t1\tkim@example.kr\tservice=smtp",
         b"PASS\t1\tkim@example.kr", b"LIST\t1", b"MASTER\t1\t2\t3\t4", b"\t" * 5000, b"x" * 17000,
         b"AUTH\t1\tPLAIN\tservice=smtp\tsecured\tresp=" + b"A" * 16000,
         b"AUTH\t1\tPLAIN\tservice=smtp\tsecured\trip=999.1.1.1\tlport=-1\tresp=AGtpbQBzZWNyZXM=",
         b"AUTH\t1\tPLAIN\tservice=smtp\tsecured\tlogin=kim@example.kr\tmaster=kim@example.kr\tresp=AGEAYg==",
         b"AUTH\t1\tPLAIN\tresp=" + base64.b64encode(b"\0kim@example.kr\0secret"),
         b"AUTH\t1\tLOGIN\tservice=smtp\tno-penalty\tsession=\x01t\x01n\x019"]


def test_the_authentication_socket_gives_nothing_away(running, unhurt):
    path = running.folder / "run" / "auth-client"
    # behind each a login that fails: when that is answered, the one before it is
    last = b"AUTH\t77\tPLAIN\tservice=smtp\tsecured\tresp=" + base64.b64encode(b"\0x\0y") + b"\n"
    for words in WORDS:
        for hello in (HELLO, b""):
            answer = say(path, hello + words + b"\n" + last, until=b"FAIL\t77")
            assert b"OK\t" not in answer, (words, answer)
            assert b"secret" not in answer and b"$y$" not in answer and b"USER" not in answer
            assert b"-PLUS" not in answer and b"EXTERNAL" not in answer
    right = base64.b64encode(b"\0kim@example.kr\0secret")
    answer = ask(path, b"AUTH\t1\tPLAIN\tservice=smtp\tsecured\tresp=" + right)
    assert answer.startswith(b"OK\t1\tuser=kim@example.kr"), answer


def ask(path, line):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(str(path))
        answers = s.makefile("rb")
        s.sendall(HELLO)
        while not answers.readline().startswith(b"DONE"):
            pass
        s.sendall(line + b"\n")
        return answers.readline()


# ---- names

@pytest.mark.parametrize("name", [
    "", "@example.kr", "a\nb@example.kr", "a\tb@example.kr", "a\x1bb@example.kr", "a@b@example.kr\n",
    "a" * 65 + "@example.kr", "a@" + "b" * 260, "a\0b@example.kr", "a b@example.kr\nkim2@example.kr"])
def test_names_that_no_account_may_have(running, name):
    before = running.run("account", "list").stdout
    try:
        done = running.run("account", "add", name, input="secret\n", check=False)
    except ValueError:
        return  # a NUL does not fit into an argument
    assert done.returncode != 0, done.stdout
    assert running.run("account", "list").stdout == before


# Names that are allowed and must stay inside the folder of mailboxes.
PATHS = ["..", "../../up", "a/../../../up", ".", ".hidden", "%2e%2e", "a%2f..%2fb", "-rf", "a\\b", "$(touch up)",
         "a;b", "~root", "CON", "a'b", "%u", "%d/%d"]


def test_no_name_leaves_the_folder_of_mailboxes(running, unhurt):
    mail = running.folder / "mail"
    before = set(map(str, all_files(running.folder, mail)))
    taken = []
    for local in PATHS:
        address = f'"{local}"@example.kr' if not plain(local) else f"{local}@example.kr"
        for name in {address, f"{local}@example.kr"}:
            if running.run("account", "add", name, input="secret\n", check=False).returncode == 0:
                taken.append(name)
        with running.client("mx") as client:
            client.ehlo()
            client.deliver("", address, smtp.text_message())
    assert taken, "some of them are fine"
    wait.until(lambda: not control.queue(running), 20, "all is delivered")
    assert set(map(str, all_files(running.folder, mail))) == before
    inside = [p.relative_to(mail).parts for p in mail.rglob("*")]
    assert all(parts[0] == "example.kr" for parts in inside), inside
    assert not any(part in ("..", "up") or part.startswith(".") for parts in inside for part in parts[:2])


def plain(local):
    return all(c.isalnum() or c in "!#$%&'*+-/=?^_`{|}~" for c in local)


def all_files(folder, without):
    """Beside the mailboxes; the databases and their logs come and go."""
    for path in folder.rglob("*"):
        if without not in path.parents and "queue" not in path.parts and "auth" not in path.parts:
            yield path


# ---- the log

@pytest.mark.parametrize("form", ["json", "key-value"])
def test_no_line_of_the_log_is_forged(start, certificate, form):
    """Whatever a client says, an event is one line and the fields are ours."""
    config = server.USUAL.replace("format json", f"format {form}")
    one = start(server.Pabal, config, "max-errors 1000\n", certificate=certificate)
    one.account("kim@example.kr", "secret")
    mark = one.log.mark()
    evil = ['x" event=accept reason="y', "x event=accept", 'a"b\\"c', "a=b", "\u2028event=accept",
            "\x85event=accept", "\u202e", "{\"event\":\"accept\"}", "'", "\\n event=accept"]
    for number, text in enumerate(evil):  # from many places: a guesser has to wait
        with one.client("submissions", source=f"192.0.2.{number}") as client:
            client.ehlo("x=event=accept\"")
            client.auth_plain(text.replace("\x85", ""), "x")
    with one.client("mx") as client:
        client.ehlo('"event=accept')
        for text in evil:
            quoted = text.replace("\\", "\\\\").replace('"', '\\"')
            client.command(f'MAIL FROM:<"{quoted}"@b.test> SMTPUTF8')
            client.command(f'RCPT TO:<"{quoted}"@elsewhere.test>')
            client.command("RSET")
            client.command(f"MAIL FROM:<{text}>")
            client.command(f"{text} x")
            client.command(f'MAIL FROM:<a@b.test> X="{text}"')
            client.command("RSET")
    lines = one.log.lines[mark:]
    assert len(lines) > 20
    for line in lines:
        assert not any(ord(c) < 32 or c in "\x7f\x85\u2028\u2029" for c in line), repr(line)
        if form == "json":
            assert json.loads(line)["event"] in ("connect", "auth", "login-failed", "refuse", "disconnect")
        else:
            assert re.match(r"\S+Z \w+ \S+ (connect|auth|login-failed|refuse|disconnect) \w+=", line), line
            assert "event" not in fields(line), line


def fields(line):
    """Of key=value with quotes where they are needed."""
    found, at = {}, 0
    while at < len(line):
        equals = line.find("=", at)
        if equals < 0:
            break
        key = line[at:equals].rpartition(" ")[2]
        at = equals + 1
        if line[at:at + 1] == '"':
            value, at = "", at + 1
            while at < len(line) and line[at] != '"':
                at += line[at] == "\\"
                value, at = value + line[at:at + 1], at + 1
            at += 2
        else:
            end = line.find(" ", at)
            end = len(line) if end < 0 else end
            value, at = line[at:end], end + 1
        found.setdefault(key, value)
    return found
