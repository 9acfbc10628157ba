# SPDX-License-Identifier: ISC
"""The commands that answer in JSON, one object a line."""

import json

from . import wait


def rows(server, *words, check=True):
    """What `pabal WORDS --json` printed."""
    done = server.run(*words, "--json", check=check)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def summary(server):
    """The last row of `pabal status`."""
    return rows(server, "status", check=False)[-1]


def roles(server, name):
    """The rows of a role in `pabal status`, by index."""
    found = [row for row in rows(server, "status", check=False)
             if row.get("kind") == "role" and row["role"] == name]
    return sorted(found, key=lambda row: row["index"])


def queue(server, *words):
    return rows(server, "queue", "list", *words)


def wait_ready(server, seconds=20):
    """Every role is there and ready."""
    def ready():
        try:
            return summary(server)["master"]["ready"]
        except (IndexError, KeyError):
            return False
    wait.until(ready, seconds, "every role is ready", every=0.1)
