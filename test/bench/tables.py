# SPDX-License-Identifier: ISC
"""Client rules and domain lists of a large site: how long tables take to make, to look up in, and
how large they are. No server is needed: build/test/tables/ask-tables does it."""

import json
import os
import subprocess
from pathlib import Path

RULES, DOMAINS = 10_000, 1_000_000


def write_rules(path):
    """Addresses, prefixes, networks of every length from /9 to /28, and names."""
    rows = []
    for n in range(RULES - 4):
        octets = (n * 2654435761) & 0xffffff
        a, b, c = octets >> 16, octets >> 8 & 255, octets & 255
        key = (f"10.{a}.{b}.{c}", f"10.{a}.{b}.", f"10.{a}.{b}.{c}/{9 + n % 20}",
               f"11.{a}.{b}.{c}")[n % 4]
        rows.append(f'{key}:allow,RELAYCLIENT=""' if n % 3 else f"{key}:deny")
    rows += ["=mail.example.org:deny", "=.example.org:deny", "=:allow", ":allow"]
    path.write_text("\n".join(rows) + "\n")


def write_domains(path):
    with open(path, "w") as file:
        for n in range(DOMAINS):
            file.write(f"{'.' if n % 10 == 0 else f'{n % 7}.'}dom{n}.example.kr\n")


def measure(folder, build):
    """Microseconds of a look-up, seconds of a build, and what all of it takes."""
    rules, domains = Path(folder) / "tcp.smtp", Path(folder) / "rcpthosts"
    write_rules(rules)
    write_domains(domains)
    done = subprocess.run([Path(build) / "test/tables/ask-tables", "bench", rules, domains],
                          capture_output=True, text=True, check=True)
    os.unlink(domains)
    found = json.loads(done.stdout)
    return {"rule_us": found["rule_ns"] / 1000, "domain_us": found["domain_ns"] / 1000,
            "build_seconds": found["build_seconds"], "mebibytes": found["octets"] / 2**20}
