# SPDX-License-Identifier: ISC
"""The pytest side of the harness: fixtures, the mark `root`, a limit for each
test, and the counts that test/run adds up."""

import json
import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

from . import peers, server, sink, tls

LIMIT = 180  # seconds a test may take; `@pytest.mark.limit(600)` for another


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    own_base(config)
    config.addinivalue_line("markers", "root: needs root (skipped without, failed when CI=true)")
    config.addinivalue_line("markers", "machine: runs outside the tests' network")
    config.addinivalue_line("markers", "limit(seconds): may take longer than others")
    config._pabal_counts = {"passed": 0, "failed": 0, "skipped": 0}


def own_base(config):
    """Where tmp_path and tmp_path_factory make theirs. Not the folder that pytest
    shares among sessions: each session that begins takes everybody's right to
    enter away from that, and with it from servers of other sessions, which run
    as another user."""
    if config.option.basetemp is None:
        base = os.environ.get("PABAL_TEST_FOLDER", tempfile.gettempdir())
        config._pabal_base = Path(tempfile.mkdtemp(prefix="pabal.", dir=base))
        config._pabal_base.chmod(0o755)
        config.option.basetemp = str(config._pabal_base / "t")


# ---- what cannot run

def pytest_runtest_setup(item):
    if item.get_closest_marker("root") and not peers.is_root():
        missing("this test needs root")


def missing(why):
    """A part of the machine that a test needs is not there."""
    if os.environ.get("CI") == "true":
        pytest.fail(why, pytrace=False)
    pytest.skip(why)


# ---- a limit for each test

class TooLong(Exception):
    pass


def _on_alarm(_number, _frame):
    raise TooLong


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    mark = item.get_closest_marker("limit")
    before = signal.signal(signal.SIGALRM, _on_alarm)
    signal.alarm(mark.args[0] if mark else LIMIT)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# ---- counts for test/run

def pytest_runtest_logreport(report):
    counts = _session_config._pabal_counts if _session_config else {}
    if report.when == "call" and report.passed:
        counts["passed"] += 1
    elif report.failed:
        counts["failed"] += 1
    elif report.skipped:
        counts["skipped"] += 1


def pytest_collectreport(report):
    if report.failed and _session_config:
        _session_config._pabal_counts["failed"] += 1


_session_config = None


def pytest_sessionstart(session):
    global _session_config
    _session_config = session.config


def pytest_sessionfinish(session):
    path = os.environ.get("PABAL_COUNTS")
    if path:
        Path(path).write_text(json.dumps(session.config._pabal_counts))


def pytest_unconfigure(config):
    base = getattr(config, "_pabal_base", None)
    if base and not config._pabal_counts["failed"]:
        shutil.rmtree(base, ignore_errors=True)


# ---- fixtures

@pytest.fixture(scope="session", autouse=True)
def own_network(request):
    """The tests use port 25, addresses of the documentation ranges, and kill."""
    outside = all(item.get_closest_marker("machine") for item in request.session.items)
    if not outside and not os.environ.get("PABAL_TEST_NETWORK"):
        pytest.exit("run these with ./dev test, or under test/lib/enter-network", 2)


@pytest.fixture
def folder(request):
    """A folder of the test's own that every user can reach, with a path short enough
    for Unix sockets (108 octets is all a peer gets); removed when the
    test passed, else left for a look."""
    base = os.environ.get("PABAL_TEST_FOLDER", tempfile.gettempdir())
    name = request.node.name.translate({ord(c): "_" for c in "/[]: "})[:16]
    path = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=base))
    path.chmod(0o755)
    yield path
    failed = getattr(request.node, "_pabal_failed", False)
    if not failed:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def make_folder(tmp_path_factory):
    """make_folder(NAME): one more folder that every user can reach, for fixtures that
    outlive a test."""
    def make(name):
        path = tmp_path_factory.mktemp(name)
        for one in (path, path.parent):
            one.chmod(0o755)
        return path
    return make


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    if outcome.get_result().failed:
        item._pabal_failed = True


@pytest.fixture(scope="session")
def ca(tmp_path_factory):
    return tls.Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="session")
def certificate(ca):
    """For mail.example.kr, the name that servers under test have."""
    return ca.issue("mail.example.kr", names=["localhost"], addresses=["127.0.0.1", "::1"])


@pytest.fixture
def start(folder):
    """start(Class, ...): makes an object with a stop() and stops it at the end,
    in the reverse order. Peers and servers get the test's folder first."""
    started = []

    def make(kind, *args, **words):
        if issubclass(kind, peers.Peer):
            if not peers.have_peers():
                missing("the peers are not unpacked: ./dev test does it")
            args = (folder, *args)
        elif issubclass(kind, server.Pabal):
            args = (folder, *args)
        thing = kind(*args, **words)
        started.append(thing)
        return thing

    yield make
    errors = []
    for thing in reversed(started):
        try:
            thing.stop()
        except Exception as error:  # all are stopped, then the first is told
            errors.append(error)
    if errors:
        raise errors[0]


@pytest.fixture
def mail_sink(start):
    return start(sink.Sink)


@pytest.fixture
def pabal(start, certificate):
    """A running server with the usual configuration and the account
    kim@example.kr, password "secret"."""
    running = start(server.Pabal, certificate=certificate)
    running.account("kim@example.kr", "secret")
    return running
