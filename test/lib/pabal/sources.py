# SPDX-License-Identifier: ISC
"""A password source by itself (build/test/source/ask-source), asked line by line."""

import collections
import itertools
import os
import queue
import shutil
import subprocess
import threading
from pathlib import Path

from . import server

Answer = collections.namedtuple("Answer", "verdict account rights clear scram ms reason")

# For what must come at all; the source's own limit is shorter.
PATIENCE = 60


class Source:
    def __init__(self, folder, kind, environment=None, **settings):
        build = Path(os.environ.get("PABAL_BUILD", server.BINARY.parent))
        folder = folder / "source"
        folder.mkdir(exist_ok=True)
        program = folder / "ask-source"
        if not program.exists():
            # Copies, and modules beside the program: every user must reach them.
            shutil.copy(build / "test/source/ask-source", program)
            program.chmod(0o755)
            for module in build.glob("pabal-*.so"):
                shutil.copy(module, folder / module.name)
        words = []
        for key, value in settings.items():
            for one in value if isinstance(value, list) else [value]:
                words.append(f"{key.replace('_', '-')}={one}")
        self.process = subprocess.Popen(
            [program, kind, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, **(environment or {})})
        self.numbers = itertools.count(1)
        self.waiting = collections.defaultdict(queue.Queue)
        first = self.process.stdout.readline().rstrip("\n")
        self.failure = None if first == "ready" else first.partition("\t")[2] or first
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.process.stdin.close()
        code = self.process.wait(PATIENCE)
        assert self.failure or code == 0, code
        self.reader.join(PATIENCE)
        self.process.stdout.close()

    def _read(self):
        for line in self.process.stdout:
            number, *words = line.rstrip("\n").split("\t", 7)
            words[2] = set(words[2].split()[1:]) if words[2] else None
            words[5] = int(words[5])
            self.waiting[int(number)].put(Answer(*words))

    def ask(self, name, secret="", ask="password"):
        """Sends the question; what is returned gives the answer when called."""
        number = next(self.numbers)
        answers = self.waiting[number]  # there before the answer can come
        self.process.stdin.write(f"{number}\t{ask}\t{name}\t{secret}\n")
        self.process.stdin.flush()
        return lambda: answers.get(timeout=PATIENCE)

    def check(self, name, secret):
        return self.ask(name, secret)()

    def look_up(self, name):
        return self.ask(name, "", "lookup")()


