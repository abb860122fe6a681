#!/usr/bin/env python3
# build: asan
# timeout: 200
"""Every kind of key from backup to restore on another host and without the site; wrong and missing keys have exit
codes of their own; a host that is both sides of a run; a key that the sealing side does not have."""

import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from sealift_site import Site, expect, make_tree, same

NO_KEY, WRONG_KEY = 20, 21


def put(path, data, mode=0o600):
    with open(path, "wb") as file:
        file.write(data)
    os.chmod(path, mode)
    return path


def job(site, name, tree, *words):
    site.sealift("job", "create", name, "--backup", f"source:{tree}", "--repository", "offsite", "--encrypt", "source",
                 "--key", *words)
    site.sealift("job", "run", name, "--wait")


def restored(site, name, host, to, *options, code=0):
    out = site.path("out", to)
    return out, site.sealift("restore", f"{name}@latest", "--to", f"{host}:{out}", "--wait", *options, code=code)


def offline(site, name, to, *options, code=0):
    """As on a machine that has nothing but the repository."""
    return with_state(site, site.path("nobody"), name, to, *options, code=code)


def with_state(site, state, name, to, *options, code=0):
    out = site.path("out", to)
    return out, site.sealift("offline", "restore", site.path("store", "r"), f"{name}@latest", "--to", out, *options,
                             code=code, env=dict(site.env, SEALIFT_STATE=state))


def withdraw(site, key, who, half):
    site.sealift("key", "withdraw", key, who, "--half", half)


with Site() as site:
    site.begin()
    tree = site.path("data")
    make_tree(tree, files=12)
    os.truncate(os.path.join(tree, "big"), 1 << 20)
    words = put(site.path("words"), "correct horse b\u00e4ttery\n".encode())
    decomposed = put(site.path("words-2"), "correct horse ba\u0308ttery\r\n".encode())
    wrong_words = put(site.path("wrong-words"), b"incorrect horse battery\n")
    key_file = put(site.path("file.key"), bytes(range(32)))
    wrong_file = put(site.path("wrong.key"), bytes(32))
    own_file = put(site.path("own.key"), os.urandom(32))

    wrapping = put(site.path("wrapping.key"), os.urandom(32))
    site.add_transporter("source", "trusted", read=[tree], restore=[site.path("out")],
                         repositories=[site.path("near")],
                         extra=f'own_key = "{own_file}";\nkms = ( {{ name = "here"; uri = "file://{wrapping}"; }},\n'
                               '{ name = "eu"; uri = "aws:///k?REGION=eu-west-1&AUTH=implicit"; } );\n')
    shown = json.loads(site.sealift("transporter", "show", "source", "--json").stdout)
    expect(shown["kms"] == {"here": "file", "eu": "aws"}, f"operators see which protectors a host can ask: {shown}")
    expect("KMS:" in site.sealift("transporter", "show", "source").stdout
           and "here (file), eu (aws)" in site.sealift("transporter", "show", "source").stdout, "and read it")
    site.add_transporter("other", "trusted", restore=[site.path("out")])
    site.add_transporter("vault", "untrusted", repositories=[site.path("store")])
    site.sealift("repository", "create", "offsite", "--on", "vault", "--path", site.path("store", "r"))
    site.sealift("repository", "create", "here", "--on", "source", "--path", site.path("near", "r"))

    # what is no key is refused before anything is made
    for bad, says in ((put(site.path("short"), b"s" * 31), "31 bytes"), (put(site.path("long"), b"l" * 45), "45")):
        refused = site.sealift("key", "create", "bad", "--description", "x", "--from-file", bad, code=2)
        expect(says in refused.stderr, f"the length is named: {refused.stderr}")
    refused = site.sealift("key", "create", "bad", "--description", "x", "--password", "--password-file",
                           put(site.path("weak"), b"short\n"), code=2)
    expect("--weak" in refused.stderr, f"a weak password: {refused.stderr}")

    site.sealift("key", "create", "by-password", "--description", "x", "--password", "--password-file", words)
    site.sealift("key", "create", "by-file", "--description", "x", "--from-file", key_file)
    site.sealift("key", "create", "by-chance", "--description", "x", "--generate")
    site.sealift("key", "create", "its-own", "--description", "x", "--own", "source")
    for key in ("by-password", "by-file", "by-chance", "its-own"):
        job(site, key, tree, key)

    # on another host, opened by the operator's copy
    for key in ("by-password", "by-file", "by-chance"):
        out, _ = restored(site, key, "other", key)
        same(tree, out + tree, f"restore of '{key}' on another host")
    # a source's own key never leaves it
    _, refused = restored(site, "its-own", "other", "never", code=NO_KEY)
    expect("its-own" in refused.stderr, f"the key is named: {refused.stderr}")
    out, _ = restored(site, "its-own", "source", "own")
    same(tree, out + tree, "restore with the own key")

    # without the site
    for key, options in (("by-password", ["--password-file", words]), ("by-file", ["--key-file", key_file]),
                         ("its-own", ["--key-file", own_file])):
        out, _ = offline(site, key, f"offline-{key}", *options)
        same(tree, out + tree, f"offline restore of '{key}'")
    # the same password as another machine types it
    out, _ = offline(site, "by-password", "offline-decomposed", "--password-file", decomposed)
    for key, options, says in (("by-password", ["--password-file", wrong_words], "wrong password"),
                               ("by-file", ["--key-file", wrong_file], "by-file"),
                               ("by-chance", ["--key-file", key_file], "by-chance")):
        _, refused = offline(site, key, "none", *options, code=WRONG_KEY)
        expect(says in refused.stderr, f"'{says}' is said: {refused.stderr}")
    _, refused = offline(site, "by-chance", "none", code=NO_KEY)
    expect(not os.path.exists(site.path("out", "none")) or os.listdir(site.path("out", "none")) == [],
           "a wrong key restores nothing")
    # the operator's own copy of the key is in the state directory
    out, _ = with_state(site, site.path("operator"), "by-chance", "own-copy")
    same(tree, out + tree, "offline restore with the operator's copy of the key")

    # one host is both sides of the run
    for key in ("by-password", "its-own"):
        name = f"near-{key}"
        site.sealift("job", "create", name, "--backup", f"source:{tree}", "--repository", "here", "--encrypt", "source",
                     "--key", key)
        done = json.loads(site.sealift("--json", "job", "run", name, "--wait").stdout)
        expect(done["files"] > 10, f"{done}")
        out, _ = restored(site, name, "source", name)
        same(tree, out + tree, f"restore of '{name}' on its own host")
    out, _ = restored(site, "near-by-password", "other", "near-other")
    same(tree, out + tree, "restore on another host of what one host stored for itself")

    # no operator's copy any more: the password comes back, a random key does not
    me = json.loads(site.sealift("--json", "operator", "list").stdout)["operators"][0]["name"]
    withdraw(site, "by-password", me, "read")
    refused = site.sealift("key", "withdraw", "by-chance", me, "--half", "read", code=2)
    expect("last copy" in refused.stderr and "1 recovery point is lost" in refused.stderr
           and refused.stderr.count("nobody opens the point") == 1, f"the last copy is not withdrawn unasked: {refused.stderr}")
    site.sealift("key", "withdraw", "by-chance", me, "--half", "read", "--yes")
    shutil.rmtree(site.path("operator", "grants"), ignore_errors=True)
    _, refused = restored(site, "by-password", "other", "none", "--password-file", wrong_words, code=WRONG_KEY)
    expect("wrong password" in refused.stderr, f"a wrong password online: {refused.stderr}")
    out, _ = restored(site, "by-password", "other", "typed", "--password-file", words)
    same(tree, out + tree, "restore by password")
    _, refused = restored(site, "by-chance", "other", "none", code=NO_KEY)
    expect("by-chance" in refused.stderr, f"the missing key is named: {refused.stderr}")
    _, refused = restored(site, "by-chance", "other", "none", "--password-file", words, code=NO_KEY)
    expect("the recovery point's key has no password" in refused.stderr, f"why none is of use: {refused.stderr}")
    refused = site.sealift("cat", "by-chance@latest", os.path.join(tree, "big"), "--at", "other", code=NO_KEY)
    expect(not os.path.exists(site.path("out", "none")) or os.listdir(site.path("out", "none")) == [],
           "what has no key restores nothing")

    # the sealing side lost its half: nothing is read, nothing is stored in the clear
    points = site.sealift("--json", "point", "list").stdout
    withdraw(site, "by-file", "source", "write")
    refused = site.sealift("job", "run", "by-file", "--wait", code=NO_KEY)
    expect("by-file" in refused.stderr, f"the missing half's key is named: {refused.stderr}")
    expect(site.sealift("--json", "point", "list").stdout == points, "no point came of it")
    expect(all(daemon.process.poll() is None for daemon in site.daemons.values()), "every daemon lives")
    site.sealift("key", "grant", "by-file", "source", "--half", "write")
    site.sealift("job", "run", "by-file", "--wait")
    out, _ = restored(site, "by-file", "other", "granted")
    same(tree, out + tree, "restore after the half was granted again")

    # the own key was exchanged under the transporter's feet: it is another key now
    put(own_file, os.urandom(32))
    site.daemons["source"].stop()
    site.run_transporter("source").wait_for("event=director_connected")
    refused = site.sealift("job", "run", "its-own", "--wait", code=NO_KEY)
    expect("no write grant" in refused.stderr and "own_key" in refused.stderr, f"that the key is not there is said: {refused.stderr}")
print("every kind of key seals and opens, and the wrong ones have names")
