#!/usr/bin/env python3
# build: asan
# timeout: 200
"""Copies that seal anew: from a plaintext repository, and from one key to another, on either side of a run and on one
host; killed half way and gone on with; the copies open with the new key alone, and say what they were made from."""

import glob
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from sealift_site import Site, expect, make_tree, same, wait_until

NO_KEY, WRONG_KEY = 20, 21
MARK = b"nobody outside may read this line\n"


def command(site, *args, code=0):
    return json.loads(site.sealift("--json", *args, code=code).stdout)


def run_job(site, job, code=0):
    return command(site, "job", "run", job, "--wait", code=code)


def points(site, repository):
    return sorted(command(site, "point", "list", "--repository", repository)["points"], key=lambda row: row["number"])


def offline(site, store, point, to, key, code=0):
    """With nothing but the repository and the file of a key."""
    out = site.path("out", to)
    done = site.sealift("offline", "restore", store, point, "--to", out, "--key-file", site.path(f"{key}.key"),
                        code=code, env=dict(site.env, SEALIFT_STATE=site.path("nobody")))
    return out, done


def holds(directory, words):
    for path in glob.glob(os.path.join(directory, "**"), recursive=True):
        if os.path.isfile(path) and not os.path.islink(path):
            with open(path, "rb") as file:
                if words in file.read():
                    return path
    return None


with Site(lease="2s") as site:
    site.begin()
    tree, image = site.path("data"), site.path("disk.img")
    make_tree(tree, files=80)
    with open(os.path.join(tree, "marked"), "wb") as file:
        file.write(MARK * 100)
    with open(image, "wb") as file:
        file.truncate(3 << 20)
        file.seek(1 << 20)
        file.write(os.urandom(1 << 20))
    with open(site.path("dump"), "wb") as file:
        file.write(os.urandom(1 << 20))
    stream = f'streams = ( {{ name = "db"; command = [ "/bin/cat", "{site.path("dump")}" ]; }} );\n'
    site.add_transporter("source", "trusted", read=[tree, image], restore=[site.path("out")],
                         extra=stream + 'plaintext_to = ( "keeper" );\n')
    site.add_transporter("vault", "untrusted", repositories=[site.path("vault-store")])
    site.add_transporter("keeper", "trusted", restore=[site.path("out")], repositories=[site.path("keeper-store")])
    site.add_transporter("far", "untrusted", repositories=[site.path("far-store")])
    stores = {}
    for name, host, more in (("offsite", "vault", ()), ("open", "keeper", ("--plaintext",)), ("safe", "keeper", ()),
                             ("remote", "far", ()), ("last", "far", ())):
        stores[name] = site.path(f"{host}-store", name)
        site.sealift("repository", "create", name, "--on", host, "--path", stores[name], *more)
    for key in ("first", "second", "third"):
        with open(site.path(f"{key}.key"), "wb") as file:
            file.write(os.urandom(32))
        os.chmod(site.path(f"{key}.key"), 0o600)
        site.sealift("key", "create", key, "--description", "x", "--from-file", site.path(f"{key}.key"))

    def backup(name, how, repository, *encrypt):
        site.sealift("job", "create", name, *how, "--repository", repository, "--encrypt", *encrypt)
        run_job(site, name)

    def copies(name, what, to, where, key, *more, code=0):
        return site.sealift("job", "create", name, "--copy", what, "--repository", to, "--encrypt", where, "--key", key,
                            *more, code=code)

    # what the table forbids, in words that say which rule it is
    backup("bare", ("--backup", f"source:{tree}"), "open", "none")
    backup("web", ("--backup", f"source:{tree}"), "offsite", "source", "--key", "first")
    for what, to, where, more, code, rule in (
            ("bare", "remote", "target", (), 5, "on the target needs a target in the trusted zone"),
            ("web", "remote", "source", ("--reencrypt",), 5, "on the source needs a source in the trusted zone"),
            ("web", "safe", "target", (), 5, "sealed already"),
            ("bare", "remote", "source", ("--reencrypt",), 5, "nothing to re-encrypt"),
            ("web", "open", "target", ("--reencrypt",), 5, "plaintext repository takes no encrypted copy"),
            ("web", "safe", "none", ("--reencrypt",), 2, "leave --encrypt out")):
        refused = copies("never", what, to, where, "second", *more, code=code)
        expect(rule in refused.stderr, f"'{rule}' is said: {refused.stderr}")
    for words, rule in ((("--reencrypt",), "which side"), (("--encrypt", "target", "--reencrypt"), "--key KEY"),
                        (("--compress", "zstd"), "goes with a backup")):
        refused = site.sealift("job", "create", "never", "--copy", "web", "--repository", "safe", *words, code=2)
        expect(rule in refused.stderr, f"'{rule}' is said: {refused.stderr}")

    # from a plaintext repository into an untrusted hand, sealed where it lies
    copies("sealed", "bare", "remote", "source", "second")
    sent = run_job(site, "sealed")["sent_bytes"]
    expect(not holds(site.path("far-store"), MARK[:20]), "an untrusted host got plaintext")
    copy = points(site, "remote")[0]
    original = points(site, "open")[0]
    expect(copy["job"] == "bare" and copy["key"] == "second" and copy["writer"] == "keeper", f"the copy: {copy}")
    expect(copy["origin"] == {"id": original["id"], "run": copy["origin"]["run"], "writer": "source",
                              "written": original["written"], "key": None}, f"where it came from: {copy}")
    expect(copy["written"] == original["written"] and copy["id"] != original["id"], f"the time is the first's: {copy}")
    out, _ = offline(site, stores["remote"], "bare@latest", "sealed", "second")
    same(tree, out + tree, "what the source of a copy sealed")
    again = run_job(site, "sealed")
    expect(again["sent_bytes"] == 0 and len(points(site, "remote")) == 1, f"a second run does nothing: {again}")

    # from one key to another, by a target that is trusted, of a host that is not; trees, images and streams
    backup("disk", ("--image", f"source:{image}"), "offsite", "source", "--key", "first")
    backup("db", ("--stream", "source:db"), "offsite", "source", "--key", "first")
    made = copies("anew", "offsite", "safe", "target", "second", "--reencrypt")
    expect("sealift key grant first keeper --half read" in made.stderr, f"a read grant is needed: {made.stderr}")
    site.sealift("job", "run", "anew", "--wait", code=NO_KEY)
    expect(not points(site, "safe"), "a copy was made without a key")
    site.sealift("key", "grant", "first", "keeper", "--half", "read")
    first = run_job(site, "anew")
    expect([row["job"] for row in points(site, "safe")] == ["web", "disk", "db"], f"{points(site, 'safe')}")
    expect([row["object"] for row in points(site, "safe")] == ["tree", "image", "stream"], "the kinds of objects")
    again = run_job(site, "anew")
    expect(again["sent_bytes"] < first["sent_bytes"] / 50, f"a second run reads nothing: {again} after {first}")

    # one more point: what has not changed is not read again
    with open(os.path.join(tree, "added"), "wb") as file:
        file.write(os.urandom(1000))
    run_job(site, "web")
    more = run_job(site, "anew")
    expect(more["sent_bytes"] < first["sent_bytes"] / 10, f"an unchanged tree is copied again: {more} after {first}")

    # on the source, of what was re-encrypted before; it keeps what it was at first
    site.sealift("key", "grant", "second", "keeper", "--half", "read")
    with open(os.path.join(tree, "large"), "wb") as file:
        file.write(os.urandom(24 << 20))
    run_job(site, "web")
    run_job(site, "anew")
    made = copies("onward", "safe", "last", "source", "third", "--reencrypt")
    expect("cannot open" not in made.stderr, f"it has the grant: {made.stderr}")

    # killed while it seals, by whichever side, and gone on with
    run = command(site, "job", "run", "onward")["run"][:12]
    wait_until(lambda: sum(site.stored_bytes("far-store", "last", part) for part in ("open", "packs")) > 4 << 20,
               "the copy is under way")
    site.daemons["keeper"].kill()
    site.run_transporter("keeper")
    # meanwhile, without anybody's help: what was copied opens with the new key, and not with the old one
    for job, path, file in (("web", tree, None), ("disk", image, image), ("db", "/db", site.path("dump"))):
        _, refused = offline(site, stores["safe"], f"{job}@latest", "never", "first", code=WRONG_KEY)
        expect("second" in refused.stderr, f"the old key does not open it: {refused.stderr}")
        out, _ = offline(site, stores["safe"], f"{job}@latest", f"anew-{job}", "second")
        if file:
            found = [out] if os.path.isfile(out) else glob.glob(out + "/**/" + os.path.basename(path), recursive=True)
            expect(found and open(found[0], "rb").read() == open(file, "rb").read(), f"{job}: {found}")
        else:
            same(tree, out + tree, "re-encrypted on the target")
    wait_until(lambda: command(site, "job", "log", run)["state"] in ("failed", "unknown"), "the killed run is given up")
    before = len(points(site, "last"))
    rest = run_job(site, "onward")
    expect(before < 5 and len(points(site, "last")) == 5, f"all are there in the end: {points(site, 'last')}")
    expect(0 < rest["sent_bytes"] < 22 << 20, f"what was there already is not sent again: {rest}")
    expect(run_job(site, "onward")["sent_bytes"] == 0, "and then nothing")
    ids = {row["id"] for row in points(site, "offsite")}
    for row in points(site, "last"):
        expect(row["origin"]["id"] in ids and row["origin"]["writer"] == "source" and row["origin"]["key"] == "first",
               f"a copy of a copy says what it was at first: {row}")
    for key in ("first", "second"):
        offline(site, stores["last"], "web@latest", "never", key, code=WRONG_KEY)
    out, _ = offline(site, stores["last"], "web@latest", "last", "third")
    same(tree, out + tree, "re-encrypted on the source")

    # the newest of a job is its newest backup, whatever was copied later
    newest = max(points(site, "offsite"), key=lambda row: row["number"])
    expect(newest["job"] == "web" and command(site, "point", "show", "web@latest")["id"] == newest["id"],
           "a copy made later is not a newer backup")
    shown = site.sealift("point", "show", "web@latest", "--repository", "last").stdout
    expect("as point" in shown and newest["id"] in shown and "sealed by" in shown, f"for people: {shown}")
    expect("WRITTEN" in site.sealift("point", "list", "--repository", "last").stdout, "when it was written")
    check = command(site, "repository", "check", "last", "--wait", "--level", "decrypt")
    expect(check["verdict"] == "sound", f"a check with the key: {check}")

    # on one host, both sides; what was removed there is not copied again
    copies("within", "bare", "safe", "target", "third")
    run_job(site, "within")
    out, _ = offline(site, stores["safe"], "bare@latest", "within", "third")
    same(tree + "/d1", out + tree + "/d1", "sealed within one host")
    gone = points(site, "safe")[0]["id"]
    site.sealift("point", "delete", gone, "--yes")
    run_job(site, "anew")
    expect(gone not in [row["id"] for row in points(site, "safe")], "what was deleted there is copied again")
print("copies are sealed anew on either side, resumed, and open with the new key alone")
