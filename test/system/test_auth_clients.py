# SPDX-License-Identifier: ISC
"""Programs of the world that log in: those of test_mechanisms.py are not repeated
here. And a real Exim whose logins are ours (Postfix: test_auth_peers.py)."""

import hashlib
import itertools
import subprocess

import pytest

from pabal import peers, sasl, server, smtp, wait

SERVERS = ["submission", "submissions"]
KIM = "kim@example.kr"
MECHANISMS = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-1",
              "DIGEST-MD5", "CRAM-MD5", "NTLM", "PLAIN", "LOGIN"]
CONFIG = server.USUAL.replace("require {", "$mechanisms require {")


@pytest.fixture(scope="module")
def house(make_folder, certificate, ca):
    folder = make_folder("programs")
    with server.Pabal(folder, CONFIG, certificate=certificate,
                      mechanisms="mechanisms " + " ".join(f'"{m}"' for m in MECHANISMS)) as running:
        running.account(KIM, "secret")
        running.run("account", "set", KIM, "--legacy", "on", input="secret\n")
        running.ca = ca
        yield running


ADDRESSES = itertools.count(2)


def address():
    """Another one each time, so that nobody is taken for a guesser."""
    return f"127.0.1.{next(ADDRESSES) % 250 + 1}"


def run(*words, message=None):
    return subprocess.run([str(w) for w in words], input=message, text=True, capture_output=True,
                          timeout=60)


# ---- curl

@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("initial", [True, False])
def test_curl(house, name, mechanism, initial):
    def login(password):
        scheme = "smtps" if name == "submissions" else "smtp"
        more = ["--sasl-ir"] if initial else []
        return run("curl", "-sS", "--ssl-reqd", "-4", "--interface", address(),
                   f"{scheme}://localhost:{house.port(name)}/client.example", *more,
                   "--cacert", house.ca.cert, "--user", f"{KIM}:{password}",
                   "--login-options", f"AUTH={mechanism}", "-X", "NOOP").returncode
    assert login("wrong") == 67  # CURLE_LOGIN_DENIED
    assert login("secret") == 0


# ---- msmtp

@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("auth", ["scram-sha-1", "digest-md5", "cram-md5", "ntlm"])
def test_msmtp(house, name, auth):
    def login(password):
        return run("msmtp", "--file=/dev/null", "--host=localhost", f"--port={house.port(name)}",
                   "--domain=client.example", f"--from={KIM}", "--tls=on",
                   f"--tls-starttls={'on' if name == 'submission' else 'off'}",
                   f"--tls-trust-file={house.ca.cert}", f"--auth={auth}", f"--user={KIM}",
                   f"--source-ip={address()}", f"--passwordeval=echo {password}", "--", KIM,
                   message="Subject: x\n\nx\n")
    done = login("wrong")
    assert done.returncode == 77, done.stderr  # EX_NOPERM
    done = login("secret")
    assert done.returncode == 0, done.stderr


# ---- GNU SASL binds to the channel in two ways, as the version of TLS has it

@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"])
@pytest.mark.parametrize("version, kind", [("1.3", "tls-exporter"), ("1.2", "tls-unique")])
def test_gsasl_binds(house, mechanism, version, kind):
    def login(password):
        return run("gsasl", "--client", "--smtp", f"--mechanism={mechanism}", "--verbose",
                   f"--authentication-id={KIM}", f"--password={password}",
                   f"--x509-ca-file={house.ca.cert}", f"--priority=NORMAL:-VERS-ALL:+VERS-TLS{version}",
                   "--connect", f"localhost:{house.port('submission')}", message="QUIT\n")
    assert login("wrong").returncode != 0
    mark = house.log.mark()
    done = login("secret")
    assert done.returncode == 0, done.stdout + done.stderr
    event = house.await_event("auth", 60, since=mark, code=235)
    assert event["tls"].startswith(f"TLSv{version}")


# ---- swaks

@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "NTLM"])
def test_swaks(house, name, mechanism):
    def login(password):
        return run("swaks", "--server", f"127.0.0.1:{house.port(name)}", "--local-interface", address(),
                   "--tls" if name == "submission" else "--tls-on-connect", "--from", KIM, "--to", KIM,
                   "--quit-after", "AUTH", "--auth", mechanism, "--auth-user", KIM,
                   "--auth-password", password)
    done = login("wrong")
    assert done.returncode == 28 and "535 5.7.8" in done.stdout, done.stdout + done.stderr
    done = login("secret")
    assert done.returncode == 0, done.stdout + done.stderr


# ---- Exim

class Exim(peers.Peer):
    """Relays for whoever logs in, and asks the Dovecot socket `sasl` who that is."""

    def __init__(self, folder, sasl, certificate, mechanisms):
        super().__init__(folder, "exim")
        self.address, self.port = "127.0.0.1", wait.free_port()
        for path in (certificate.cert, certificate.key):
            copy = self.folder / path.name
            copy.write_bytes(path.read_bytes())
            copy.chmod(0o644)
        (self.folder / "spool").mkdir()
        self._give_to(64107, self.folder / "spool")
        self._give_to(64107)
        rows = [
            "primary_hostname = mail.example.kr", "local_interfaces = 127.0.0.1",
            f"daemon_smtp_ports = {self.port}", f"spool_directory = {self.folder}/spool",
            f"pid_file_path = {self.folder}/pid", f"log_file_path = {self.folder}/%slog",
            f"tls_certificate = {self.folder}/{certificate.cert.name}",
            f"tls_privatekey = {self.folder}/{certificate.key.name}",
            "tls_advertise_hosts = *", "host_lookup =", "rfc1413_query_timeout = 0s",
            "queue_only = true", "acl_smtp_rcpt = check", "keep_environment =",
            "begin acl", "check:", "  accept authenticated = *", "  deny",
            "begin routers", "none:", "  driver = redirect", "  data = :blackhole:",
            "begin authenticators"]
        for mechanism in mechanisms:
            rows += [f"{mechanism.lower().replace('-', '_')}:", "  driver = dovecot",
                     f"  public_name = {mechanism}", f"  server_socket = {sasl}",
                     "  server_set_id = $auth1", "  server_advertise_condition = ${if def:tls_in_cipher}"]
        (self.folder / "exim4.conf").write_text("\n".join(rows) + "\n")
        self._start("sh", "-c", f"cd {self.folder} && cp exim4.conf /etc/exim4/exim4.conf && "
                    "exec /usr/sbin/exim4 -bdf")
        self._ready(lambda: wait.answers(self.address, self.port, b"220"), "Exim answers")

    def log_text(self):
        return super().log_text() + "".join(
            path.read_text(errors="replace") for path in self.folder.glob("*log") if path != self.log)


@pytest.mark.root
def test_exim_asks_us(start, certificate, ca):
    ours = start(server.Pabal, server.USUAL.replace(
        'auth { source "accounts" }', 'auth { source "accounts" public-socket "$folder/public" }'),
        certificate=certificate)
    ours.account(KIM, "secret")
    public = ours.folder / "public"
    public.chmod(0o666)
    offered = ["PLAIN", "LOGIN", "SCRAM-SHA-256"]
    exim = start(Exim, public, certificate, offered)

    def client():
        one = smtp.Client(exim.address, exim.port, timeout=60)
        one.ehlo()
        assert "AUTH" not in one.extensions
        assert one.starttls(ca.client_context()).code == 220
        one.ehlo()
        assert set(one.extensions["AUTH"].split()) == set(offered)
        one.end_point = hashlib.sha256(one.socket.getpeercert(binary_form=True)).digest()
        return one

    for mechanism in offered:
        for initial in (True, False):
            with client() as one:
                assert one.mail(KIM).code == 250 and one.rcpt("lee@elsewhere.test").code == 550
                one.command("RSET")
                replies = {sasl.converse(one, mechanism, who, initial).raw for who in (
                    sasl.Who(KIM, "wrong"), sasl.Who("nobody@example.kr", "secret"))}
                assert len(replies) == 1 and replies.pop().startswith(b"535"), exim.log_text()
                reply = sasl.converse(one, mechanism, sasl.Who("kim", "secret"), initial)
                assert reply.code == 235, (reply, exim.log_text())
                assert one.mail(KIM).code == 250
                assert one.rcpt("lee@elsewhere.test").code == 250, "who logged in may relay"
    assert exim.process.poll() is None
    ours.await_event("auth", 60, server="auth-client", account=KIM, status="ok")
    ours.await_event("login-failed", 60, account=KIM, client="127.0.0.1", mechanism="PLAIN",
                     reason="wrong password")
    with client() as one:
        ours.run("account", "disable", KIM)
        assert one.auth_plain(KIM, "secret").code == 535
        ours.run("account", "enable", KIM)
        assert one.auth_plain(KIM, "secret").code == 235
