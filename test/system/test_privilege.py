# SPDX-License-Identifier: ISC
"""What a process that was taken over can do: nothing but its work. System calls
are made in the very place of each role (its users, its root folder, its
descriptors), so every wall that stands there is the one that is tested."""

import ctypes
import errno
import grp
import os
import platform
import pwd
import re
import stat
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pabal import server, smtp, wait

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the puppet knows one machine"),
]

# The role table of doc/security.md: user and root folder ("empty", or the host's).
ROLES = {
    "queue": ("pabal-queue", "/"),
    "auth": ("pabal-auth", "/"),
    "resolver": ("pabal-dns", "/"),
    "source": ("pabal-source", "/"),
    "sender": ("pabal-sender", "empty"),
    "smtpd": ("pabal-smtpd", "empty"),
    "local": ("root", "/"),
    "local worker": ("pabal-mail", "/"),
}
# One password source for each of the two roles that ask foreign ones.
CONFIG = server.USUAL.replace('auth { source "accounts" }', """auth {
source "accounts"
source "saslauthd" { path "$folder/nobody" }
source "checkpassword" { command "/bin/false" user "pabal-mail" } }""")
CONFINED = [name for name in ROLES if name != "local"]


# ---- system calls in another's place

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]

SEIZE, INTERRUPT, CONT, STEP, DETACH = 0x4206, 0x4207, 7, 9, 17
GETREGS, SETREGS = 12, 13
WALL = 0x40000000
NAMES = ("r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss "
         "fs_base gs_base ds es fs gs").split()

CALLS = {"read": 0, "write": 1, "close": 3, "sendto": 44, "socket": 41, "connect": 42,
         "kill": 62, "ptrace": 101, "setuid": 105, "setgid": 106, "setgroups": 116, "chroot": 161,
         "mount": 165, "prctl": 157, "setrlimit": 160, "openat": 257, "mkdirat": 258,
         "unlinkat": 263, "linkat": 265, "unshare": 272, "fchdir": 81, "getdents64": 217,
         "process_vm_readv": 310, "pidfd_open": 434, "pidfd_getfd": 438, "bpf": 321,
         "init_module": 175, "mknodat": 259, "perf_event_open": 298, "setns": 308}

AT_FDCWD = -100
NOT_THERE = {errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOTDIR}
FORBIDDEN = {errno.EPERM, errno.EACCES}


def ptrace(request, pid, address=0, data=0):
    if libc.ptrace(request, pid, address, data) < 0:
        raise OSError(ctypes.get_errno(), f"ptrace {request:#x}")


class Puppet:
    """A process that is stopped and does what we say, and goes on afterwards as
    if nothing had been. It must be waiting in a system call when it is taken."""

    def __init__(self, pid):
        self.pid = pid
        ptrace(SEIZE, pid)
        ptrace(INTERRUPT, pid)
        os.waitpid(pid, WALL)
        self.saved = self._registers()
        self.memory = open(f"/proc/{pid}/mem", "r+b", buffering=0)
        at = self.saved["rip"] - 2
        assert self._read(at, 2) == b"\x0f\x05", "not in a system call"
        self.syscall = at
        self.room = (self.saved["rsp"] - 65536) & ~15

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.memory.close()
        try:
            self._set(self.saved)
            ptrace(DETACH, self.pid)
        except ProcessLookupError:  # it was killed for what it did: its parent may know now
            try:
                os.waitpid(self.pid, WALL)
            except ChildProcessError:
                pass

    def _registers(self):
        raw = (ctypes.c_ulong * len(NAMES))()
        ptrace(GETREGS, self.pid, 0, ctypes.addressof(raw))
        return dict(zip(NAMES, raw))

    def _set(self, registers):
        raw = (ctypes.c_ulong * len(NAMES))(*(registers[n] for n in NAMES))
        ptrace(SETREGS, self.pid, 0, ctypes.addressof(raw))

    def _read(self, at, size):
        self.memory.seek(at)
        return self.memory.read(size)

    def call(self, name, *arguments):
        """Like the C function, with -errno; octets and texts are put into its memory."""
        room = self.room
        values = []
        for argument in arguments:
            if isinstance(argument, str):
                argument = argument.encode() + b"\0"
            if isinstance(argument, (bytes, bytearray)):
                self.memory.seek(room)
                self.memory.write(argument)
                values.append(room)
                room += (len(argument) + 15) & ~15
            else:
                values.append(argument & (1 << 64) - 1)
        registers = dict(self.saved)
        registers.update(zip(("rdi", "rsi", "rdx", "r10", "r8", "r9"), values))
        registers.update(rax=CALLS[name], orig_rax=(1 << 64) - 1, rip=self.syscall)
        self._set(registers)
        ptrace(STEP, self.pid)
        _, how = os.waitpid(self.pid, WALL)
        if not os.WIFSTOPPED(how):
            raise ProcessLookupError
        return ctypes.c_long(self._registers()["rax"]).value

    def open(self, path, flags=os.O_RDONLY, mode=0o600, at=AT_FDCWD):
        """0, or the error."""
        fd = self.call("openat", at, str(path), flags, mode)
        if fd >= 0:
            self.call("close", fd)
        return max(0, -fd)


# ---- the server, as it is installed

@pytest.fixture(scope="module")
def folder():
    """One that every user can reach: pytest closes its own to others whenever it is started."""
    base = os.environ.get("PABAL_TEST_FOLDER", tempfile.gettempdir())
    with tempfile.TemporaryDirectory(prefix="privilege.", dir=base) as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def running(folder, certificate):
    with server.Pabal(folder, CONFIG, certificate=certificate, as_root=True) as one:
        one.account("kim@example.kr", "secret")
        with one.client("mx") as client:
            client.ehlo()
            assert client.deliver("", "kim@example.kr", smtp.text_message()).code == 250
        one.wait_messages("kim@example.kr")
        yield one


def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def pids_of(running, name):
    """Of a role; the one that `local` forks is "local worker"."""
    pids = running.pids("role " + name.split()[0])
    if name.startswith("local"):
        workers = [p for p in pids if parent(p) in pids]
        return workers if name == "local worker" else [p for p in pids if p not in workers]
    return pids


def all_pids(running):
    found = {"master": [running.process.pid]}
    found.update((name, pids_of(running, name)) for name in ROLES)
    return found


def idle(pid):
    """It waits in epoll_wait (232 or 281), or, a worker, in a read."""
    words = Path(f"/proc/{pid}/syscall").read_text().split()
    return words[0] in ("232", "281", "0", "45", "47", "7", "271")


def puppet(running, name):
    pid = pids_of(running, name)[0]
    wait.until(lambda: idle(pid), 10, f"{name} has nothing to do")
    return Puppet(pid)


def status_of(pid):
    rows = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(row.split(":", 1) for row in rows)


def precious(running):
    """name -> a file that not everyone may read."""
    state = running.folder / "state"
    return {
        "queue": state / "queue" / "queue.db",
        "history": state / "queue" / "history.db",
        "secrets": state / "auth" / "secrets.db",
        "mailbox": next((running.maildir("kim@example.kr") / "new").iterdir()),
        "key": running.folder / "tls" / "server.pem",
        "shadow": Path("/etc/shadow"),
        "control": running.folder / "run" / "master.sock",
    }


MAY_OPEN = {"queue": {"queue", "history"}, "auth": {"secrets"}, "local worker": {"mailbox"}}


# ---- what each process is

@pytest.mark.parametrize("name", ROLES)
def test_who_each_role_is(running, name):
    user, root = ROLES[name]
    account = pwd.getpwnam(user)
    pids = pids_of(running, name)
    assert pids
    for pid in pids:
        status = status_of(pid)
        assert status["Uid"].split() == [str(account.pw_uid)] * 4
        assert status["Gid"].split() == [str(account.pw_gid)] * 4
        # Only the sockets of others may need the groups that the administrator gave its user.
        groups = os.getgrouplist(user, account.pw_gid) if name == "source" else []
        assert {int(word) for word in status["Groups"].split()} == set(groups)
        folder = os.readlink(f"/proc/{pid}/root")
        if root == "empty":
            assert folder == str(running.folder / "state" / "empty")
            assert not os.listdir(folder)
            assert os.readlink(f"/proc/{pid}/cwd") == folder
        else:
            assert folder == "/"
        for kind in ("CapPrm", "CapEff", "CapInh", "CapAmb"):
            assert int(status[kind], 16) == 0, kind
        assert status["NoNewPrivs"].strip() == "1"
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert re.search(r"Max core file size +0 +0 ", limits)


def sanitized():
    return b"__asan_init" in server.BINARY.read_bytes()


@pytest.mark.parametrize("name", ROLES)
def test_nobody_is_dumpable(running, name):
    """Nor traceable, not even for another process of the same user: its files in
    /proc belong to root then."""
    for pid in pids_of(running, name):
        assert os.stat(f"/proc/{pid}/mem").st_uid == 0, name
    if name == "local" and sanitized():
        return  # the leak checker of such a build has to look into its own process
    with puppet(running, name) as one:
        assert one.call("prctl", 3, 0, 0, 0, 0) == 0


ENVIRONMENT = {"PATH", "LC_ALL", "TZ", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"}


@pytest.mark.parametrize("name", ROLES)
def test_the_environment_is_clean(running, name):
    for pid in pids_of(running, name):
        words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        assert {w.split(b"=")[0].decode() for w in words if w} <= ENVIRONMENT


# Descriptors: kinds by what /proc says, and files of its own.
EVERYONE = r"/dev/null|pipe:.*|socket:.*|anon_inode:\[(eventpoll|eventfd|timerfd|signalfd)\]"
OWN_FILES = {"queue": r"{state}/queue($|/.*)", "auth": r"{state}/auth($|/.*)"}


@pytest.mark.parametrize("name", ROLES)
def test_only_expected_descriptors_are_open(running, name):
    state = re.escape(str(running.folder / "state"))
    allowed = EVERYONE
    if name in OWN_FILES:
        allowed += "|" + OWN_FILES[name].format(state=state)
    for pid in pids_of(running, name):
        for fd in os.listdir(f"/proc/{pid}/fd"):
            try:
                target = os.readlink(f"/proc/{pid}/fd/{fd}")
            except FileNotFoundError:
                continue
            assert re.fullmatch(allowed, target), f"{name}: {fd} is {target}"


def test_no_process_in_an_empty_root_holds_a_folder(running):
    """It would be a way out: fchdir, then chroot is no wall any more."""
    for name in ("smtpd", "sender"):
        for pid in pids_of(running, name):
            for fd in os.listdir(f"/proc/{pid}/fd"):
                mode = os.stat(f"/proc/{pid}/fd/{fd}").st_mode
                assert not stat.S_ISDIR(mode) and not stat.S_ISREG(mode), (name, fd)
            # nothing of the state was left mapped, only our program and libraries
            maps = Path(f"/proc/{pid}/maps").read_text()
            assert str(running.folder / "state") not in maps


# ---- what each process can do

@pytest.mark.parametrize("name", CONFINED)
def test_files_of_others_are_closed(running, name):
    """The same paths, once as they are seen from its root folder and once as root
    sees them (for those whose root is the host's, that is the same)."""
    files = precious(running)
    with puppet(running, name) as one:
        for what, path in files.items():
            if what == "control":
                continue
            for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR | os.O_APPEND, os.O_PATH | os.O_NOFOLLOW):
                error = one.open(path, flags)
                if what in MAY_OPEN.get(name, ()):
                    assert error == 0 or flags != os.O_RDONLY, (what, os.strerror(error))
                elif flags & os.O_PATH:
                    assert error in NOT_THERE | {0}  # a handle to nothing that can be read
                else:
                    assert error in NOT_THERE, (what, flags, os.strerror(error))


@pytest.mark.parametrize("name", ["smtpd", "sender"])
def test_an_empty_root_is_empty_and_stays_so(running, name):
    with puppet(running, name) as one:
        for path in ("/etc/passwd", "/proc/self/status", "/dev/null", "/tmp", "../../etc/passwd",
                     "/../../../../etc/passwd", str(running.folder), "/usr/bin/env"):
            assert one.open(path) == errno.ENOENT, path
        entries = bytearray(4096)
        fd = one.call("openat", AT_FDCWD, "/", os.O_RDONLY | os.O_DIRECTORY, 0)
        size = one.call("getdents64", fd, bytes(entries), len(entries))
        listed = one._read(one.room, size)
        names = set(re.findall(rb"[\x04\x08\x0a](\.{0,2}[a-z]*)\0", listed))
        assert names <= {b".", b".."}, listed
        one.call("close", fd)
        assert -one.call("openat", AT_FDCWD, "/new", os.O_CREAT | os.O_WRONLY, 0o600) == errno.EACCES
        assert -one.call("mkdirat", AT_FDCWD, "/new", 0o700) == errno.EACCES
        assert -one.call("openat", AT_FDCWD, "/", os.O_TMPFILE | os.O_RDWR, 0o600) == errno.EACCES
        assert -one.call("chroot", "/") == errno.EPERM
    assert not os.listdir(running.folder / "state" / "empty")


@pytest.mark.parametrize("name", ["queue", "auth"])
def test_landlock_leaves_its_own_folder(running, name):
    """Not even what every user may read or write."""
    with puppet(running, name) as one:
        own = running.folder / "state" / name
        fd = one.call("openat", AT_FDCWD, str(own), os.O_RDONLY | os.O_DIRECTORY, 0)
        assert fd >= 0, "the puppet works"
        one.call("close", fd)
        for path in ("/etc/passwd", "/etc/hostname", "/proc/self/status", "/usr/bin/env", "/", "/tmp",
                     running.config):
            assert one.open(path) == errno.EACCES, path
        for path in ("/tmp/new", "/dev/shm/new", "/var/tmp/new"):
            assert one.open(path, os.O_CREAT | os.O_WRONLY) in FORBIDDEN, path
        assert one.open("/dev/null", os.O_WRONLY) in FORBIDDEN


def test_local_is_root_in_name_only(running):
    """What it was root for is done when its worker runs."""
    with puppet(running, "local") as one:
        for path in ("/etc/passwd", "/proc/self/status", "/usr/bin/env", *precious(running).values()):
            assert one.open(path, os.O_RDWR) in NOT_THERE, path
            assert one.open(path) in NOT_THERE, path
        nobody = pwd.getpwnam("pabal-mail")
        assert -one.call("setuid", nobody.pw_uid) == errno.EPERM
        assert -one.call("setgroups", 1, struct.pack("I", 0)) == errno.EPERM
        assert one.call("mount", "none", "/", "tmpfs", 0, 0) in (-errno.EPERM, -errno.EACCES)
        for pid in (p for name, pids in all_pids(running).items() if "local" not in name
                    and name != "master" for p in pids):
            assert -one.call("kill", pid, 0) == errno.EPERM


@pytest.mark.parametrize("name", CONFINED)
def test_others_cannot_be_signalled_or_traced(running, name):
    user = ROLES[name][0]
    others = {n: pids for n, pids in all_pids(running).items()
              if n == "master" or ROLES[n][0] != user}
    own = pids_of(running, name)[0]
    with puppet(running, name) as one:
        assert one.call("kill", own, 0) == 0, "the puppet works"
        for who, pids in others.items():
            for pid in pids:
                for number in (0, 9, 15, 19):
                    assert -one.call("kill", pid, number) == errno.EPERM, who
                for request in (16, SEIZE):
                    assert -one.call("ptrace", request, pid, 0, 0) == errno.EPERM, who
                vector = struct.pack("QQ", one.room + 4096, 64)
                remote = struct.pack("QQ", 0x400000, 64)
                assert -one.call("process_vm_readv", pid, vector, 1, remote, 1, 0) == errno.EPERM, who
                fd = one.call("pidfd_open", pid, 0)
                if fd >= 0:
                    assert -one.call("pidfd_getfd", fd, 3, 0) == errno.EPERM, who
                    assert -one.call("setns", fd, 0x40000000) != 0
                    one.call("close", fd)
                assert one.open(f"/proc/{pid}/mem", os.O_RDWR) in NOT_THERE, who
                assert one.open(f"/proc/{pid}/environ") in NOT_THERE, who
                assert one.open(f"/proc/{pid}/root/etc/shadow") in NOT_THERE, who


def test_the_checker_has_no_network_and_no_more_of_root_than_it_needs(running):
    """It stays root, to become the user of each check; its children are asked for in
    test_sources."""
    pid, = running.pids("role checker")
    wait.until(lambda: idle(pid), 10, "checker has nothing to do")
    assert os.stat(f"/proc/{pid}/mem").st_uid == 0
    assert os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/self/ns/net")
    with Puppet(pid) as one:
        assert -one.call("socket", 17, 3, 0) in FORBIDDEN | {errno.EAFNOSUPPORT}
        port = struct.pack("!HH4s8x", 0, running.port("mx"), bytes((127, 0, 0, 1)))
        port = struct.pack("H", 2) + port[2:]
        fd = one.call("socket", 2, 1, 0)
        if fd >= 0:
            assert one.call("connect", fd, port, len(port)) < 0
            one.call("close", fd)
        assert one.call("mount", "none", "/", "tmpfs", 0, 0) in (-errno.EPERM, -errno.EACCES)
        assert -one.call("chroot", "/") in FORBIDDEN
        assert -one.call("unshare", 0x20000) in FORBIDDEN
        assert -one.call("init_module", b"x", 1, "") in (errno.EPERM, errno.ENOSYS)
        assert -one.call("ptrace", SEIZE, pids_of(running, "auth")[0], 0, 0) in FORBIDDEN


@pytest.mark.parametrize("name", ["queue", "auth"])
def test_who_holds_the_state_has_no_network(running, name):
    for pid in pids_of(running, name):
        assert os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/self/ns/net")


@pytest.mark.parametrize("name", ["smtpd", "sender", "queue", "auth", "resolver", "source"])
def test_no_way_back_to_root(running, name):
    """setuid and friends, more rights than it has, and the kernel's side doors."""
    nobody = pwd.getpwnam("pabal-queue" if name != "queue" else "pabal-auth")
    with puppet(running, name) as one:
        assert -one.call("setuid", 0) == errno.EPERM
        assert -one.call("setuid", nobody.pw_uid) == errno.EPERM
        assert -one.call("setgid", 0) == errno.EPERM
        assert -one.call("setgroups", 1, struct.pack("I", 0)) == errno.EPERM
        assert one.call("mount", "none", "/", "tmpfs", 0, 0) in (-errno.EPERM, -errno.EACCES)
        assert -one.call("mknodat", AT_FDCWD, "/disk", stat.S_IFBLK | 0o600, 0x800) in (
            errno.EPERM, errno.EACCES)
        assert -one.call("setrlimit", 4, struct.pack("QQ", 1 << 20, 1 << 20)) == errno.EPERM
        assert -one.call("socket", 17, 3, 0) == errno.EPERM  # raw packets
        assert -one.call("socket", 2, 3, 1) == errno.EPERM
        assert -one.call("init_module", b"x", 1, "") in (errno.EPERM, errno.ENOSYS)
        assert -one.call("prctl", 38, 0, 0, 0, 0) == errno.EINVAL  # no-new-privs stays
        assert one.call("prctl", 39, 0, 0, 0, 0) == 1
        if ROLES[name][1] == "empty":  # a user namespace would give all rights in it
            assert -one.call("unshare", 0x10000000) == errno.EPERM


@pytest.mark.parametrize("name", CONFINED)
def test_control_sockets_are_closed(running, name):
    run = running.folder / "run"
    sockets = [p for p in run.iterdir() if p.is_socket()]
    assert len(sockets) >= 4
    with puppet(running, name) as one:
        for path in sockets:
            fd = one.call("socket", 1, 1, 0)
            assert fd >= 0
            address = struct.pack("H", 1) + str(path).encode() + b"\0"
            assert -one.call("connect", fd, address, len(address)) in NOT_THERE, path
            one.call("close", fd)


# ---- files

def test_owners_and_modes(running):
    state = running.folder / "state"
    for path in [state, *state.rglob("*")]:
        info = path.lstat()
        owner = pwd.getpwuid(info.st_uid).pw_name
        top = path.relative_to(state).parts[:1]
        if top and top[0] in ("queue", "auth"):
            assert owner == f"pabal-{top[0]}", path
            assert not info.st_mode & 0o077, f"{path}: {info.st_mode:o}"
        else:
            assert owner in ("root", "pabal-mail"), path
            assert not info.st_mode & 0o022, path
    for path in running.maildir("kim@example.kr").rglob("*"):
        info = path.lstat()
        assert pwd.getpwuid(info.st_uid).pw_name == "pabal-mail"
        assert not info.st_mode & 0o077, path
    empty = (state / "empty").lstat()
    assert (empty.st_uid, empty.st_mode & 0o222) == (0, 0o200)


def test_sockets_are_for_administrators(running):
    for path in (running.folder / "run").iterdir():
        if not path.is_socket():
            continue
        info = path.lstat()
        assert info.st_uid == 0
        assert stat.S_IMODE(info.st_mode) == 0o660, path
        wanted = "root" if path.name == "auth-client" else "pabal-admin"
        assert grp.getgrgid(info.st_gid).gr_name == wanted, path


ASK = """
import json, socket, sys
one = socket.socket(socket.AF_UNIX)
one.connect(sys.argv[1])
one.sendall(json.dumps({"version": 1, "command": sys.argv[2], "arguments": {}}).encode() + b"\\n")
with one.makefile() as lines:
    print(lines.readlines()[-1])
"""


def test_who_comes_as_far_as_a_socket_is_not_in_yet(running):
    """Also where somebody gave it to everybody, who asks has to be root or in the group."""
    admins = grp.getgrnam("pabal-admin").gr_gid

    def ask(path, command, groups):
        done = subprocess.run([sys.executable, "-c", ASK, path, command], user=65534, group=65534,
                              extra_groups=groups, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        return done.stdout

    for name, command in (("master", "status"), ("queue", "queue status"), ("auth", "secret set")):
        path = running.folder / "run" / f"{name}.sock"
        path.chmod(0o666)
        try:
            answer = ask(path, command, [])
            assert '"denied"' in answer and "user 65534 may not give this command" in answer
            assert "pabal-admin" in answer
            assert '"denied"' not in ask(path, command, [64000, admins])
        finally:
            path.chmod(0o660)
        assert '"denied"' not in ask(path, command, [admins])
    running.await_event("admin", level="warning", reason=re.compile("user 65534 may not .*secret set"))


def test_a_key_that_others_can_read_is_refused(running):
    key = running.folder / "tls" / "server.pem"
    key.chmod(0o644)
    try:
        done = running.run("check", check=False)
        assert done.returncode == 1
        assert "server.pem" in done.stdout + done.stderr
    finally:
        key.chmod(0o640)
    assert running.run("check", check=False).returncode == 0


# ---- what it can say to others. Last: processes may be ended by it

def channels(pid):
    """Its sockets; that to master last, for it answers at once."""
    fds = sorted(map(int, os.listdir(f"/proc/{pid}/fd")), reverse=True)
    return [fd for fd in fds if os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:")]


@pytest.mark.parametrize("octets", [
    b"\xff" * 64, b"\0" * 64, bytes(range(256)) * 64, struct.pack("<IIQ", 1 << 31, 20, 1) * 10,
    struct.pack("<IIQ", 16, 0xffff, 1) * 10,
], ids=["ones", "zeros", "noise", "long", "unknown"])
def test_garbage_from_smtpd_hurts_nobody_else(running, octets):
    """Over every channel it has. The others live on and mail is still taken."""
    survivors = {n: p for n, p in all_pids(running).items() if n != "smtpd"}
    pid = wait.until(lambda: pids_of(running, "smtpd"), 20, "smtpd is there")[0]
    wait.until(lambda: idle(pid), 10)
    with Puppet(pid) as one:
        try:
            for fd in channels(pid):
                one.call("sendto", fd, octets, len(octets), 0x4040, 0, 0)  # NOSIGNAL, DONTWAIT
        except ProcessLookupError:
            pass  # master does not let such a process live
    before = len(running.messages("kim@example.kr"))

    def works():
        try:
            with running.client("mx", timeout=5) as client:
                client.ehlo()
                return client.deliver("", "kim@example.kr", smtp.text_message()).code == 250
        except (OSError, smtp.Closed):
            return False

    wait.until(works, 20, "mail is taken again")
    running.wait_messages("kim@example.kr", before + 1)
    for name in ("master", "queue", "auth", "local", "resolver", "sender"):
        assert all_pids(running)[name] == survivors[name], f"{name} was ended by it"
