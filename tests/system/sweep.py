#!/usr/bin/env python3
# build: asan
# timeout: 200
"""Prune, hold, delete, undelete and sweep in an untrusted repository, through the command line; two jobs with
one key and the same data in two repositories, copied crosswise, both swept: every point restores from both."""

import glob
import json
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from sealift_site import Site, expect, make_tree, same


def run_job(site, job):
    return json.loads(site.sealift("--json", "job", "run", job, "--wait").stdout)


def points(site, repository, job=None):
    wanted = ["--job", job] if job else []
    listed = json.loads(site.sealift("--json", "point", "list", "--repository", repository, *wanted).stdout)
    return [row["id"] for row in listed["points"]]


def stored(site, host):
    return sum(os.path.getsize(name) for name in glob.glob(site.path(f"{host}-store", "*", "packs", "*", "*")))


def restored(site, point, repository, tree, what):
    out = site.path("out", what)
    site.sealift("restore", point, "--repository", repository, "--to", f"source:{out}", "--wait")
    same(tree, out + tree, what)
    shutil.rmtree(out)


def write(tree, name, megabytes):
    with open(os.path.join(tree, name), "wb") as file:
        file.write(os.urandom(megabytes << 20))


with Site() as site:
    site.begin()
    tree = site.path("data")
    make_tree(tree, files=60)
    site.add_transporter("source", "trusted", read=[tree], restore=[site.path("out")])
    site.add_transporter("vault", "untrusted", repositories=[site.path("vault-store")])
    site.add_transporter("far", "untrusted", repositories=[site.path("far-store")], extra="")
    site.sealift("key", "create", "main", "--description", "for tests", "--generate")
    site.sealift("repository", "create", "one", "--on", "vault", "--path", site.path("vault-store", "one"))
    site.sealift("repository", "create", "two", "--on", "far", "--path", site.path("far-store", "two"),
                 "--keep-least", "2")
    for job, repository in (("web", "one"), ("app", "two")):
        site.sealift("job", "create", job, "--backup", f"source:{tree}", "--repository", repository, "--encrypt",
                     "source", "--key", "main", "--keep-last", "1")

    # three points, of which each has 4 MiB that the others have not
    for name in ("a", "b", "c"):
        write(tree, "changing", 4)
        run_job(site, "web")
        run_job(site, "app")
    expect(len(points(site, "one")) == 3, "three points")
    oldest, middle, newest = points(site, "one")

    # what holds, stays: exit code 5
    site.sealift("point", "hold", middle)
    refused = site.sealift("point", "delete", middle, "--yes", code=5).stderr
    expect("held" in refused, refused)
    # told, then done
    dry = site.sealift("job", "prune", "web", "--dry-run")
    expect("1 point would be removed, 2 stay" in dry.stdout, dry.stdout + dry.stderr)
    expect("held" in dry.stderr and "newest" in dry.stderr and "warning" not in dry.stderr, dry.stderr)
    expect(re.search(rf"point {oldest[:12]} of 20\d\d-\S+Z, log entry \d+: would be removed", dry.stderr), dry.stderr)
    expect(len(points(site, "one")) == 3, "a dry run removes nothing")
    expect("1 point removed, 2 stay" in site.sealift("job", "prune", "web", "--yes").stdout, "prune")
    expect(points(site, "one") == [middle, newest], "the catalog follows the log")
    rows = json.loads(site.sealift("--json", "point", "list", "--repository", "one").stdout)["points"]
    expect([row["held"] for row in rows] == [True, False], f"what is held is shown: {rows}")
    # until a sweep it comes back: named by its beginning, or as the newest that was removed
    gone = json.loads(site.sealift("--json", "point", "list", "--removed").stdout)["points"]
    expect([row["id"] for row in gone] == [oldest], f"what was removed is listed: {gone}")
    site.sealift("point", "undelete", oldest[:8])
    expect(oldest in points(site, "one"), "undelete")
    site.sealift("point", "delete", oldest, "--yes")
    site.sealift("point", "undelete", "web@latest")
    expect(oldest in points(site, "one"), "undelete by the name of the job")
    there = site.sealift("point", "undelete", oldest[:8], code=4).stderr
    expect("no removed point is" in there and "point list --removed" in there, there)
    site.sealift("point", "delete", oldest, "--yes")
    site.sealift("point", "release", middle)
    site.sealift("point", "delete", middle, "--yes")
    refused = site.sealift("point", "delete", newest, "--yes", code=5).stderr
    expect("last point" in refused, refused)

    # the space comes back, the point does not
    before = stored(site, "vault")
    swept = site.sealift("repository", "sweep", "one", "--wait").stdout
    expect("taken away" in swept, swept)
    expect(stored(site, "vault") < before - (7 << 20), f"{before} bytes before, {stored(site, 'vault')} after")
    expect(json.loads(site.sealift("--json", "point", "list", "--removed").stdout)["points"] == [], "all was swept")
    site.sealift("point", "undelete", oldest, code=4)
    site.sealift("point", "undelete", oldest, "--repository", "one", code=5)
    shown = json.loads(site.sealift("--json", "repository", "show", "one").stdout)["jobs"]
    expect(len(shown) == 1 and shown[0]["points"] == 1 and shown[0]["stored_bytes"] > 12 << 20, f"by job: {shown}")
    restored(site, newest, "one", tree, "after-sweep")
    expect("nothing" in site.sealift("repository", "sweep", "one").stdout, "a second sweep")

    # the floor of the repository wins
    expect("1 point removed, 2 stay" in site.sealift("job", "prune", "app", "--yes").stdout, "the floor")
    refused = site.sealift("point", "delete", points(site, "two")[0], "--yes", code=5).stderr
    expect("at least 2" in refused, refused)

    # crosswise
    site.sealift("job", "create", "web2", "--copy", "web", "--repository", "two")
    site.sealift("job", "create", "app2", "--copy", "app", "--repository", "one")
    run_job(site, "web2")
    run_job(site, "app2")
    for repository in ("one", "two"):
        site.sealift("repository", "sweep", repository)
    latest = points(site, "one", "app")[-1]
    for repository in ("one", "two"):
        restored(site, newest, repository, tree, f"web-from-{repository}")
        restored(site, latest, repository, tree, f"app-from-{repository}")

    # a copy of all jobs rules what it brought, and nothing that has a job of its own there
    site.sealift("repository", "create", "third", "--on", "far", "--path", site.path("far-store", "third"))
    site.sealift("job", "create", "both", "--copy", "two", "--repository", "third", "--keep-last", "1")
    run_job(site, "both")
    expect(len(points(site, "third", "app")) == 2, "two points of 'app' were copied")
    expect("1 point removed, 2 stay" in site.sealift("job", "prune", "both", "--yes").stdout, "prune of a copy of all")
    expect(len(points(site, "third", "app")) == len(points(site, "third", "web")) == 1, "one of each job stays")
    site.sealift("job", "create", "back", "--copy", "third", "--repository", "two", "--keep-last", "1")
    expect("0 points removed, 0 stay" in site.sealift("job", "prune", "back", "--yes").stdout, "others' points")

    # a host that was broken into makes points of the same label, which come here with a copy: they push out no true one
    true = points(site, "third", "app")
    few = site.path("few")
    os.makedirs(few)
    write(few, "small", 1)
    site.add_transporter("thief", "trusted", read=[few])
    site.sealift("repository", "create", "planted", "--on", "vault", "--path", site.path("vault-store", "planted"))
    site.sealift("job", "delete", "app", "--yes")
    site.sealift("job", "create", "app", "--backup", f"thief:{few}", "--repository", "planted", "--encrypt", "source",
                 "--key", "main")
    for _ in range(3):
        run_job(site, "app")
    site.sealift("job", "create", "plants", "--copy", "planted", "--repository", "third", "--keep-last", "1")
    run_job(site, "plants")
    expect(len(points(site, "third", "app")) == 4, "a true point and three false ones")
    expect("2 points removed, 3 stay" in site.sealift("job", "prune", "both", "--yes").stdout, "prune of two writers")
    left = points(site, "third", "app")
    expect(left[0] == true[0] and len(left) == 2, f"the true one stays: {true} {left}")
    shown = site.sealift("point", "list", "--repository", "third").stdout
    expect(" WRITER " in shown and " thief " in shown and " source " in shown, f"whose they are: {shown}")
    site.sealift("point", "delete", left[1], "--repository", "third", "--yes")
    shown = site.sealift("point", "list", "--repository", "third").stdout
    expect(" WRITER " not in shown, f"all are one host's: {shown}")
    restored(site, true[0], "third", tree, "true-one")

    # what its job says is immutable, nobody removes
    site.sealift("job", "create", "still", "--backup", f"source:{tree}", "--repository", "one", "--encrypt", "source",
                 "--key", "main", "--keep-last", "1", "--immutable", "30d")
    for _ in range(2):
        run_job(site, "still")
    young = points(site, "one", "still")
    expect("0 points removed, 2 stay" in site.sealift("job", "prune", "still", "--yes").stdout, "immutable points")
    refused = site.sealift("point", "delete", young[0], "--yes", code=5).stderr
    expect("the point is immutable" in refused, refused)

    # a start after all that, with a floor of the host's own; and a check without a key
    site.daemons["vault"].stop()
    site.change_settings(site.path("vault.conf"), "keep = { least = 2; };\n")
    site.run_transporter("vault")
    restored(site, newest, "one", tree, "after-start")
    run_job(site, "web")
    expect("0 points removed, 2 stay" in site.sealift("job", "prune", "web", "--yes").stdout, "the host's own floor")
    refused = site.sealift("point", "delete", points(site, "one", "web")[0], "--repository", "one", "--yes",
                           code=5).stderr
    expect("at least 2 points" in refused, refused)
    for host, name in (("vault", "one"), ("far", "two")):
        site.daemons[host].stop()
        site.sealift("offline", "check", site.path(f"{host}-store", name), "--level", "hash")
        site.run_transporter(host)
