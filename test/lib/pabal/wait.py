# SPDX-License-Identifier: ISC
"""Waiting with an end, and addresses to wait at."""

import itertools
import socket
import time


class Late(AssertionError):
    """What was awaited did not happen in time."""


def until(question, seconds=10, what=None, every=0.02):
    """Asks again and again; returns the first true answer. Only for things
    that tell nobody when they happen (a file appears, another's process ends)."""
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise Late(f"not within {seconds} s: {what or question}")
        time.sleep(every)


# Below the range that the kernel takes for outgoing connections (32768 and up), and never one
# twice: a port that was free a moment ago is not handed out again, nor taken by a client.
_ports = itertools.cycle(range(10000, 30000))


def free_port(address="127.0.0.1", kinds=(socket.SOCK_STREAM,)):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for port in itertools.islice(_ports, 20000):
        try:
            for kind in kinds:
                with socket.socket(family, kind) as s:
                    s.bind((address, port))
            return port
        except OSError:
            continue
    raise Late(f"no free port on {address}")


def answers(address, port, banner=b"", timeout=10):
    """True when the port takes a connection and says `banner` first."""
    try:
        with socket.create_connection((address, port), timeout=timeout) as s:
            return not banner or s.recv(len(banner)).startswith(banner)
    except OSError:
        return False


def until_port(address, port, banner=b"", seconds=20):
    until(lambda: answers(address, port, banner, seconds), seconds, f"{address}:{port} answers")


def free_port_pair(address="127.0.0.1"):
    """A port free for TCP and UDP, as a name server needs it."""
    return free_port(address, (socket.SOCK_STREAM, socket.SOCK_DGRAM))
