# SPDX-License-Identifier: ISC
"""Password sources of one machine against the real thing: PAM with pam_unix,
saslauthd, Dovecot, and constant databases of another maker."""

import contextlib
import os
import signal
import subprocess
from pathlib import Path

import pytest

from pabal import peers, wait
from pabal.sources import Source

SECRET = "correct horse"
HOUR_MS = 3600 * 1000
DEBIAN = """\
auth [success=1 default=ignore] pam_unix.so nullok
auth requisite pam_deny.so
auth required pam_permit.so
account required pam_unix.so
"""
UNIX = "auth required pam_unix.so\naccount required pam_unix.so\n"

# name -> what follows the hash in shadow, and what stands before the hash
USERS = {"kim": ("19000:0:99999:7:::", ""), "expired": ("19000:0:99999:7::100:", ""),
         "aged": ("10000:0:30:7:::", ""), "must": ("0:0:99999:7:::", ""),
         "locked": ("19000:0:99999:7:::", "!")}


def hash_of(password):
    return subprocess.run(["openssl", "passwd", "-6", password], check=True, text=True,
                          capture_output=True).stdout.strip()


def users():
    """Lines of passwd and shadow."""
    hashed = hash_of(SECRET)
    passwd = [f"{name}:x:{64300 + n}:65534::/nonexistent:/bin/false\n"
              for n, name in enumerate([*USERS, "bare"])]
    shadow = [f"{name}:{lock}{hashed}:{rest}\n" for name, (rest, lock) in USERS.items()]
    return "".join(passwd), "".join([*shadow, "bare::19000:0:99999:7:::\n"])


def mount(path, content, mode):
    """A file of the tests' own over one of the machine, in their mount namespace."""
    path.write_text(content)
    path.chmod(mode)
    subprocess.run(["mount", "--bind", path, Path("/etc") / path.name], check=True)


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """Users of the machine and PAM services that are only the tests'; the folder
    of the services."""
    assert os.environ.get("PABAL_TEST_NETWORK"), "not on the machine itself"
    folder = tmp_path_factory.mktemp("machine")
    folder.chmod(0o755)
    passwd, shadow = users()
    services = folder / "pam.d"
    services.mkdir()
    with contextlib.ExitStack() as mounted:
        for name, more, mode in (("passwd", passwd, 0o644), ("shadow", shadow, 0o600)):
            mount(folder / name, (Path("/etc") / name).read_text() + more, mode)
            mounted.callback(subprocess.run, ["umount", f"/etc/{name}"], check=True)
        subprocess.run(["mount", "--bind", services, "/etc/pam.d"], check=True)
        mounted.callback(subprocess.run, ["umount", "/etc/pam.d"], check=True)
        (services / "other").write_text("auth required pam_deny.so\naccount required pam_deny.so\n")
        (services / "smtp").write_text(UNIX)
        (services / "debian").write_text(DEBIAN)
        yield services


# ---- PAM

@pytest.mark.root
@pytest.mark.parametrize("service", ["", "debian"])
def test_pam_knows_the_users_of_the_machine(machine, tmp_path, service):
    with Source(tmp_path, "pam", service=service, default_domain="example.kr") as pam:
        def says(name, secret=SECRET):
            answer = pam.check(name, secret)
            assert SECRET not in answer.reason
            return answer.verdict, answer.reason

        assert says("kim") == ("yes", "")
        assert says("kim@example.kr") == ("yes", "")
        assert says("kim@example.org")[0] == "unknown"
        assert says("kim", "wrong") == ("no", "wrong password")
        assert says("kim", "")[0] == "no"
        assert says("bare", "")[0] == "no"
        assert says("bare", "x")[0] == "no"
        assert says("nobody-of-that-name")[0] == "unknown"
        assert says("locked")[0] == "no" and "locked" in says("locked")[1]
        assert says("expired")[0] == "no" and "account has expired" in says("expired")[1]
        assert says("aged")[0] == "no" and "password has expired" in says("aged")[1]
        assert says("must")[0] == "no" and "password has expired" in says("must")[1]


@pytest.mark.root
@pytest.mark.parametrize("stack, verdict, words", [
    ("auth required pam_permit.so\naccount required pam_permit.so", "yes", ""),
    ("auth required pam_permit.so\naccount required pam_deny.so", "no", "let this account in"),
    ("auth required pam_debug.so auth=authinfo_unavail", "cannot", "cannot be reached"),
    ("auth required pam_debug.so auth=maxtries", "no", "too many tries"),
    ("auth required pam_debug.so auth=user_unknown", "unknown", "no such user"),
    ("auth required pam_debug.so auth=system_err", "cannot", "PAM"),
    ("auth required pam_debug.so auth=service_err", "cannot", "PAM"),
    ("auth required pam_permit.so\naccount required pam_debug.so acct=perm_denied", "no",
     "not allowed"),
    ("auth required pam_permit.so\naccount required pam_debug.so acct=acct_expired", "no",
     "has expired"),
    ("auth required pam_there_is_no_such_module.so", "cannot", "PAM"),
])
def test_what_pam_answers(machine, tmp_path, stack, verdict, words):
    (machine / "test").write_text(stack + "\n")
    with Source(tmp_path, "pam", service="test") as pam:
        answer = pam.check("kim", SECRET)
    assert answer.verdict == verdict, answer
    assert words in answer.reason


@pytest.mark.root
def test_pam_is_told_the_client_and_does_not_delay(machine, tmp_path):
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\necho $PAM_RHOST $PAM_USER >{tmp_path}/told\n")
    script.chmod(0o755)
    (machine / "test").write_text(
        f"auth optional pam_faildelay.so delay=600000000\nauth optional pam_exec.so {script}\n{UNIX}")
    with Source(tmp_path, "pam", service="test", default_domain="example.kr") as pam:
        assert pam.check("kim@example.kr", "wrong").verdict == "no"
        assert (tmp_path / "told").read_text() == "192.0.2.7 kim\n"


@pytest.mark.root
def test_pam_by_the_time_of_day(machine, tmp_path):
    conf = tmp_path / "time.conf"
    conf.write_text("test;*;kim;!Al0000-2400\n")
    (machine / "test").write_text(
        f"auth required pam_unix.so\naccount required pam_time.so conffile={conf}\n")
    with Source(tmp_path, "pam", service="test") as pam:
        refused = pam.check("kim", SECRET)
        assert (refused.verdict, "not at this time" in refused.reason) == ("no", True), refused
        conf.write_text("test;*;kim;Al0000-2400\n")
        assert pam.check("kim", SECRET).verdict == "yes"


# ---- saslauthd

class Saslauthd(peers.Peer):
    """`saslauthd -a pam` with the users above; `.path` is its socket. `stack`:
    its PAM service "smtp", in which $folder/hang is a program that goes on."""

    def __init__(self, folder, stack=DEBIAN):
        super().__init__(folder, "saslauthd")
        passwd, shadow = users()
        for name, text in (("passwd", passwd), ("shadow", shadow), ("smtp", stack),
                           ("hang", "#!/bin/sh\ntouch $folder/asked\nexec sleep 1000\n")):
            (self.folder / name).write_text(text.replace("$folder", str(self.folder)))
        (self.folder / "hang").chmod(0o755)
        self.path = self.folder / "run" / "mux"
        self.path.parent.mkdir()
        self.start()

    def start(self):
        # passwd there already has the users that it has here
        self._start("sh", "-c", f"""
            cd {self.folder}
            grep -q ^kim: /etc/passwd || cat passwd >>/etc/passwd
            cp /etc/shadow shadow.new && cat shadow >>shadow.new
            mount --bind shadow.new /etc/shadow
            cp smtp /etc/pam.d/smtp
            exec /usr/sbin/saslauthd -d -a pam -n 2 -m {self.path.parent}""")
        self._ready(self.path.exists, "saslauthd listens")

    def kill(self):
        self._signal(signal.SIGKILL)
        self.process.wait(30)


@pytest.mark.root
def test_saslauthd(start, tmp_path):
    saslauthd = start(Saslauthd)
    with Source(tmp_path, "saslauthd", path=saslauthd.path, default_domain="example.kr",
                timeout=HOUR_MS) as source:
        assert source.check("kim", SECRET).verdict == "yes"
        assert source.check("kim@example.kr", SECRET).verdict == "yes"
        assert source.check("kim@example.org", SECRET).verdict == "no"
        assert source.check("kim", "wrong")[0::6] == ("no", "saslauthd says no")
        assert source.check("expired", SECRET).verdict == "no"
        assert source.check("nobody-of-that-name", SECRET).verdict == "no"
        saslauthd.kill()
        assert source.check("kim", SECRET).verdict == "cannot"


@pytest.mark.root
def test_saslauthd_is_killed_in_mid_question(start, tmp_path):
    saslauthd = start(Saslauthd, "auth required pam_exec.so $folder/hang\n" + UNIX)
    with Source(tmp_path, "saslauthd", path=saslauthd.path, timeout=HOUR_MS) as source:
        answer = source.ask("kim", SECRET)
        wait.until((saslauthd.folder / "asked").exists, 30, "saslauthd asks PAM")
        saslauthd.kill()
        assert answer().verdict == "cannot"
    with Source(tmp_path, "saslauthd", path=saslauthd.path, timeout=500) as source:
        assert "cannot reach" in source.check("kim", SECRET).reason


@pytest.mark.root
def test_a_saslauthd_that_hangs(start, tmp_path):
    saslauthd = start(Saslauthd)
    saslauthd.pause()
    with Source(tmp_path, "saslauthd", path=saslauthd.path, timeout=500) as source:
        answer = source.check("kim", SECRET)
        assert (answer.verdict, "time limit" in answer.reason) == ("cannot", True), answer


# ---- Dovecot

def test_dovecot(start, tmp_path):
    dovecot = start(peers.Dovecot, {"kim@example.kr": SECRET}, more="auth_username_format = %Lu")
    with Source(tmp_path, "dovecot", path=dovecot.auth, timeout=HOUR_MS) as source:
        answer = source.check("Kim@Example.kr", SECRET)
        assert (answer.verdict, answer.account) == ("yes", "kim@example.kr"), answer
        assert source.check("kim@example.kr", "wrong").verdict == "no"
        assert source.check("nobody@example.kr", SECRET).verdict == "no"
        answers = [source.ask("kim@example.kr", SECRET if n % 2 else "wrong") for n in range(20)]
        assert [a().verdict for a in answers] == ["no", "yes"] * 10
        dovecot.stop()
        assert source.check("kim@example.kr", SECRET).verdict == "cannot"


def test_a_dovecot_that_cannot_tell(start, tmp_path):
    dovecot = start(peers.Dovecot, {})
    dovecot.set_users({"kim@example.kr": SECRET, "lee@example.kr": SECRET})
    (dovecot.folder / "users").chmod(0)
    with Source(tmp_path, "dovecot", path=dovecot.auth, timeout=HOUR_MS) as source:
        assert source.check("kim@example.kr", SECRET).verdict == "cannot"


# ---- vpopmail

def test_a_cdb_of_another_maker(tmp_path):
    folder = tmp_path / "domains" / "example.kr"
    folder.mkdir(parents=True)
    hashed = hash_of(SECRET)
    rows = [f"user{n}:{hashed}:1:{2048 if n % 2 else 0}:Name:/d:NOQUOTA" for n in range(300)]
    (folder / "vpasswd").write_text("\n".join(rows) + "\n")
    (tmp_path / "rows").write_text("\n".join(row.replace(":", " ", 1) for row in rows) + "\n")
    maker = peers.Peer(tmp_path, "tinycdb")
    maker.run("/usr/bin/cdb", "-c", "-m", folder / "vpasswd.cdb", tmp_path / "rows")
    (folder / "vpasswd").unlink()
    with Source(tmp_path, "vpopmail", path=tmp_path / "domains",
                database=tmp_path / "nothing") as source:
        for n in (0, 1, 7, 100, 298, 299):
            answer = source.check(f"user{n}@example.kr", SECRET)
            assert answer.verdict == ("no" if n % 2 else "yes"), answer
        assert source.check("user0@example.kr", "wrong").verdict == "no"
        assert source.check("user300@example.kr", SECRET).verdict == "unknown"
