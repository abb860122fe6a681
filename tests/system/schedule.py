#!/usr/bin/env python3
# build: asan
# timeout: 120
"""What the director starts by itself: backups, sweeps, prunes and checks, in seconds instead
of weeks, beside restores; over a restart; until it is told to stop. Every point that is left restores."""

import glob
import hashlib
import json
import os
import shutil
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from sealift_site import Site, expect, value

BUSY_S = 5


def command(site, *args, code=0):
    return json.loads(site.sealift("--json", *args, code=code).stdout)


def change(tree, seed):
    """Two files that prove themselves: their last bytes are the hash of the others."""
    for name, size in (("large", 2 << 20), ("small", 3000)):
        content = os.urandom(size) + seed.to_bytes(4, "little")
        with open(os.path.join(tree, ".new"), "wb") as file:
            file.write(content + hashlib.sha256(content).digest())
        os.rename(os.path.join(tree, ".new"), os.path.join(tree, name))


def is_whole(tree):
    for name in ("large", "small"):
        with open(os.path.join(tree, name), "rb") as file:
            content = file.read()
        expect(hashlib.sha256(content[:-32]).digest() == content[-32:], f"{tree}/{name} is not what was written")


def points(site):
    return [row["id"] for row in command(site, "point", "list")["points"]]


def restore(site, point, code=0):
    out = site.path("out", point)
    done = site.sealift("restore", point, "--to", f"source:{out}", "--wait", code=code)
    if done.returncode in (0, 1):
        is_whole(out + site.path("data"))
    shutil.rmtree(out, ignore_errors=True)


def moves(site, state):
    """How many runs came into a state, and with which codes, by the director's log."""
    with open(site.path("director.log")) as log:
        return [int(value(line, "code")) for line in log if "event=run " in line and f"state={state} " in line]


def wait_until(what, holds, seconds=30):
    end = time.monotonic() + seconds
    while not holds():
        expect(time.monotonic() < end, f"{what}: not within {seconds} s")
        time.sleep(0.1)


with Site("schedule") as site:
    site.begin()
    tree = site.path("data")
    os.makedirs(tree)
    change(tree, 0)
    site.add_transporter("source", "trusted", read=[tree], restore=[site.path("out")])
    site.add_transporter("vault", "untrusted", repositories=[site.path("store")])
    site.sealift("key", "create", "main", "--description", "for tests", "--generate")
    wrong = site.sealift("repository", "create", "r", "--on", "vault", "--path", site.path("store", "r"), "--sweep",
                         "sometimes", code=2).stderr
    expect("every 6h" in wrong, f"what a schedule looks like: {wrong}")
    site.sealift("repository", "create", "r", "--on", "vault", "--path", site.path("store", "r"))
    shown = command(site, "repository", "show", "r")
    expect(shown["sweep_schedule"] == "weekly" and shown["check_schedule"] == "daily" and shown["overdue"] == [],
           f"the usual maintenance: {shown}")
    said = site.sealift("repository", "set", "r", "--sweep", "every 2s", "--check", "every 3s", "--check-sample",
                        "40%").stdout
    expect("sweeps every 2s, checks every 3s" in said, said)
    said = site.sealift("repository", "show", "r").stdout
    expect("every 3s, 40 % of the packs each time" in said, said)
    site.sealift("job", "create", "web", "--backup", f"source:{tree}", "--repository", "r", "--encrypt", "source",
                 "--key", "main", "--keep-last", "2", "--schedule", "every 1s")
    expect(command(site, "job", "show", "web")["schedule"] == "every 1s", "the schedule is shown")

    # nobody asks for anything but restores: beside backups, prunes, sweeps and checks
    seen, end, seed = set(), time.monotonic() + BUSY_S, 1
    while time.monotonic() < end or len(seen) < 4:
        change(tree, seed)
        seed += 1
        listed = points(site)
        seen.update(listed)
        if listed:
            restore(site, listed[-1], code=(0, 1, 3, 4))  # it may be pruned meanwhile, never half there
        expect(time.monotonic() < end + 40, f"points come by themselves: {seen}")
    wait_until("a check and a sweep end well",
               lambda: all(command(site, "repository", "show", "r")[key] for key in ("swept", "check_hash")))

    # the director starts again, and it goes on
    site.daemons["director"].stop()
    time.sleep(2)
    site.run_director()
    for name in ("source", "vault"):
        site.daemons["director"].wait_for(f"event=connected transporter={name}")
    before = set(points(site))
    wait_until("backups go on after a restart", lambda: set(points(site)) - before)

    # until it is told to stop
    site.sealift("job", "delete", "web", "--yes")
    site.sealift("repository", "set", "r", "--no-maintenance")
    status = lambda: command(site, "status")
    wait_until("what runs ends", lambda: not status()["runs"])
    known = len(moves(site, "ok"))
    row = status()["repositories"][0]
    expect(row["sweep_schedule"] == "none" and row["swept"] and row["checked_percent_30d"] > 0, f"status: {row}")
    left = points(site)
    expect(0 < len(left) <= 6, f"retention is applied: {left}")
    for point in left:
        restore(site, point)
    expect(set(moves(site, "failed")) <= {4, 5, 6, 7}, f"runs that failed: {moves(site, 'failed')}")
    expect(len(moves(site, "ok")) == known + len(left), "nothing starts by itself any more")
    expect(len(glob.glob(site.path("store", "r", "packs", "*", "*"))) <= 4 * len(left) + 8, "the space came back")
    site.daemons["vault"].stop()
    site.sealift("offline", "check", site.path("store", "r"), "--level", "hash")
