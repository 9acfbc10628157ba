# SPDX-License-Identifier: ISC
"""Each *.smtp file here is one case; pabal/dialogue.py says what its lines mean.
One server a configuration serves all of them, one after the other."""

import tempfile
from pathlib import Path

import pytest

from pabal import dialogue, server

HERE = Path(__file__).parent
SCRIPTS = [dialogue.Script(path) for path in sorted(HERE.glob("*.smtp"))]


@pytest.fixture(scope="module")
def servers(certificate):
    """config name -> a running server."""
    folder = Path(tempfile.mkdtemp(prefix="dialogue."))
    folder.chmod(0o755)
    running = {}

    def get(name):
        if name not in running:
            more = (HERE / f"{name}.conf").read_text() if name else ""
            running[name] = server.Pabal(folder, more=more, certificate=certificate,
                                         name=name or "usual")
            running[name].account("kim@example.kr", "secret")
        return running[name]

    yield get
    errors = []
    for one in running.values():
        try:
            one.stop()
        except AssertionError as error:
            errors.append(error)
    if errors:
        raise errors[0]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda s: s.path.stem)
def test_dialogue(script, servers):
    dialogue.Run(script, servers(script.config)).all()
