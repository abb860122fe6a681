#!/usr/bin/env python3
# build: asan
# timeout: 120
"""A recovery kit opens every generation of its key with nothing else of the site, typed in again too; it remembers the
log, gives the key back to operators who lost it, and a key that is deleted is gone from all of them."""

import json
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from sealift_site import Site, expect, make_tree, same

WRONG_KEY, DAMAGED, TRUNCATED, NOT_AUTHENTIC, NO_KEY, POLICY, USAGE, EXISTS = 21, 22, 23, 26, 20, 5, 2, 3


def put(path, data):
    with open(path, "wb") as file:
        file.write(data)
    os.chmod(path, 0o600)
    return path


def text_of(path):
    with open(path, encoding="ascii") as file:
        return file.read()


with Site() as site:
    site.begin()
    tree = site.path("data")
    make_tree(tree, files=12)
    os.truncate(os.path.join(tree, "big"), 1 << 20)
    site.add_backup(tree)
    store = site.path("store", "r")
    words = put(site.path("kit-words"), b"a sheet of paper\n")
    nobody = dict(site.env, SEALIFT_STATE=site.path("nobody"))
    kit = site.path("main.kit")

    def run_job(name="web"):
        site.sealift("job", "run", name, "--wait")

    def offline(verb, *words_, code=0, stdin=None, kit_file=None, password=words):
        given = ["--kit", kit_file or kit, "--kit-password-file", password]
        return site.sealift("offline", verb, store, *words_, *given, code=code, env=nobody, stdin=stdin)

    def restored(to, point="latest", **how):
        out = site.path("out", to)
        offline("restore", point, "--to", out, **how)
        same(tree, out + tree, to)

    run_job()
    first = json.loads(site.sealift("--json", "point", "list").stdout)["points"][0]["id"]
    site.sealift("key", "rotate", "main", "--generate", "--yes")
    run_job()

    # made once, and nowhere by accident
    export = ("key", "export", "main", "--password-file", words)
    site.sealift(*export, code=USAGE)
    weak = put(site.path("weak"), b"short\n")
    site.sealift("key", "export", "main", "--out", kit, "--password-file", weak, code=USAGE)
    expect(not os.path.exists(kit), "a kit that was refused is not there")
    site.sealift(*export, "--out", kit)
    site.sealift(*export, "--out", kit, code=EXISTS)
    expect(os.stat(kit).st_mode & 0o777 == 0o600, "a kit is its owner's alone")
    printed = site.sealift(*export, "--print").stdout
    expect("offline restore REPOSITORY" in printed, "the kit says how it is used")
    expect(len(printed.strip()) == len(text_of(kit).strip()), "a kit is printed to its last line")

    # both generations, with nothing else; the sheet of paper too, typed in by somebody
    restored("by-kit")
    restored("first-generation", first)
    lines = [line for line in printed.splitlines() if re.match(r" *\d", line)]
    typed = put(site.path("typed"), "\n".join(" ".join(line.lower().split()) for line in lines).encode())
    offline("list", kit_file=typed)
    restored("keyboard", kit_file="-", stdin="\n".join(lines) + "\n")
    listed = json.loads(offline("list", "--json").stdout)["points"]
    expect(len(listed) == 2, f"both points are listed: {listed}")
    offline("check", "--level", "decrypt")
    held = site.sealift("offline", "cat", store, "latest", os.path.join(tree, "d1", "e1", "file-1"), "--kit", kit,
                        "--kit-password-file", words, env=nobody, text=False).stdout
    with open(os.path.join(tree, "d1", "e1", "file-1"), "rb") as file:
        expect(held == file.read(), "a file is shown as it is")

    # each mistake has its own answer
    changed = lines[:]
    changed[3] = changed[3][:12] + ("A" if changed[3][12] != "A" else "B") + changed[3][13:]
    for name, given, code, says in (
            ("typo", changed, DAMAGED, "line 4 "), ("lost", lines[:5] + lines[6:], TRUNCATED, "line 6 "),
            ("cut", lines[:-1], TRUNCATED, f"line {len(lines)} "), ("twice", lines[:3] + lines[2:], DAMAGED, "line 3 "),
            ("empty", [], DAMAGED, "no line of a recovery kit"),
            ("moved", [lines[0], lines[1].replace("2", "3", 1)] + lines[2:], None, "line ")):
        bad = put(site.path(f"bad-{name}"), "\n".join(given).encode())
        done = offline("list", code=code if code else (DAMAGED, TRUNCATED), kit_file=bad)
        expect(says in done.stderr, f"{name}: {done.stderr}")
    other = put(site.path("other-words"), b"another sheet of paper\n")
    expect("password" in offline("list", code=WRONG_KEY, password=other).stderr, "a wrong password is one")
    site.sealift("offline", "list", store, "--kit-password-file", words, code=USAGE, env=nobody)

    # a log that steps back behind what the kit has seen is named, and restored from all the same
    old = site.path("old")
    shutil.copytree(site.path("store"), old)
    newest = sorted(os.listdir(os.path.join(old, "r", "log")))[-1]
    os.unlink(os.path.join(old, "r", "log", newest))
    back = ("--kit", kit, "--kit-password-file", words)
    done = site.sealift("offline", "list", os.path.join(old, "r"), *back, code=NOT_AUTHENTIC, env=nobody)
    expect("rolled back" in done.stderr, f"a log that steps back: {done.stderr}")
    done = site.sealift("offline", "check", os.path.join(old, "r"), "--level", "decrypt", *back, code=NOT_AUTHENTIC,
                        env=nobody)
    expect("rolled back" in done.stdout + done.stderr, f"check names it: {done.stderr}")
    done = site.sealift("offline", "restore", os.path.join(old, "r"), first, "--to", site.path("out", "old"), *back,
                        code=(0, 1), env=nobody)
    expect("rolled back" in done.stderr, f"a restore warns of it: {done.stderr}")

    # the operators' copies are gone: the kit opens online as well, and brings them back
    site.sealift("key", "withdraw", "main", "root", "--half", "read")
    online = ("restore", "web@latest", "--to", f"source:{site.path('out', 'online')}", "--wait")
    shutil.rmtree(site.path("operator", "grants"), ignore_errors=True)
    site.sealift(*online, code=NO_KEY)
    site.sealift(*online, "--kit", kit, "--kit-password-file", words)
    same(tree, site.path("out", "online") + tree, "online by kit")
    steps = json.loads(site.sealift("--json", "key", "explain", "web@latest", "--kit", kit, "--kit-password-file",
                                    words).stdout)["steps"]
    expect(any(step["step"] == "recovery kit" and step["opens"] for step in steps), f"explained: {steps}")
    site.sealift("key", "import", code=USAGE)
    site.sealift("key", "import", "--kit", kit, "--kit-password-file", words)
    site.sealift("restore", "web@latest", "--to", f"source:{site.path('out', 'again')}", "--wait")

    # a kit of another key does not open this one
    site.sealift("key", "create", "spare", "--description", "x", "--generate")
    spare = site.path("spare.kit")
    site.sealift("key", "export", "spare", "--password-file", words, "--out", spare)
    done = offline("restore", "latest", "--to", site.path("out", "never"), code=NO_KEY, kit_file=spare)
    expect("'spare'" in done.stderr, f"whose kit it is: {done.stderr}")

    # a key goes only when nothing needs it
    expect("job 'web'" in site.sealift("key", "delete", "main", "--yes", code=POLICY).stderr, "a job uses it")
    site.sealift("job", "delete", "web", "--yes")
    expect("recovery points" in site.sealift("key", "delete", "main", "--yes", code=POLICY).stderr, "points need it")
    site.sealift("key", "delete", "spare", "--yes")
    keys = json.loads(site.sealift("--json", "key", "list").stdout)["keys"]
    expect([key["name"] for key in keys if key["have_copy"]].count("spare") == 0, f"it is gone: {keys}")

print("a recovery kit opens its key with nothing else, and says what is wrong with it")
