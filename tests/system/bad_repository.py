#!/usr/bin/env python3
# build: asan
# timeout: 120
"""Bad repositories, many at a time in one transporter: each is refused or read as far as it is good, by a sentence
that names it; the others go on; and when the accident is undone, everything is there again."""

import glob
import os
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from sealift_site import Daemon, Failed, Site, expect, value


def store(site, *parts):
    return site.path("store", *parts)


def state_of(site, name):
    """The local state of a repository: its `head` names the repository's id."""
    wanted = ids[name]
    return os.path.join(site.path("vault"), "repositories", wanted)


def packs(site, name):
    return sorted(glob.glob(store(site, name, "packs", "*", "*")))


def create(site, name):
    before = set(os.listdir(os.path.join(site.path("vault"), "repositories"))) if ids else set()
    site.sealift("repository", "create", name, "--on", "vault", "--path", store(site, name))
    site.daemons["vault"].wait_for(f"event=repository_open name={name}$")
    ids[name] = (set(os.listdir(os.path.join(site.path("vault"), "repositories"))) - before).pop()


def back_up(site, name, code=0):
    return site.sealift("job", "run", name, "--wait", code=code)


def refused(site, name):
    line = site.daemons["vault"].wait_for(f"event=repository_not_open name={name} ")
    return re.search(r'reason="(.*)"', line).group(1)


def opened(site, name):
    return site.daemons["vault"].wait_for(f"event=repository_open name={name}( |$)")


def run_vault(site):
    """Without the rights of root over modes: a directory that forbids is forbidden to it."""
    drop = "-dac_override,-dac_read_search,-fowner"
    argv = [os.path.join(site.bin, "sealift-transporter"), "--config", site.path("vault.conf")]
    if os.geteuid() == 0:
        argv = ["setpriv", f"--bounding-set={drop}", f"--inh-caps={drop}", *argv]
    site.daemons["vault"] = Daemon("vault", argv, site.path("vault.log"), site.env)
    site.daemons["vault"].wait_for("event=ready")


def aside(path):
    os.rename(path, path + ".aside")


def put_back(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.remove(path)
    os.rename(path + ".aside", path)


def edit(path, change):
    with open(path, "r+b") as file:
        data = bytearray(file.read())
        change(data)
        file.seek(0)
        file.write(data)
        file.truncate(len(data))


ids = {}
NAMES = ("good", "half", "mixed", "file", "gone", "link", "denied", "version", "foreign", "swapped")

with Site() as site, Site("another") as other:
    began = time.monotonic()
    tree = site.path("data")
    os.makedirs(tree)
    for i in range(3):
        with open(os.path.join(tree, f"file-{i}"), "wb") as file:
            file.write(os.urandom(200000))
    site.begin()
    site.add_transporter("source", "trusted", read=[tree], restore=[site.path("out")])
    site.add_transporter("vault", "untrusted", repositories=[store(site)])
    site.sealift("key", "create", "main", "--description", "x", "--generate")
    for name in NAMES:
        create(site, name)
    for name in ("good", "half", "mixed"):
        site.sealift("job", "create", name, "--backup", f"source:{tree}", "--repository", name, "--encrypt", "source",
                     "--key", "main")
        back_up(site, name)
    other.begin()
    other.add_transporter("vault", "trusted", read=[tree], repositories=[other.path("store")])
    other.sealift("repository", "create", "foreign", "--on", "vault", "--path", other.path("store", "foreign"))
    other.sealift("key", "create", "main", "--description", "x", "--generate")
    other.sealift("job", "create", "foreign", "--backup", f"vault:{tree}", "--repository", "foreign", "--encrypt",
                  "source", "--key", "main")
    back_up(other, "foreign")
    print("set up", time.monotonic() - began)
    site.daemons["vault"].stop()
    run_vault(site)
    for name in NAMES:
        print(opened(site, name))
    site.daemons["vault"].stop()

    aside(store(site, "file"))
    open(store(site, "file"), "w").close()
    aside(store(site, "gone"))
    aside(store(site, "link"))
    os.symlink(store(site, "good"), store(site, "link"))
    os.chmod(store(site, "denied"), 0)
    aside(store(site, "version"))
    shutil.copytree(store(site, "version.aside"), store(site, "version"))
    aside(store(site, "foreign"))
    shutil.copytree(other.path("store", "foreign"), store(site, "foreign"))
    lost = packs(site, "half")
    for path in lost:
        os.rename(path, os.path.join(site.path("data"), os.path.basename(path)))
    # of another repository, of another site, and of none at all
    for path in glob.glob(other.path("store", "foreign", "packs", "*", "*")):
        os.makedirs(store(site, "mixed", "packs", os.path.basename(path)[:2]), exist_ok=True)
        shutil.copy(path, store(site, "mixed", "packs", os.path.basename(path)[:2]))
    run_vault(site)
    for name in NAMES:
        line = site.daemons["vault"].wait_for(f"event=repository_(not_)?open name={name}( |$)")
        print(line)
