# SPDX-License-Identifier: ISC
"""Waiting with an end, and addresses to wait at."""

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


def free_port(address="127.0.0.1", kind=socket.SOCK_STREAM):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, kind) as s:
        s.bind((address, 0))
        return s.getsockname()[1]


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
    while True:
        port = free_port(address)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            try:
                s.bind((address, port))
                return port
            except OSError:
                continue
