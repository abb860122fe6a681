#!/usr/bin/env python3
# build: asan
# timeout: 120
"""Protectors of keys: made with several, added, kept beside old points, removed; what does not answer makes no key; a
protector goes to trusted hosts that have it and to no other; another master key, and the earlier one destroyed; the warning where nothing outside brings a key back."""

import glob
import json
import os
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "support"))
from sealift_site import Site, expect, make_tree, same

USAGE, EXISTS, NOT_FOUND, POLICY, UNREACHABLE, NO_KEY = 2, 3, 4, 5, 7, 20


def put(path, data, mode=0o600):
    with open(path, "wb") as file:
        file.write(data)
    os.chmod(path, mode)
    return path


def answer(site, *words, **how):
    return json.loads(site.sealift("--json", *words, **how).stdout)


def protectors(site, key):
    return [p.get("entry") or p["description"] for p in answer(site, "key", "show", key)["protectors"]]


def create(site, name, *words, **how):
    return site.sealift("key", "create", name, "--description", "x", "--generate", *words, **how)


def begin_kmip(directory):
    os.makedirs(directory)
    process = subprocess.Popen([os.path.join(HERE, "support", "kmip_server.py"), directory], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, start_new_session=True)
    return process, json.loads(process.stdout.readline())


def uri_of(said, directory, key="key", certificates=""):
    at = os.path.join(directory, certificates)
    return (f"kmip://127.0.0.1:{said['port']}/{said[key]}?cert={at}/client.pem&key={at}/client.key"
            f"&ca={directory}/ca.pem")


def keep(directory, *words):
    subprocess.run([os.path.join(HERE, "support", "kmip_master.py"), directory, *words], check=True)


def another_master_key(site, directory, said, tree):
    """The entry names another master key, and a renewed certificate: what was wrapped before opens, until the earlier
    master key is destroyed, which is told by its id with the points that die."""
    old, new = said["key"], said["second"]
    me = answer(site, "operator", "list")["operators"][0]["name"]
    point = {}
    for name in ("guard", "lone"):
        create(site, name, "--kms", "vault")
        site.sealift("job", "create", name, "--backup", f"source:{tree}", "--repository", "here", "--encrypt", "source",
                     "--key", name)
        site.sealift("job", "run", name, "--wait")
        point[name] = answer(site, "point", "list", "--job", name)["points"][0]["id"]
    keep(directory, "renew")
    site.daemons["source"].stop()
    with open(site.path("source.conf"), encoding="utf-8") as file:
        text = file.read()
    expect(uri_of(said, directory) in text, "the entry is in the configuration")
    put(site.path("source.conf"),
        text.replace(uri_of(said, directory), uri_of(said, directory, "second", "renewed")).encode())
    site.run_transporter("source").wait_for("event=director_connected")
    shown = answer(site, "key", "show", "guard", "--ask")
    expect([(m["master_key"], m["result"], m["points"], m["only_way_of"]) for m in shown["master_keys"]]
           == [(old, "opens", [point["guard"]], [])], f"the earlier master key is asked for: {shown['master_keys']}")

    # again by the same entry: in the place of the one before; points that are there keep theirs
    site.sealift("key", "protect", "guard", "--kms", "vault")
    expect([(p["entry"], p["master_key"]) for p in answer(site, "key", "show", "guard")["protectors"]]
           == [("vault", new)], "new points are wrapped by the new one")
    site.sealift("job", "run", "guard", "--wait")
    shown = answer(site, "key", "show", "guard", "--ask")["master_keys"]
    expect({m["master_key"]: (m["result"], len(m["points"]), m["in_newest"]) for m in shown}
           == {new: ("opens", 1, True), old: ("opens", 1, False)}, f"both are asked for: {shown}")

    # by nothing but the KMS
    def forget_copy(name):
        site.sealift("key", "withdraw", name, me, "--half", "read")
        subprocess.run(["rm", "-rf", site.path("operator", "grants")], check=True)

    forget_copy("lone")
    done = site.sealift("restore", point["lone"], "--to", f"source:{site.path('out', 'lone')}", "--wait")
    expect("KMS 'vault'" in done.stderr, f"the earlier master key opens, with the renewed certificate: {done.stderr}")
    same(tree, site.path("out", "lone") + tree, "restored by the earlier master key")

    # destroyed: named, and what dies with it
    keep(directory, "destroy", str(said["port"]), old)
    done = site.sealift("--json", "key", "show", "lone", "--ask")
    lost = json.loads(done.stdout)["master_keys"]
    expect([(m["master_key"], m["result"], m["only_way_of"]) for m in lost] == [(old, "gone", [point["lone"]])]
           and old in lost[0]["reason"], f"gone, with the point: {lost}")
    expect(f"master key {old} of the KMS 'vault' is gone" in done.stderr and point["lone"][:12] in done.stderr,
           f"and said so: {done.stderr}")
    shown = answer(site, "key", "show", "guard", "--ask")["master_keys"]
    expect({m["master_key"]: (m["result"], m["only_way_of"]) for m in shown} == {new: ("opens", []), old: ("gone", [])},
           f"what has another way is not lost: {shown}")
    forget_copy("lone")
    refused = site.sealift("restore", point["lone"], "--to", f"source:{site.path('out', 'never')}", "--wait", code=NO_KEY)
    expect(f"master key {old}" in refused.stderr, f"a restore names it: {refused.stderr}")
    forget_copy("guard")
    site.sealift("restore", point["guard"], "--to", f"source:{site.path('out', 'guard')}", "--wait")
    same(tree, site.path("out", "guard") + tree, "an older point by the newest wrap")


with Site() as site:
    site.begin()
    tree = site.path("data")
    make_tree(tree, files=5)
    os.truncate(os.path.join(tree, "big"), 1 << 16)
    wrapping, second = put(site.path("wrapping"), os.urandom(32)), put(site.path("second"), os.urandom(32))
    words = put(site.path("words"), b"correct horse battery\n")
    kmip, said = begin_kmip(site.path("kmip"))
    uri = uri_of(said, site.path("kmip"))
    try:
        kms = (f'kms = ( {{ name = "near"; uri = "file://{wrapping}"; }}, {{ name = "vault"; uri = "{uri}"; }},\n'
               f'{{ name = "gone"; uri = "file://{site.path("no-such-key")}"; }}, '
               f'{{ name = "both"; uri = "file://{wrapping}"; }} );\n')
        site.add_transporter("source", "trusted", read=[tree], restore=[site.path("out")],
                             repositories=[site.path("near")], extra=kms)
        site.add_transporter("other", "trusted",
                             extra=f'kms = ( {{ name = "both"; uri = "file://{second}"; }} );\n')
        site.add_transporter("far", "untrusted", repositories=[site.path("store")],
                             extra=f'kms = ( {{ name = "far"; uri = "file://{second}"; }} );\n')
        site.sealift("repository", "create", "offsite", "--on", "far", "--path", site.path("store", "r"))
        site.sealift("repository", "create", "here", "--on", "source", "--path", site.path("near", "r"))

        # what does not answer makes no key, and is named
        for word, code, says in (("gone", NOT_FOUND, "'gone' at 'source'"), ("nowhere", NOT_FOUND, "'vault' of 'source'"),
                                 ("both", USAGE, "--kms both@"), ("nowhere@source", NOT_FOUND, "has no KMS 'nowhere'"),
                                 ("far@far", POLICY, "trusted zone"), ("far", NOT_FOUND, "trusted zone")):
            refused = create(site, "main", "--kms", "near", "--kms", word, code=code)
            expect(says in refused.stderr, f"--kms {word}: {says}: {refused.stderr}")
        refused = create(site, "main", "--kms", "near", "--kms", "near", code=USAGE)
        expect("twice" in refused.stderr, f"an entry twice: {refused.stderr}")
        expect(answer(site, "key", "list")["keys"] == [], "no key came of it")

        # several at once
        made = create(site, "main", "--kms", "near", "--kms", "both@other", "--kms", "vault")
        expect("operators' copies" not in made.stderr, f"no warning: {made.stderr}")
        shown = answer(site, "key", "show", "main")["protectors"]
        expect([p["kind"] for p in shown] == ["file", "file", "kmip"] and all(p["master_key"] for p in shown), f"{shown}")
        listing = site.sealift("key", "list").stdout
        expect("KMS near, KMS both, KMS vault" in listing, listing)

        # nothing outside: warned at create and with each run, until it is dismissed
        plain = create(site, "plain")
        expect("operators' copies only" in plain.stderr, plain.stderr)
        for name, repository in (("a", "offsite"), ("b", "here")):
            done = site.sealift("job", "create", name, "--backup", f"source:{tree}", "--repository", repository,
                                "--encrypt", "source", "--key", "plain")
            expect("operators' copies only" in done.stderr, done.stderr)
            done = site.sealift("job", "run", name, "--wait")
            expect("dismiss-warning plain" in done.stderr, done.stderr)
        expect(site.sealift("status").stderr.count("operators' copies only") == 1, "status warns once of a key")
        site.sealift("key", "dismiss-warning", "plain")
        expect("operators' copies" not in site.sealift("job", "run", "a", "--wait").stderr, "and then no more")
        expect("operators' copies" not in site.sealift("status").stderr, "nor does status")
        site.sealift("key", "dismiss-warning", "main", code=NOT_FOUND)

        # a KMS for new points, and beside old ones
        done = site.sealift("key", "protect", "plain", "--kms", "near")
        expect("--existing" in done.stderr, f"old points are spoken of: {done.stderr}")
        site.sealift("job", "run", "a", "--wait")
        ids = [p["id"] for p in answer(site, "point", "list", "--job", "a")["points"]]
        carried = ["near" in json.dumps(answer(site, "point", "show", i)) for i in ids]
        expect(carried.count(True) == 1, f"the newest point carries it: {carried}")
        done = answer(site, "key", "protect", "plain", "--kms", "vault", "--existing")
        expect(sorted(done["repositories"]) == ["here", "offsite"], f"{done}")
        objects = glob.glob(site.path("store", "r", "unlock", "*", "*")) + glob.glob(site.path("near", "r", "unlock", "*", "*"))
        expect(len(objects) == 2, f"one object in each repository: {objects}")
        site.sealift("key", "protect", "plain", "--kms", "vault", "--existing")
        expect(len(glob.glob(site.path("store", "r", "unlock", "*", "*"))) == 1, "the same again is kept once")
        for repository in ("here", "offsite"):
            site.sealift("repository", "check", repository)
        site.sealift("offline", "check", site.path("store", "r"))

        # what lies beside points goes along with copies of them, to another host and on the same one
        site.sealift("repository", "create", "copies", "--on", "far", "--path", site.path("store", "c"))
        site.sealift("repository", "create", "near-copies", "--on", "source", "--path", site.path("near", "c"))
        for name, repository, path in (("c", "copies", "store"), ("d", "near-copies", "near")):
            site.sealift("job", "create", name, "--copy", "here", "--repository", repository)
            for _ in range(2):
                site.sealift("job", "run", name, "--wait")
            kept = glob.glob(site.path(path, "c", "unlock", "*", "*"))
            expect(len(kept) == 1 and open(kept[0], "rb").read() == open(glob.glob(site.path("near", "r", "unlock", "*", "*"))[0], "rb").read(),
                   f"the copy in '{repository}' has it, once: {kept}")
            site.sealift("repository", "check", repository)

        # passwords with a description
        site.sealift("key", "protect", "plain", "--password", "--password-file", words, code=USAGE)
        site.sealift("key", "protect", "plain", "--description", "the safe in Berlin", "--password-file", words)
        site.sealift("key", "protect", "plain", "--description", "the safe in Berlin", "--password-file", words)
        expect(protectors(site, "plain") == ["near", "vault", "the safe in Berlin"], f"{protectors(site, 'plain')}")
        other_words = put(site.path("other-words"), b"another horse battery\n")
        site.sealift("key", "protect", "plain", "--description", "the safe in Berlin", "--password-file", other_words,
                     code=EXISTS)

        # removing them
        dry = answer(site, "key", "unprotect", "plain", "--kms", "near", "--dry-run")
        expect(dry["jobs"] == ["a", "b"] and len(dry["points_with_it"]) == 1 and len(protectors(site, "plain")) == 3,
               f"only said: {dry}")
        done = site.sealift("key", "unprotect", "plain", "--kms", "near", "--yes")
        expect("until its master key is disabled" in done.stderr, done.stderr)
        refused = site.sealift("key", "unprotect", "plain", "--kms", "near", "--yes", code=NOT_FOUND)
        expect("vault" in refused.stderr, f"what there is is named: {refused.stderr}")
        site.sealift("key", "unprotect", "plain", "--password", "the safe in Berlin", "--yes")
        refused = site.sealift("key", "unprotect", "plain", "--kms", "vault", "--yes", code=POLICY)
        expect("last way" in refused.stderr and protectors(site, "plain") == ["vault"], refused.stderr)
        site.sealift("job", "run", "b", "--wait")

        # which points die with it
        lost = answer(site, "key", "show", "plain", "--points")["points"]
        expect(len(lost) == len(answer(site, "point", "list")["points"]) and {p["job"] for p in lost} == {"a", "b"}, f"{lost}")

        # a job's points carry the protectors that it names, and what comes to the key later is not among them
        def make(name, *words, code=0):
            return site.sealift("job", "create", name, "--backup", f"source:{tree}", "--repository", "here", "--encrypt",
                                "source", "--key", "main", *words, code=code)

        def carries(job):
            site.sealift("job", "run", job, "--wait")
            newest = max(answer(site, "point", "list", "--job", job)["points"], key=lambda p: p["number"])
            opened_by = json.dumps(answer(site, "point", "show", newest["id"])["opened_by"])
            return [entry for entry in ("near", "both", "vault") if entry in opened_by]

        refused = make("part", "--kms", "near", "--kms", "far", code=POLICY)
        expect("--kms far" in refused.stderr and "KMS near, KMS both, KMS vault" in refused.stderr, refused.stderr)
        make("part", "--kms", "near", "--kms", "near", code=USAGE)
        grants = answer(site, "key", "show", "main")["grants"]
        expect([g["half"] for g in grants] == ["read"], f"nothing was granted: {grants}")
        made = make("part", "--kms", "vault", "--kms", "near")
        expect("KMS vault, near alone" in made.stderr, made.stderr)
        expect(carries("part") == ["near", "vault"], "the point carries what was named")
        expect(answer(site, "job", "show", "part")["kms"] == ["vault", "near"], "the job says which")
        shown = site.sealift("key", "show", "main").stdout
        expect("points carry KMS vault, near alone" in shown, shown)
        for chosen in ((), ("--kms", "near"), ("--kms", "near", "--kms", "both")):
            refused = make("more", *chosen, code=POLICY)
            expect("for the job 'part' too, whose points carry KMS vault, near alone" in refused.stderr, refused.stderr)
        expect("granted" not in make("more", "--kms", "near", "--kms", "vault").stderr, "the same subset is one grant")
        dry = answer(site, "key", "unprotect", "main", "--kms", "both", "--dry-run")
        expect(dry["jobs"] == [], f"no job of a subset without it is named: {dry}")
        expect(sorted(answer(site, "key", "unprotect", "main", "--kms", "vault", "--dry-run")["jobs"]) == ["more", "part"],
               "those with it are")
        site.sealift("key", "unprotect", "main", "--kms", "near", "--yes")
        site.sealift("key", "protect", "main", "--kms", "near")
        site.sealift("key", "grant", "main", "source", "--half", "write")
        expect(carries("more") == ["vault"], "nothing comes back or is added by itself")
        site.sealift("key", "rotate", "main", "--generate", "--without-kms", "both", "--yes")
        expect(carries("part") == ["vault"], "nor by a rotation")
        done = site.sealift("key", "unprotect", "main", "--kms", "vault", "--yes")
        expect("nothing is left of the KMS entries that jobs of 'source' are kept to" in done.stderr, done.stderr)
        expect(carries("part") == [] and answer(site, "job", "show", "part")["kms"] == [], "nothing is left")
        site.sealift("job", "delete", "part", "--yes")
        site.sealift("job", "delete", "more", "--yes")
        make("whole")
        expect(carries("whole") == ["near"] and answer(site, "job", "show", "whole")["kms"] is None,
               "where no other job uses the key there, a new one chooses")

        # points of an earlier generation get the protector too, and are among those that are lost with the key
        shown = answer(site, "key", "show", "main", "--points")
        earlier = answer(site, "key", "show", shown["earlier"][0])
        expect({p["job"] for p in shown["points"]} == {"part", "more", "whole"}, f"of both generations: {shown}")
        for _ in range(2):
            site.sealift("key", "protect", "main", "--kms", "both@source", "--existing")
        kept = glob.glob(site.path("near", "r", "unlock", earlier["id"], "*"))
        expect(len(kept) == 1, f"beside points of the earlier generation, once: {kept}")
        expect("both" in protectors(site, earlier["id"]), "which has it now")
        with_it = answer(site, "key", "show", "main", "--ask")["master_keys"]
        expect(any(row["entry"] == "vault" and len(row["points"]) > 1 for row in with_it), f"{with_it}")

        another_master_key(site, site.path("kmip"), said, tree)

        # who is not there is not waited for; a repository that is away is done later
        site.daemons["other"].stop()
        refused = site.sealift("key", "protect", "plain", "--kms", "both@other", code=UNREACHABLE)
        expect("not connected" in refused.stderr, refused.stderr)
        site.daemons["far"].stop()
        refused = site.sealift("key", "protect", "plain", "--kms", "near", "--existing", code=UNREACHABLE)
        expect("'offsite'" in refused.stderr, refused.stderr)
        site.run_transporter("far").wait_for("event=director_connected")
        done = answer(site, "key", "protect", "plain", "--kms", "near", "--existing")
        expect(set(done["repositories"]) >= {"here", "offsite"}, f"the same again does what is left: {done}")
        expect(all(site.daemons[d].process.poll() is None for d in ("source", "far")), "every daemon lives")
    finally:
        os.killpg(kmip.pid, signal.SIGKILL)
        kmip.wait()
print("protectors are added, kept and removed, and whoever has none is warned")
