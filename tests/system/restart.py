#!/usr/bin/env python3
# build: asan
# timeout: 200
"""The director stops and starts while runs go on, and comes back from an older copy of its state; a transporter
that was revoked does not get in again, whatever the director believes."""

import json
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from sealift_site import Site, expect, make_tree, same, wait_until


def start_run(site, *words):
    return subprocess.Popen([os.path.join(site.bin, "sealift"), "--json", "job", "run", "web", *words], env=site.env,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)


def packed(site):
    return sum(os.path.getsize(os.path.join(where, name)) for where, _, names in os.walk(site.path("store", "r"))
               for name in names if os.path.exists(os.path.join(where, name)))


def until_stored(site, more, process):
    start, end = packed(site), time.monotonic() + 60
    while process.poll() is None and packed(site) - start < more:
        expect(time.monotonic() < end, "the run stores nothing")
        time.sleep(0.005)


def add_file(tree, name, megabytes):
    with open(os.path.join(tree, name), "wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(1 << 20))


def points(site):
    return [row["id"] for row in json.loads(site.sealift("--json", "point", "list", "--job", "web").stdout)["points"]]


def connected(site, *names):
    for name in names:
        site.daemons["director"].wait_for(f"event=connected transporter={name} ")


def restored(site, tree, name, point="web@latest", *options):
    out = site.path("out", name)
    site.sealift("restore", point, "--to", f"source:{out}", "--wait", *options)
    same(tree, out + tree, f"restore, {name}")


def goes_on(site, tree):
    """Stopped and started while data flows: the run and the one who waits for it do not notice."""
    add_file(tree, "new-1", 60)
    run = start_run(site, "--wait")
    until_stored(site, 4 << 20, run)
    site.daemons["director"].stop()
    expect(run.poll() is None, f"the command ended with its director: {run.poll()}")
    site.run_director()
    out, err = run.communicate(timeout=60)
    expect(run.returncode == 0, f"the run over a restart: {run.returncode} {out} {err}")
    expect(json.loads(out)["state"] == "ok" and json.loads(out)["point"] in points(site), out)
    connected(site, "source", "vault")
    restored(site, tree, "restarted")


def ends(site, name):
    """How many runs have ended there. A director that ends may be connected to once more while it does."""
    return sum("event=run_ended" in line for line in site.daemons[name].lines())


def commits_alone(site, tree):
    """A run ends without the director, and is accounted for when it is back."""
    add_file(tree, "new-2", 30)
    ended = {name: ends(site, name) for name in ("source", "vault")}
    run = start_run(site, "--wait")
    until_stored(site, 2 << 20, run)
    before = len(os.listdir(site.path("store", "r", "log")))
    site.daemons["director"].stop()
    for name, count in ended.items():
        wait_until(lambda: ends(site, name) == count + 1, f"the run ends at '{name}' without the director", seconds=30)
    expect(len(os.listdir(site.path("store", "r", "log"))) == before + 1, "the commit needs no director")
    site.run_director()
    out, err = run.communicate(timeout=60)
    expect(run.returncode == 0 and json.loads(out)["state"] == "ok", f"{run.returncode} {out} {err}")
    expect(json.loads(out)["point"] in points(site), f"the point is known: {out}")
    restored(site, tree, "alone")


def revoked(site, tree):
    """Out at once, and for good; what it wrote since then is restored only when that is said."""
    site.sealift("transporter", "revoke", "gone", "--since", "1h", "--yes")
    director, gone = site.daemons["director"], site.daemons["gone"]
    director.wait_for("event=expelled transporter=gone")
    gone.wait_for("event=director_lost")
    gone.stop()
    gone = site.run_transporter("gone")
    gone.wait_for("event=director_lost")
    gone.wait_for("event=not_admitted .*is it approved, or revoked?")
    director.wait_for("event=dropped .*an unknown key may only join")
    rows = {row["name"]: row for row in json.loads(site.sealift("--json", "transporter", "list").stdout)["transporters"]}
    expect(rows["gone"]["zone"] == "revoked" and not rows["gone"]["connected"], f"{rows['gone']}")
    expect(json.loads(site.sealift("--json", "transporter", "pending").stdout)["pending"] == [], "it waits for approval")
    for words in (["job", "run", "to-gone", "--wait"], ["job", "run", "from-gone", "--wait"],
                  ["restore", "web@latest", "--to", f"gone:{site.path('out')}"],
                  ["transporter", "approve", "gone", "--zone", "trusted"]):
        refused = site.sealift(*words, code=(4, 5))
        expect("transporter" in refused.stderr, f"the reason is named: {refused.stderr}")
    refused = site.sealift("restore", "from-gone@latest", "--to", f"source:{site.path('out', 'no')}", "--wait", code=26)
    expect("--accept-revoked takes it all the same" in refused.stderr, f"what can be said: {refused.stderr}")
    restored(site, tree, "of-gone", "from-gone@latest", "--accept-revoked")


def rolled_back(site, tree, copy, known):
    """From before a revocation, a job and two points: hosts remember, and give back."""
    site.daemons["director"].stop()
    shutil.rmtree(site.path("director"))
    os.rename(copy, site.path("director"))
    site.run_director()
    director = site.daemons["director"]
    connected(site, "source", "vault")
    director.wait_for("event=roster_is_old transporter=(source|vault) ")
    for name in ("source", "vault"):
        director.wait_for(f"event=gave_back transporter={name}")
    director.wait_for("event=(expelled transporter=gone|dropped .*may only join)")
    rows = {row["name"]: row for row in json.loads(site.sealift("--json", "transporter", "list").stdout)["transporters"]}
    expect(rows["gone"]["zone"] == "revoked", f"who was revoked after the copy was made stays out: {rows['gone']}")
    wait_until(lambda: set(points(site)) == set(known), f"the points {known} come back from the repository's log")
    jobs = [job["name"] for job in json.loads(site.sealift("--json", "job", "list").stdout)["jobs"]]
    expect("later" in jobs, f"a job that was made after the copy comes back from the hosts: {jobs}")
    site.sealift("job", "run", "later", "--wait")
    row = json.loads(site.sealift("--json", "status").stdout)["repositories"][0]
    expect(row["free_bytes"] > 1 << 20, f"how much room there is: {row}")
    site.sealift("job", "run", "web", "--wait")
    restored(site, tree, "rolled-back")


with Site(lease="20s") as site:
    site.begin()
    tree = site.path("data")
    make_tree(tree, files=30)
    site.add_backup(tree)
    site.add_transporter("gone", "trusted", read=[tree], repositories=[site.path("lost")], restore=[site.path("out")])
    site.sealift("repository", "create", "lost", "--on", "gone", "--path", site.path("lost", "r"))
    for name, source, repository in (("to-gone", "source", "lost"), ("from-gone", "gone", "offsite")):
        site.sealift("job", "create", name, "--backup", f"{source}:{tree}", "--repository", repository, "--encrypt",
                     "source", "--key", "main")
    site.sealift("job", "run", "web", "--wait")
    goes_on(site, tree)
    copy = site.path("director-copy")
    site.daemons["director"].stop()
    shutil.copytree(site.path("director"), copy)
    site.run_director()
    connected(site, "source", "vault", "gone")
    commits_alone(site, tree)
    site.sealift("job", "create", "later", "--backup", f"source:{tree}", "--repository", "offsite", "--encrypt", "source",
                 "--key", "main")
    site.sealift("job", "run", "from-gone", "--wait")
    revoked(site, tree)
    rolled_back(site, tree, copy, points(site))
print("directors come and go, and what was revoked stays out")
