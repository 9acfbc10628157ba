# SPDX-License-Identifier: ISC
"""A small SMTP and LMTP server for tests: takes mail, counts it, and answers
what a test scripted.

    sink = Sink(certificate=cert)              # STARTTLS offered
    sink.answer("RCPT", "451 4.2.0 later", match="lee@", times=1)
    sink.answer("DATA-END", "CLOSE")           # drop the connection there
    sink.answer("DATA", "HANG")                # never answer
    ...
    sink.wait(messages=3)
    sink.ids()                                 # Counter of Message-IDs
"""

import base64
import collections
import re
import socket
import threading

from . import tls, wait

MESSAGE_ID = re.compile(rb"^message-id:\s*(<[^>]*>)", re.I | re.M)


class Message:
    """One taken message. `body` is without dot stuffing; for LMTP each
    recipient that was answered 250 is in `recipients`."""

    def __init__(self, session, body):
        self.sender = session.sender
        self.sender_parameters = session.sender_parameters
        self.recipients = list(session.recipients)
        self.recipient_parameters = list(session.recipient_parameters)
        self.body = body
        self.helo = session.helo
        self.tls = session.tls
        self.account = session.account
        self.client = session.client
        self.connection = session.number
        found = MESSAGE_ID.search(body)
        self.message_id = found.group(1).decode() if found else None


class _Script:
    def __init__(self, stage, reply, match, times):
        self.stage, self.reply, self.match, self.left = stage, reply, match, times


class Sink:
    """Listens at once. `stages` for answer(): CONNECT EHLO HELO LHLO STARTTLS
    AUTH MAIL RCPT DATA DATA-END BDAT RSET NOOP QUIT. A reply is the words, or
    CLOSE, RESET or HANG."""

    def __init__(self, address="127.0.0.1", port=0, *, path=None, lmtp=False, certificate=None,
                 implicit=False, extensions=("PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES"),
                 users=None, keep_bodies=True, hostname="sink.example"):
        self.lmtp, self.users, self.keep_bodies = lmtp, users, keep_bodies
        self.hostname, self.implicit = hostname, implicit
        self.extensions = list(extensions)
        self.context = tls.server_context(certificate) if certificate else None
        self.lock = threading.Condition()
        self.messages = []
        self.connections = 0
        self.commands = []
        self._scripts = []
        self._open = set()
        if path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(str(path))
        else:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            self.listener = socket.socket(family)
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind((address, port))
            self.address, self.port = self.listener.getsockname()[:2]
        self.listener.listen(512)
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    # ---- for tests

    def answer(self, stage, reply, match="", times=None):
        """From now on (`times` times) this is the reply at that stage, for
        commands that contain `match`. Later ones win."""
        with self.lock:
            self._scripts.insert(0, _Script(stage, reply, match, times))

    def be_good(self):
        with self.lock:
            self._scripts.clear()

    def wait(self, messages=None, connections=None, seconds=20):
        """Until so many messages were taken (or connections made) in all."""
        def enough():
            return ((messages is None or len(self.messages) >= messages)
                    and (connections is None or self.connections >= connections))
        with self.lock:
            if not self.lock.wait_for(enough, seconds):
                raise wait.Late(f"sink: {len(self.messages)} messages of {messages}, "
                                f"{self.connections} connections of {connections}")
            return list(self.messages)

    def ids(self):
        with self.lock:
            return collections.Counter(m.message_id for m in self.messages)

    def heard(self, verb):
        """The command lines with this verb, in the order they came."""
        with self.lock:
            return [c for c in self.commands if c.upper().startswith(verb.upper())]

    def stop(self):
        """No new connection is taken, open ones are cut."""
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        with self.lock:
            for connection in self._open:
                _cut(connection)

    # ---- the server

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
                number = self.connections
                self._open.add(connection)
                self.lock.notify_all()
            session = _Session(self, connection, number)
            threading.Thread(target=session.run, daemon=True).start()

    def _scripted(self, stage, line):
        with self.lock:
            for script in self._scripts:
                if script.stage == stage and script.match in line and script.left != 0:
                    if script.left is not None:
                        script.left -= 1
                    return script.reply
        return None

    def _take(self, message):
        if not self.keep_bodies:
            message.body = b""
        with self.lock:
            self.messages.append(message)
            self.lock.notify_all()


class _End(Exception):
    pass


class _Session:
    def __init__(self, sink, connection, number):
        self.sink, self.socket, self.number = sink, connection, number
        peer = connection.getpeername()
        self.client = peer[0] if peer else ""
        self.file = None
        self.helo = self.account = None
        self.tls = False
        self._reset()

    def run(self):
        try:
            if self.sink.implicit:
                self._wrap()
            self.file = self.socket.makefile("rb")
            self._say("CONNECT", "", f"220 {self.sink.hostname} ESMTP")
            while True:
                self._command(self._line())
        except (_End, OSError, ValueError):
            pass
        finally:
            with self.sink.lock:
                self.sink._open.discard(self.socket)
            _cut(self.socket)

    def _reset(self):
        self.sender = None
        self.sender_parameters = ""
        self.recipients, self.recipient_parameters = [], []
        self.chunks = b""

    def _line(self):
        line = self.file.readline(65536)
        if not line.endswith(b"\n"):
            raise _End
        return line

    def _send(self, text):
        self.socket.sendall(text.encode() + b"\r\n")

    def _say(self, stage, line, usual):
        """Sends the scripted reply, or the usual one; true when it is 2xx/3xx."""
        reply = self.sink._scripted(stage, line) or usual
        if reply == "HANG":
            self.file.read()
            raise _End
        if reply == "RESET":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            raise _End
        if reply == "CLOSE":
            raise _End
        self._send(reply)
        if reply.startswith("421"):
            raise _End
        return reply[0] in "23"

    def _command(self, raw):
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        with self.sink.lock:
            self.sink.commands.append(line)
        verb = line.split(" ")[0].upper()
        handler = getattr(self, "_do_" + verb.lower(), None)
        if handler is None or not verb.isalpha():
            self._send("500 5.5.2 what?")
        else:
            handler(line)

    def _do_helo(self, line):
        self.helo = line[5:]
        self._say("HELO", line, f"250 {self.sink.hostname}")

    def _do_ehlo(self, line, verb="EHLO"):
        self.helo = line[5:]
        self._reset()
        words = [self.sink.hostname, *self.sink.extensions]
        if self.sink.context and not self.tls:
            words.append("STARTTLS")
        if self.sink.users:
            words.append("AUTH PLAIN LOGIN")
        rows = [f"250-{w}" for w in words[:-1]] + [f"250 {words[-1]}"]
        self._say(verb, line, "\r\n".join(rows))

    def _do_lhlo(self, line):
        self._do_ehlo(line, "LHLO")

    def _do_starttls(self, line):
        if not self.sink.context or self.tls:
            self._send("502 5.5.1 no")
        elif self._say("STARTTLS", line, "220 2.0.0 go on"):
            self._wrap()
            self.file = self.socket.makefile("rb")
            self.helo = None
            self._reset()

    def _wrap(self):
        with self.sink.lock:
            self.sink._open.discard(self.socket)
        self.socket = self.sink.context.wrap_socket(self.socket, server_side=True)
        with self.sink.lock:
            self.sink._open.add(self.socket)
        self.tls = self.socket.version()

    def _do_auth(self, line):
        words = line.split(" ")
        given = None
        if words[1].upper() == "PLAIN":
            if len(words) < 3:
                self._send("334 ")
                words.append(self._line().decode().strip())
            given = _decode(words[2]).split("\0")[1:]
        elif words[1].upper() == "LOGIN":
            self._send("334 VXNlcm5hbWU6")
            user = _decode(self._line().decode().strip())
            self._send("334 UGFzc3dvcmQ6")
            given = [user, _decode(self._line().decode().strip())]
        right = given and (self.sink.users or {}).get(given[0]) == given[1]
        usual = "235 2.7.0 welcome" if right else "535 5.7.8 no"
        if self._say("AUTH", line, usual):
            self.account = given[0]

    def _do_mail(self, line):
        path, self.sender_parameters = _path(line)
        if self._say("MAIL", line, "250 2.1.0 ok"):
            self.sender = path

    def _do_rcpt(self, line):
        path, parameters = _path(line)
        if self.sender is None:
            self._send("503 5.5.1 MAIL first")
        elif self._say("RCPT", line, "250 2.1.5 ok"):
            self.recipients.append(path)
            self.recipient_parameters.append(parameters)

    def _do_data(self, line):
        if not self.recipients:
            self._send("503 5.5.1 RCPT first")
            return
        if not self._say("DATA", line, "354 go on"):
            return
        rows = []
        while True:
            row = self._line()
            if row == b".\r\n":
                break
            rows.append(row[1:] if row.startswith(b".") else row)
        self._finish(b"".join(rows))

    def _do_bdat(self, line):
        words = line.upper().split(" ")
        self.chunks += self.file.read(int(words[1]))
        if words[2:] == ["LAST"]:
            self._finish(self.chunks)
        else:
            self._say("BDAT", line, "250 2.0.0 more")

    def _finish(self, body):
        """For LMTP one reply a recipient, and only those accepted are taken.
        A message counts as taken before the reply leaves."""
        message = Message(self, body)
        keys = self.recipients if self.sink.lmtp else [self.sender or ""]
        replies = [self.sink._scripted("DATA-END", key) or "250 2.0.0 ok" for key in keys]
        if self.sink.lmtp:
            message.recipients = [r for r, reply in zip(keys, replies) if reply[0] == "2"]
        if any(reply[0] == "2" for reply in replies):
            self.sink._take(message)
        self._reset()
        for reply in replies:
            self._say("", "", reply)

    def _do_rset(self, line):
        self._reset()
        self._say("RSET", line, "250 2.0.0 ok")

    def _do_noop(self, line):
        self._say("NOOP", line, "250 2.0.0 ok")

    def _do_vrfy(self, line):
        self._send("252 2.1.5 try it")

    def _do_quit(self, line):
        self._say("QUIT", line, "221 2.0.0 bye")
        raise _End


def _path(line):
    """("address", "PARAMETERS") of a MAIL or RCPT line."""
    inside, _, rest = line.partition("<")[2].rpartition(">")
    return inside, rest.strip()


def _decode(word):
    return base64.b64decode(word).decode()


def _cut(connection):
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    try:
        connection.close()
    except OSError:
        pass
