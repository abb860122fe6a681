#!/usr/bin/env python3
# build: asan
# timeout: 280
"""kill -9 of source, target or director in the middle of a run; then the same command again ends in a correct
point, and every point that was committed before still restores."""

import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from sealift_site import Failed, Site, expect, make_tree, same


def start_run(site):
    return subprocess.Popen([os.path.join(site.bin, "sealift"), "--json", "job", "run", "web", "--wait"], env=site.env,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)


def bytes_below(root):
    return sum(os.path.getsize(os.path.join(where, name)) for where, _, names in os.walk(root) for name in names
               if os.path.exists(os.path.join(where, name)))


def until_stored(site, more, process):
    """Waits until the repository has grown by `more` bytes, or the run has ended."""
    start, end = bytes_below(site.path("store")), time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        if bytes_below(site.path("store")) - start > more:
            return
        time.sleep(0.005)


def run_again(site, who):
    """The same command until it is not busy; it must end well."""
    end = time.monotonic() + 90
    while True:
        done = site.sealift("--json", "job", "run", "web", "--wait", code=(0, 3, 6, 7), timeout=120)
        if done.returncode == 0:
            return json.loads(done.stdout)
        if time.monotonic() > end:
            raise Failed(f"after kill -9 of {who} the job does not run again: {done.stdout} {done.stderr}")
        time.sleep(0.5)


with Site(lease="3s") as site:
    site.begin()
    tree = site.path("data")
    make_tree(tree, files=60)
    site.add_backup(tree)
    site.sealift("job", "run", "web", "--wait")

    for round, who in enumerate(("source", "vault", "director", "source", "vault")):
        with open(os.path.join(tree, f"new-{round}"), "wb") as file:
            for _ in range(60):
                file.write(os.urandom(1 << 20))
        run = start_run(site)
        until_stored(site, (3 + 12 * (round % 3)) << 20, run)
        site.daemons[who].kill()
        site.run_daemon(who)
        out, err = run.communicate(timeout=120)
        expect(run.returncode in (0, 3, 6, 7), f"the interrupted command: {run.returncode} {out} {err}")
        again = run_again(site, who)
        expect(again["state"] == "ok", f"{again}")
        out = site.path("out", str(round))
        site.sealift("restore", "web@latest", "--to", f"source:{out}", "--wait")
        same(tree, out + tree, f"the restore after kill -9 of {who}")
        os.remove(os.path.join(tree, f"new-{round}"))

    for name in ("source", "vault"):
        site.daemons[name].stop()
    site.sealift("offline", "check", site.path("store", "r"), "--level", "hash")
print("every kill was survived")
