#!/usr/bin/env python3
# build: asan
# timeout: 280
"""The main job between separate processes: backup in every placement, deduplication, restore whole and by
path, cat, files, a copy that restores when the first repository is gone; what the table forbids is refused."""

import json
import os
import shutil
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from sealift_site import Site, expect, make_tree, same


def run_job(site, job, code=0):
    return json.loads(site.sealift("--json", "job", "run", job, "--wait", code=code).stdout)


def restored(site, point, to, *options):
    out = site.path("out", to)
    site.sealift("restore", point, "--to", f"source:{out}", "--wait", *options)
    return out


with Site() as site:
    site.begin()
    tree = site.path("data")
    make_tree(tree)
    site.add_transporter("source", "trusted", read=[tree], restore=[site.path("out")],
                         extra='plaintext_to = ( "safe" );\n')
    site.add_transporter("vault", "untrusted", repositories=[site.path("vault-store")])
    site.add_transporter("safe", "trusted", repositories=[site.path("safe-store")], restore=[site.path("out")],
                         extra='plaintext_to = ( "source" );\n')
    site.add_transporter("far", "untrusted", repositories=[site.path("far-store")])

    for name, host, kind in (("offsite", "vault", []), ("inside", "safe", []), ("open", "safe", ["--plaintext"]),
                             ("second", "far", [])):
        site.sealift("repository", "create", name, "--on", host, "--path", site.path(f"{host}-store", name), *kind)
    site.sealift("key", "create", "main", "--description", "for tests", "--generate")

    # what changed in the last two seconds is not trusted by the next run: its time could be the same
    time.sleep(2.1)
    # encryption on the source, into an untrusted repository
    site.sealift("job", "create", "web", "--backup", f"source:{tree}", "--repository", "offsite", "--encrypt", "source",
                 "--key", "main")
    first = run_job(site, "web")
    expect(first["files"] > 190, f"files of the first run: {first}")
    second = run_job(site, "web")
    expect(second["read_bytes"] == 0, f"an unchanged tree was read again: {second}")
    with open(os.path.join(tree, "added"), "w") as file:
        file.write("something new\n")
    third = run_job(site, "web")
    expect(third["read_bytes"] < 100000, f"more than the new file was read: {third}")
    same(tree, restored(site, "web@latest", "web") + tree, "restore of 'web'")

    # what is there is fetched again only when asked to; one file takes what it needs
    def sent(to, *options, code=0):
        done = site.sealift("--json", "restore", "web@latest", *options, "--to", f"source:{site.path('out', to)}", "--wait",
                            code=code)
        return json.loads(done.stdout)["sent_bytes"]

    whole = site.path("out", "whole") + tree
    everything = sent("whole")
    shutil.rmtree(whole + "/d1")
    os.truncate(whole + "/d2/e0/file-9", 100)
    again = sent("whole", "--overwrite", "never", code=1)
    expect(again < everything / 4, f"files that are there are fetched: {again} of {everything} bytes")
    same(tree + "/d1", whole + "/d1", "what was missing")
    expect(os.path.getsize(whole + "/d2/e0/file-9") == 100, "'never' has replaced a file")
    again = sent("whole", "--overwrite", "changed")
    expect(again < everything / 4, f"one file was changed, and {again} of {everything} bytes are fetched")
    same(tree, whole, "a restore that goes on")
    again = sent("whole", "--overwrite", "always")
    expect(again > everything * 3 // 4, f"'always' fetches everything: {again} of {everything} bytes")
    same(tree, whole, "a restore over another")
    again = sent("one", os.path.join(tree, "added"))
    expect(again < everything / 10, f"one small file takes {again} of {everything} bytes")

    # by path, cat, files
    out = restored(site, "web@latest", "part", os.path.join(tree, "d1"), os.path.join(tree, "hard-link"))
    same(os.path.join(tree, "d1"), out + tree + "/d1", "restore of one directory")
    expect(not os.path.exists(out + tree + "/d2"), "a directory that was not chosen was restored")
    expect(os.path.getsize(out + tree + "/hard-link") == os.path.getsize(os.path.join(tree, "big")),
           "a hard link whose first name was not chosen")
    expect(site.sealift("cat", "web@latest", os.path.join(tree, "added")).stdout == "something new\n", "cat")
    listed = json.loads(site.sealift("--json", "point", "files", "web@latest").stdout)["files"]
    expect(any(row["path"].endswith("/added") for row in listed), "files lists what was added")
    points = json.loads(site.sealift("--json", "point", "list", "--job", "web").stdout)["points"]
    expect(len(points) == 3, f"three points: {points}")
    site.sealift("cat", "web@latest", "/no/such/file", code=4)
    missing = site.sealift("restore", "web@latest", "/no/such/file", "--to", f"source:{site.path('out')}", "--wait",
                           code=4)
    expect("warning: '/no/such/file' is not in this recovery point" in missing.stderr and
           "(see the warning above)" in missing.stderr, f"a path that is not there: {missing.stderr}")
    for form in ((), ("--json",)):
        again = site.sealift(*form, "restore", "web@latest", os.path.join(tree, "d1"), "--to",
                             f"source:{site.path('out', 'part')}", "--wait", code=1)
        expect("existing files were left alone" in again.stderr, f"files left alone: {again.stderr}")
    site.sealift("restore", "nothing@latest", "--to", f"source:{site.path('out')}", code=4)

    # encryption on the target; then no encryption at all
    site.sealift("job", "create", "there", "--backup", f"source:{tree}", "--repository", "inside", "--encrypt", "target",
                 "--key", "main")
    run_job(site, "there")
    same(tree, restored(site, "there@latest", "there") + tree, "restore of what the target sealed")
    site.sealift("job", "create", "bare", "--backup", f"source:{tree}", "--repository", "open", "--encrypt", "none")
    run_job(site, "bare")
    same(tree, restored(site, "bare@latest", "bare") + tree, "restore from a plaintext repository")
    same(tree, restored(site, "there@latest", "opened-there", "--open-at", "source") + tree, "opened at the source")

    # a copy as stored, restorable at once, also with the first one gone
    site.sealift("job", "create", "second-site", "--copy", "web", "--repository", "second")
    run_job(site, "second-site")
    copies = json.loads(site.sealift("--json", "point", "list", "--repository", "second").stdout)["points"]
    expect(len(copies) == 3, f"three points were copied: {copies}")
    again = run_job(site, "second-site")
    expect(again["sent_bytes"] == 0, f"an unchanged copy sends nothing: {again}")
    site.daemons["vault"].stop()
    shutil.rmtree(site.path("vault-store"))
    out = site.path("out", "from-copy")
    newest = max(copies, key=lambda row: row["number"])
    site.sealift("restore", newest["id"], "--to", f"source:{out}", "--wait", "--repository", "second")
    same(tree, out + tree, "restore from the copy")

    # what the table forbids
    for words, rule in (
        (["--repository", "second", "--encrypt", "target", "--key", "main"], "target in the trusted zone"),
        (["--repository", "second", "--encrypt", "none"], "trusted zone"),
        (["--repository", "open", "--encrypt", "source", "--key", "main"], "plaintext repository"),
    ):
        refused = site.sealift("job", "create", "never", "--backup", f"source:{tree}", *words, code=5)
        expect(rule in refused.stderr, f"the rule is named: {refused.stderr}")
    refused = site.sealift("restore", "there@latest", "--to", f"far:{site.path('out')}", code=5)
    expect("trusted zone" in refused.stderr, refused.stderr)
print("every placement backs up and restores")
