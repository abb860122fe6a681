#!/usr/bin/env python3
# build: asan
# timeout: 120
"""A hostile director shows an operator, whose machine has not seen the newer ones, older grants of a key: every verb
that would go by them is refused and names the director, since hosts say what they were granted."""

import os
import shutil
import sqlite3
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from sealift_site import Site, expect, make_tree, wait_until

UNREACHABLE, NOT_AUTHENTIC = 7, 26
GRANT = 2


def put(path, data):
    with open(path, "wb") as file:
        file.write(data)
    os.chmod(path, 0o600)
    return path


class Director:
    """A director whose operator writes into its catalog."""

    def __init__(self, site):
        self.site, self.path = site, site.path("director", "catalog.sqlite")

    def grants(self, change=None):
        """All that it has; `change`: what it has from now on."""
        self.site.daemons["director"].stop()
        with sqlite3.connect(self.path) as base:
            kept = {name: base.execute(f"SELECT * FROM {name} WHERE type = ?", (GRANT,)).fetchall()
                    for name in ("statement", "seen")}
            for name, rows in (change or {}).items():
                base.execute(f"DELETE FROM {name} WHERE type = ?", (GRANT,))
                base.executemany(f"INSERT INTO {name} VALUES ({','.join('?' * len(rows[0]))})", rows)
        base.close()
        hosts = [daemon for name, daemon in self.site.daemons.items() if name != "director"]
        before = [self.connections(host) for host in hosts]
        self.site.run_director()
        wait_until(lambda: all(self.connections(host) > count for host, count in zip(hosts, before)),
                   "the hosts connect again")
        return kept

    @staticmethod
    def connections(host):
        return sum("event=director_connected" in line for line in host.lines())


with Site() as site:
    site.begin()
    tree = site.path("data")
    make_tree(tree, files=3)
    site.add_backup(tree)
    words = put(site.path("words"), b"a further password\n")
    site.sealift("operator", "export", "--out", site.path("me"), "--password-file", words)
    shutil.copytree(site.path("operator"), site.path("seed"))
    fresh = dict(site.env, SEALIFT_STATE=site.path("fresh"))

    def as_fresh(*verb, code=0):
        """From a machine that was last used before anything newer was signed."""
        shutil.rmtree(site.path("fresh"), ignore_errors=True)
        shutil.copytree(site.path("seed"), site.path("fresh"))
        return site.sealift(*verb, env=fresh, code=code)

    director = Director(site)
    older = director.grants()
    verbs = (
        ("key", "protect", "main", "--password-file", words, "--description", "late"),
        ("key", "rotate", "main", "--generate", "--yes"),
        ("key", "grant", "main", "source", "--half", "read"),
        ("key", "rewrap", "main"),
        ("key", "export", "main", "--out", site.path("kit"), "--password-file", words),
        ("job", "create", "again", "--backup", f"source:{tree}", "--repository", "offsite", "--encrypt", "source",
         "--key", "main"),
    )

    # a newer section of the same key, then a newer generation: the director shows what was before
    for change in (("key", "protect", "main", "--password-file", words, "--description", "first"),
                   ("key", "rotate", "main", "--generate", "--yes")):
        site.sealift(*change)
        newer = director.grants(older)
        for verb in verbs:
            refused = as_fresh(*verb, code=NOT_AUTHENTIC)
            expect("withholds" in refused.stderr and "'main'" in refused.stderr and "'source'" in refused.stderr,
                   f"{verb[:2]}: {refused.stderr}")
        # this machine has seen it now, and needs no host any more to know
        again = site.sealift("key", "list", env=fresh, code=(0, NOT_AUTHENTIC))
        expect("older than" in again.stderr or "forgotten" in again.stderr, f"remembered: {again.stderr}")
        director.grants(newer)

    # an honest director: the newest generation is what the machine goes by
    shown = as_fresh("--json", "key", "show", "main").stdout
    expect('"generation": 2' in shown or '"generation":2' in shown, f"the newest: {shown}")
    as_fresh("key", "export", "main", "--out", site.path("kit"), "--password-file", words)

    # nobody to ask: it is said, and an operator may go on
    site.daemons["source"].stop()
    refused = as_fresh("key", "grant", "main", "source", "--half", "read", code=UNREACHABLE)
    expect("--unwitnessed" in refused.stderr, f"what goes on without: {refused.stderr}")
    said = as_fresh("key", "grant", "main", "source", "--half", "read", "--unwitnessed")
    expect("the director's word" in said.stderr, f"and what that means: {said.stderr}")
print("no operator goes by older grants than a host was given")
