#!/usr/bin/env python3
# build: asan
# timeout: 200
"""Maintenance of a repository by its owner, without a key: the check, whole and in samples, slow, stopped and gone on
with, what it finds of bytes flipped, packs cut, gone and exchanged, and that the next run brings it again."""

import glob
import json
import os
import shutil
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from sealift_site import Site, expect, flip, make_tree, same, wait_until


def command(site, *args, code=0):
    return json.loads(site.sealift("--json", *args, code=code).stdout)


def check(site, *args, code=0, repository="offsite"):
    return command(site, "repository", "check", repository, "--wait", *args, code=code)


def packs(site):
    return sorted(glob.glob(site.path("vault-store", "offsite", "packs", "*", "*")))


def name_of(path):
    return "packs/" + "/".join(path.split("/")[-2:])


def found(report, path, words):
    rows = [row for row in report["findings"] if row["object"] == name_of(path) and words in row["text"]]
    expect(rows, f"no '{words}' about {name_of(path)} in {report['findings']}")
    return rows[0]


with Site("maintenance") as site:
    site.begin()
    tree = site.path("data")
    make_tree(tree)
    site.add_backup(tree, repository=site.path("vault-store", "offsite"))
    for i in range(4):  # each run has packs of its own
        with open(os.path.join(tree, f"more-{i}"), "wb") as file:
            file.write(os.urandom(300000))
        command(site, "job", "run", "web", "--wait")
    point = command(site, "point", "list", "--job", "web")["points"][0]["id"]

    # whole, and found sound; the ages are told
    expect(command(site, "repository", "show", "offsite")["check_hash"] is None, "it was never checked")
    presence = check(site, "--level", "presence")
    expect(presence["verdict"] == "sound" and presence["bytes_read"] == 0, f"presence: {presence}")
    expect("the bytes of packs" in presence["not_checked"][0], f"what presence does not check: {presence}")
    whole = check(site)
    expect(whole["verdict"] == "sound" and whole["packs"] == whole["packs_total"] == len(packs(site)) >= 8,
           f"a whole check: {whole}")
    expect(whole["bytes_read"] == whole["bytes_total"] > 0 and whole["points"] == 4, f"a whole check: {whole}")
    shown = command(site, "repository", "show", "offsite")
    expect(shown["check_hash"] and shown["swept"] is None, f"the age of the check: {shown}")

    # samples follow each other; together they read everything once
    time.sleep(1.1)  # times are told in seconds
    read = 0
    for _ in range(4):
        part = check(site, "--sample", "25%")
        expect(part["packs"] <= (len(packs(site)) + 3) // 4 and part["verdict"] == "sound", f"a sample: {part}")
        expect("of %d packs" % len(packs(site)) in part["not_checked"][0], f"what a sample leaves out: {part}")
        read += part["bytes_read"]
    expect(read >= whole["bytes_total"], f"four quarters read {read} of {whole['bytes_total']}")
    expect(part["all_read_since"] > whole["all_read_since"], "the samples have gone around")
    for wrong in (("--level", "all"), ("--sample", "0%"), ("--sample", "101%"), ("--sample", "5"),
                  ("--level", "presence", "--sample", "5%")):
        site.sealift("repository", "check", "offsite", *wrong, code=2)
    site.sealift("repository", "check", "offsite", "--names", code=2)
    site.sealift("repository", "check", "elsewhere", code=4)

    # slow; stopped; killed: the next one goes on
    site.daemons["vault"].stop()
    with open(site.path("vault.conf"), "a") as file:
        file.write('check = { bandwidth = "256KiB"; };\n')
    site.run_transporter("vault")
    site.daemons["vault"].wait_for("event=repository_open")
    run = command(site, "repository", "check", "offsite")["run"]
    site.sealift("repository", "check", "offsite", code=6)  # it has one already
    wait_until(lambda: [(row["run"], row["does"], row["pins"]) for row in command(site, "repository", "sessions", "offsite")["sessions"]]
               == [(run, "checks", False)], "the check is at work in it")
    expect(command(site, "job", "run", "web", "--wait")["state"] == "ok", "a backup beside a check")
    site.sealift("job", "stop", run[:12])
    wait_until(lambda: command(site, "job", "log", run[:12])["state"] not in ("assigned", "running"), "the check stops")
    stopped = command(site, "job", "log", run[:12])
    expect(stopped["state"] == "stopped", f"a stopped check: {stopped}")
    run = command(site, "repository", "check", "offsite")["run"]
    wait_until(lambda: command(site, "job", "log", run[:12])["content_bytes"] > 0, "the check reads")
    site.daemons["vault"].kill()
    with open(site.path("vault.conf")) as file:
        text = file.read()
    with open(site.path("vault.conf"), "w") as file:
        file.write(text.replace('bandwidth = "256KiB"', 'bandwidth = "0"'))
    site.run_transporter("vault")
    site.daemons["vault"].wait_for("event=repository_open")
    site.add_transporter("far", "untrusted", repositories=[site.path("far-store")])
    site.sealift("repository", "create", "second", "--on", "far", "--path", site.path("far-store", "second"))
    site.sealift("job", "create", "away", "--copy", "offsite", "--repository", "second")
    command(site, "job", "run", "away", "--wait")
    brought = command(site, "repository", "show", "second")["jobs"]
    expect([row["job"] for row in brought] == ["away"] and brought[0]["points"] > 0, f"copies of all jobs: {brought}")
    wait_until(lambda: command(site, "job", "log", run[:12])["state"] == "failed", "the killed check is given up")
    rest = check(site)
    expect(stopped["packs"] < rest["packs_of_earlier_run"] < rest["packs_total"], f"{stopped} and then {rest}")
    expect(rest["verdict"] == "sound", f"killed, and gone on with: {rest}")
    expect(rest["bytes_read"] < rest["bytes_total"], f"read again: {rest}")

    # damages, each found by name without a key: no other file than these is named
    names = sorted(packs(site), key=os.path.getsize, reverse=True)
    flipped, cut, gone, swapped, other = names[:5]
    saved = {path: open(path, "rb").read() for path in names}
    flip(flipped, os.path.getsize(flipped) // 2)
    one = check(site, code=22)
    expect(one["verdict"] == "damaged" and one["finding_count"] == 1, f"one flipped byte: {one}")
    offline = command(site, "offline", "check", site.path("vault-store", "offsite"), code=22)
    expect(all(offline[key] == one[key] for key in ("level", "verdict", "finding_count")), f"offline the same: {offline}")
    row = found(one, flipped, "record")
    expect(row["kind"] == "damaged" and row["code"] == 22 and point in row["points"], f"the finding: {row}")
    os.truncate(cut, os.path.getsize(cut) - 100)
    os.unlink(gone)
    shutil.copyfile(other, swapped)
    all_found = check(site, "--sample", "1%", code=22)
    found(all_found, flipped, "record")  # known to be bad: read again in every sample
    found(all_found, cut, "bytes instead of")
    found(all_found, gone, "the pack is missing")
    last = check(site, code=22)
    found(last, swapped, "")
    named = {row["object"] for row in last["findings"] if row["code"]}
    expect(named == {name_of(path) for path in (flipped, cut, gone, swapped)}, f"what is named: {named}")
    log = site.sealift("job", "log", last["run"][:12]).stdout
    expect(name_of(gone) in log, f"the findings are shown later, too: {log}")
    check(site, "--level", "presence", code=23)
    for words in ("status",), ("repository", "show", "offsite"):
        told = site.sealift(*words).stderr
        expect("'offsite': the check by presence" in told and "found damage" in told, f"{words} warns: {told}")

    # from a copy, by a signed job and without any key: then no point is hurt any more, and point files are back
    one, other = sorted(glob.glob(site.path("vault-store", "offsite", "points", "*")))[:2]
    os.unlink(one)
    flip(other, 100)
    hurt = {row["object"] for row in check(site, "--level", "presence", code=22)["findings"] if row["points"]}
    expect({"points/" + os.path.basename(path) for path in (one, other)} <= hurt, f"the points' own files: {hurt}")
    none = site.sealift("repository", "repair", "offsite", "--from", "second", "--wait", code=4).stderr
    expect("sealift job create" in none, f"no job copies that way yet: {none}")
    site.sealift("job", "create", "back", "--copy", "second", "--repository", "offsite")
    repaired = command(site, "repository", "repair", "offsite", "--from", "second", "--wait")
    expect(0 < repaired["sent_bytes"] < rest["bytes_total"], f"only what is bad was sent: {repaired}")
    after = check(site, code=22)
    expect(not any(row["points"] for row in after["findings"]), f"no point is hurt: {after}")
    site.sealift("repository", "sweep", "offsite")
    expect(check(site)["verdict"] == "sound", "the bad packs are gone, and what was lost is not missed any more")
    expect("found damage" not in site.sealift("status").stderr, "nobody is warned any more")
    expect(command(site, "repository", "repair", "offsite", "--from", "second", "--wait")["sent_bytes"] == 0,
           "there is nothing more to be repaired")
    site.sealift("restore", point, "--to", f"source:{site.path('out', 'first')}", "--wait")

    # the next run of the job brings again what was lost
    for path in sorted(set(packs(site)) - set(names)):
        saved[path] = open(path, "rb").read()
        flip(path, os.path.getsize(path) - os.path.getsize(path) // 10)
    hurt = check(site, code=22)
    expect(any(row["points"] for row in hurt["findings"]), f"points are hurt again: {hurt}")
    healed = site.sealift("--json", "job", "run", "web", "--wait", code=1)
    again = check(site, code=22)
    dead = {point for row in again["findings"] if row["code"] for point in row["points"]}
    newest = command(site, "point", "list", "--job", "web")["points"]
    expect(json.loads(healed.stdout)["point"] not in dead, f"the newest point is whole: {again}")
    site.sealift("restore", "web@latest", "--to", f"source:{site.path('out', 'healed')}", "--wait")
    same(tree, site.path("out", "healed") + tree, "restore of what was brought again")

    # so it does where nobody has noticed, also for the only point there was
    site.sealift("repository", "create", "third", "--on", "vault", "--path", site.path("vault-store", "third"))
    site.sealift("job", "create", "only", "--backup", f"source:{tree}", "--repository", "third", "--encrypt", "source",
                 "--key", "main")
    first = command(site, "job", "run", "only", "--wait")
    only = first["point"]
    third = glob.glob(site.path("vault-store", "third", "packs", "*", "*"))
    third.sort(key=os.path.getsize)  # the nodes, the data
    for lost, code in ((third[-1], 1), (third[0], 0)):  # nodes are asked for in every run
        os.unlink(lost)
        done = site.sealift("--json", "job", "run", "only", "--wait", code=code)
        expect(code == 0 or "the repository lacks contents of earlier runs" in done.stderr, f"it says what it does: {done}")
        told = json.loads(done.stdout)
        expect(all(told[key] == first[key] for key in ("files", "entries", "content_bytes")), f"each counted once: {told}")
        seen = check(site, "--level", "presence", repository="third", code=(0, 22))
        rows = seen["findings"]
        hurt = {point for row in rows for point in row["points"]}
        expect(seen["verdict"] == ("damaged" if hurt else "sound"), f"damage is what a point needs: {seen}")
        expect({row["object"] for row in rows} == {name_of(lost)}, f"what is named: {rows}")
        # what the files are made of came back, in which chunks of the first run it lay is known to its nodes alone
        expect(not hurt if code else json.loads(done.stdout)["point"] not in hurt, f"whom it hurts: {rows}")
        for point in {only, "only@latest"} - hurt:
            site.sealift("restore", point, "--to", f"source:{site.path('out', point)}", "--wait")
            same(tree, site.path("out", point) + tree, "restore of what was lost unseen")
            shutil.rmtree(site.path("out", point))
        if not hurt:
            site.sealift("repository", "sweep", "third")
            expect(check(site, repository="third")["verdict"] == "sound", "what was lost is not missed any more")

    # what turns out well is relied on again
    for path, content in saved.items():
        with open(path, "wb") as file:
            file.write(content)
    expect(check(site)["verdict"] == "sound", "the bytes are back")
