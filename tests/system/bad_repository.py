#!/usr/bin/env python3
# build: asan
# timeout: 120
"""Bad repositories, many at a time in one transporter: each is refused or read as far as it is good, by a sentence
that names it; the others go on; and when the accident is undone, everything is there again."""

import glob
import json
import os
import re
import shutil
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from sealift_site import Daemon, Site, expect, same


def store(site, *parts):
    return site.path("store", *parts)


def state_of(site, name):
    """The local state of a repository: its `head` names the repository's id."""
    wanted = ids[name]
    return os.path.join(site.path("vault"), "repositories", wanted)


def data_packs(site, name):
    """The ninth byte of a pack says its class: 1 is data."""
    found = []
    for path in glob.glob(store(site, name, "packs", "*", "*")):
        with open(path, "rb") as file:
            if file.read(9)[8] == 1:
                found.append(path)
    expect(found, "there are packs")
    return found


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


def restore(site, job, out, code=0):
    into = site.path("out", out)
    done = site.sealift("restore", f"{job}@latest", "--to", f"source:{into}", "--wait", code=code)
    if code == 0:
        same(tree, into + tree, f"the restore {out}")
    return done


def says(text, *words):
    for word in words:
        expect(word in text, f"'{word}' is not in: {text}")


def check_hash(site, name, code=0):
    return site.sealift("repository", "check", name, "--level", "hash", "--wait", code=code)


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)


ids = {}
NAMES = ("good", "half", "mixed", "file", "gone", "link", "dangling", "denied", "readonly", "foreign", "swapped", "holes",
         "head")


def set_up(site, other):
    site.begin()
    site.add_transporter("source", "trusted", read=[tree], restore=[site.path("out")])
    site.add_transporter("vault", "untrusted", repositories=[store(site)])
    site.sealift("key", "create", "main", "--description", "x", "--generate")
    for name in NAMES:
        create(site, name)
    for name in ("good", "half", "mixed", "readonly"):
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


def spoil(site, other):
    for name in ("file", "gone", "link", "dangling", "foreign"):
        aside(store(site, name))
    write(store(site, "file"), "")
    os.symlink(store(site, "good"), store(site, "link"))
    os.symlink(store(site, "nothing"), store(site, "dangling"))
    shutil.copytree(other.path("store", "foreign"), store(site, "foreign"))
    os.chmod(store(site, "denied"), 0)
    subprocess.run(["chmod", "-R", "a-w", store(site, "readonly")], check=True)
    shutil.copy(store(site, "holes", "log", "0000000001"), store(site, "holes", "log", "0000000009"))
    write(os.path.join(state_of(site, "head"), "head"), "garbage")
    # half a copy: the metadata came along, the data did not
    os.makedirs(site.path("kept"))
    for path in data_packs(site, "half"):
        os.rename(path, site.path("kept", os.path.basename(path)))
    # of another site, and of nobody
    for path in glob.glob(other.path("store", "foreign", "packs", "*", "*")):
        base = os.path.basename(path)
        os.makedirs(store(site, "mixed", "packs", base[:2]), exist_ok=True)
        shutil.copy(path, store(site, "mixed", "packs", base[:2], base))
    for name in ("log/notes.txt", "log/0000000001.bak", "log/1", "packs/zz", "packs/ab/cdef", "points/README", "open/x",
                 "open/x/00000000", "lost+found/x", ".DS_Store"):
        if name != "open/x":
            write(store(site, "mixed", name), "garbage")
    os.mkfifo(store(site, "mixed", "log", "fifo"))
    os.symlink("/etc/passwd", store(site, "mixed", "points", "0" * 32))
    # the index of another one
    for name in ("swapped", "mixed"):
        shutil.rmtree(os.path.join(state_of(site, name), "index"))
        shutil.copytree(os.path.join(state_of(site, "good"), "index"), os.path.join(state_of(site, name), "index"))


def look(site):
    """What each is refused with; the others are open, and work."""
    opened(site, "good")
    says(refused(site, "file"), "'file'", "Not a directory")
    says(refused(site, "gone"), "'gone'", "it was here before: is its disk mounted?", "No such file")
    says(refused(site, "dangling"), "'dangling'", "is a link that leads nowhere: is its disk mounted?")
    # as which the link's target is met first decides between two reasons
    expect(re.search("'link'.*(the state kept here belongs to|is in use by another owner)", refused(site, "link")), "link")
    says(refused(site, "denied"), "'denied'", "Permission denied")
    says(refused(site, "foreign"), "'foreign'", "the state kept here belongs to")
    says(refused(site, "holes"), "'holes'", "the log is broken: of the entries 2 to 9 only 1 are there")
    says(refused(site, "head"), "'head'", "/head', which says what was seen of its log, is damaged", "remove that file")
    opened(site, "swapped")
    opened(site, "mixed")
    says(site.daemons["vault"].wait_for("event=repository_mended name=mixed "), "built anew: it is of another repository")
    opened(site, "half")
    opened(site, "readonly")


def names_stay_here(site):
    """What somebody else keeps in a repository's directory is named to the operator, and to nobody else; a directory
    that is closed to us, as lost+found is, keeps no check from its end."""
    os.chmod(store(site, "mixed", "lost+found"), 0)
    done = check_hash(site, "mixed", code=26)
    os.chmod(store(site, "mixed", "lost+found"), 0o700)
    says(done.stdout, "names that are no objects of a repository")
    says(done.stderr, "log/notes.txt: not an object of a repository", "lost+found: not an object")
    for path in glob.glob(site.path("director", "**"), recursive=True) + [site.path("director.log")]:
        if os.path.isfile(path):
            with open(path, "rb") as file:
                expect(b"notes.txt" not in file.read(), f"{path} knows no name of a foreign file")


def work(site):
    back_up(site, "good")
    restore(site, "good", "good")
    # what is garbage is left alone
    back_up(site, "mixed")
    restore(site, "mixed", "mixed")
    expect(os.path.exists(store(site, "mixed", "log", "notes.txt")), "what is not ours is left alone")
    names_stay_here(site)
    # packs that are not there are named, and brought again by the next run
    done = check_hash(site, "half", code=22)
    expect(all(os.path.basename(path)[:16] in done.stdout + done.stderr for path in glob.glob(site.path("kept", "*"))),
           f"every pack that is missing is named: {done.stdout} {done.stderr}")
    restore(site, "half", "half-gone", code=(22, 4, 3))
    says(back_up(site, "half", code=1).stderr, "the repository lacks contents of earlier runs")
    restore(site, "half", "half-again")
    # a directory that takes no writing is read
    restore(site, "readonly", "readonly")
    done = back_up(site, "readonly", code=3)
    says(done.stderr, "vault", "Permission denied")


def mend(site):
    for name in ("file", "link", "dangling", "foreign"):
        put_back(store(site, name))
    os.chmod(store(site, "denied"), 0o700)
    subprocess.run(["chmod", "-R", "u+w", store(site, "readonly")], check=True)
    os.remove(store(site, "holes", "log", "0000000009"))
    os.remove(os.path.join(state_of(site, "head"), "head"))
    for path in glob.glob(site.path("kept", "*")):
        base = os.path.basename(path)
        os.rename(path, store(site, "half", "packs", base[:2], base))


def two_daemons(site):
    """A second daemon, as on another host, with a copy of the first one's state."""
    shutil.copytree(site.path("vault"), site.path("twin"))
    with open(site.path("vault.conf")) as file:
        text = file.read().replace(site.path("vault"), site.path("twin"))
    with open(site.path("twin.conf"), "w") as file:
        file.write(text)
    site.change_settings(site.path("twin.conf"), 'director = "tcp://127.0.0.1:1";\n')
    twin = site.run_transporter("twin")
    line = twin.wait_for("event=repository_not_open name=good ")
    says(line, f"'{store(site, 'good')}' is in use by another owner")
    back_up(site, "good")
    restore(site, "good", "beside-a-twin")
    twin.stop()
    # and one with the very same state
    done = site.run("sealift-transporter", "--config", site.path("vault.conf"), code=6)
    says(done.stderr, site.path("vault"), "in use")
    back_up(site, "good")


def vanish(site):
    """While it is in use, its directory goes, another comes, and it comes back."""
    aside(store(site, "good"))
    done = back_up(site, "good", code=3)
    says(done.stderr, f"the directory '{store(site, 'good')}' is gone while it is in use", "mounted?")
    done = site.sealift("repository", "check", "good", "--level", "presence", "--wait", code=3)
    says(done.stderr, f"the directory '{store(site, 'good')}' is gone while it is in use", "mounted?")
    os.makedirs(store(site, "good"))
    done = back_up(site, "good", code=3)
    says(done.stderr, f"another directory lies at '{store(site, 'good')}'")
    back_up(site, "half")
    expect(os.listdir(store(site, "good")) == [], "nothing is written into the other one")
    put_back(store(site, "good"))
    back_up(site, "good")
    restore(site, "good", "came-back")


def packs_away(site):
    """Its packs are moved away while it is in use: missed, and not taken for lost by whatever looks for them."""
    packs, log = store(site, "good", "packs"), store(site, "good", "log")
    aside(packs)
    entries = sorted(os.listdir(log))
    for verb in (("job", "run", "good", "--wait"), ("repository", "check", "good", "--level", "presence", "--wait"),
                 ("repository", "check", "good", "--level", "hash", "--wait"), ("repository", "sweep", "good")):
        says(site.sealift(*verb, code=3).stderr, "packs/ is missing in the repository: is the disk mounted?")
    expect(not os.path.exists(packs) and sorted(os.listdir(log)) == entries, "nothing is written")
    expect(not json.loads(site.sealift("--json", "repository", "show", "good").stdout)["damage_found"],
           "what is away counts as damaged")
    put_back(packs)
    back_up(site, "good")
    says(check_hash(site, "good").stdout, "verdict:        sound")
    restore(site, "good", "packs-back")


def sign(site, name, message):
    """Ed25519, with the key of a transporter's identity (docs/format.md, section 2)."""
    with open(os.path.join(site.path(name), "identity.key"), "rb") as file:
        key = file.read()
    seed = 16 + struct.unpack_from("<I", key, 12)[0]
    files = {what: site.path("sign." + what) for what in ("der", "message", "out")}
    for what, data in (("der", bytes.fromhex("302e020100300506032b657004220420") + key[seed:seed + 32]), ("message", message)):
        with open(files[what], "wb") as file:
            file.write(data)
    subprocess.run(["openssl", "pkeyutl", "-sign", "-rawin", "-keyform", "DER", "-inkey", files["der"], "-in", files["message"],
                    "-out", files["out"]], check=True)
    with open(files["out"], "rb") as file:
        return file.read()


def write_newer(site, name):
    """The repository's first log entry as a program of the next format would have signed it; gives back what was there."""
    path = store(site, name, "log", "0000000001")
    with open(path, "rb") as file:
        entry = file.read()
    keys = entry[-100:-66]  # field 2, the signer; behind it field 3, the signature
    head = len(entry) - 100 - (entry[1] & 127 | entry[2] << 7)
    expect(entry[0] == 0x0a and keys[:2] == b"\x12\x20" and entry[-66:-64] == b"\x1a\x40" and head == 3, "a Signed")
    expect(entry[head:head + 2] == b"\x08\x01", "whose payload begins with its version")
    payload = b"\x08\x02" + entry[head + 2:-100]
    os.rename(path, path + ".aside")
    with open(path, "wb") as file:
        file.write(entry[:head] + payload + keys + b"\x1a\x40" + sign(site, "vault", b"sealift log v1\0" + payload))


def refused_at_the_start(site):
    """By a daemon that starts: another format version, and packs that are elsewhere. It goes on by itself."""
    site.daemons["vault"].stop()
    newer, log = "log entry 1: the log entry has version 2, this program reads version 1: a newer Sealift wrote it", store(site, "good", "log")
    write_newer(site, "good")
    os.rename(os.path.join(log, "0000000001.aside"), site.path("entry"))
    subprocess.run(["cp", "-a", store(site, "good"), site.path("before")], check=True)
    aside(store(site, "half", "packs"))
    run_vault(site)
    says(refused(site, "good"), newer, "install one as new here")
    says(refused(site, "half"), "packs/ is missing in the repository: is the disk mounted?")
    says(back_up(site, "good", code=3).stderr, newer)
    says(site.sealift("offline", "check", store(site, "good"), code=3).stderr, newer)
    says(site.sealift("offline", "list", store(site, "good"), code=3).stderr, newer)
    subprocess.run(["diff", "-r", store(site, "good"), site.path("before")], check=True)
    expect(not os.path.exists(store(site, "half", "packs")), "nothing is written where packs are missing")
    os.rename(site.path("entry"), os.path.join(log, "0000000001"))
    put_back(store(site, "half", "packs"))
    for name in ("good", "half"):
        opened(site, name)
        restore(site, name, name + "-set-back")
        back_up(site, name)
        says(check_hash(site, name).stdout, "verdict:        sound")


def lie(site, name):
    """Where a point's root lies, the index says wrong: in the file of the running daemon, as a flipped bit would have it."""
    (point,) = glob.glob(store(site, name, "points", "*"))[:1]
    path = os.path.join(state_of(site, name), "index", "data.mdb")
    with open(point, "rb") as file:
        said = file.read()
    with open(path, "r+b") as file:
        data = file.read()
        spoilt = 0
        for i in range(len(said) - 16):
            at = data.find(said[i:i + 16])
            while at >= 0:
                pack, offset, length, domain = struct.unpack_from("<4I", data, at + 16)
                if pack < 1000 and offset < 1 << 26 and length >> 24 == 2 and domain < 10:  # a row of a node
                    file.seek(at + 20)
                    file.write(struct.pack("<I", offset ^ 64))
                    spoilt += 1
                at = data.find(said[i:i + 16], at + 1)
    expect(spoilt > 0, "the index has the root")
    return os.path.basename(point)


def reindex(site):
    point = lie(site, "half")
    into = site.path("out", "lied")
    said = site.sealift("restore", point, "--to", f"source:{into}", "--wait", code=(3, 4, 22)).stderr
    says(said, "the repository has no readable copy of the chunk")
    found = site.sealift("repository", "check", "half", "--level", "presence", "--wait", code=22).stdout
    expect(re.search(r" [1-9]  the node at offset ", found), found)
    restore(site, "good", "beside-a-lie")
    done = site.sealift("repository", "reindex", "half", "--wait")
    expect(re.fullmatch(r"half: indexed anew: \d+ chunks in \d+ packs with [\d.]+ .iB, \d points?\n", done.stdout), done.stdout)
    site.sealift("restore", point, "--to", f"source:{into}", "--wait")
    same(tree, into + tree, "the restore after the lie")
    says(check_hash(site, "half").stdout, "verdict:        sound")
    told = json.loads(site.sealift("--json", "repository", "reindex", "half", "--wait").stdout)
    expect(told["state"] == "ok" and told["content_bytes"] > 0, f"{told}")
    says(site.sealift("repository", "reindex", "half").stdout, "half: the run ", " is queued")
    site.sealift("repository", "reindex", "nothing", code=4)
    # killed at whatever it is just doing
    queued = site.sealift("repository", "reindex", "good").stdout
    site.daemons["vault"].kill()
    run_vault(site)
    for name in NAMES:
        opened(site, name)
    says(queued, "good: the run ")
    restore(site, "good", "killed")


with Site() as site, Site("another") as other:
    tree = site.path("data")
    os.makedirs(tree)
    for i in range(3):
        with open(os.path.join(tree, f"file-{i}"), "wb") as file:
            file.write(os.urandom(200000))
    set_up(site, other)
    site.daemons["vault"].stop()
    spoil(site, other)
    run_vault(site)
    look(site)
    put_back(store(site, "gone"))
    work(site)
    opened(site, "gone")  # found again by a daemon that goes on
    mend(site)
    says(check_hash(site, "half").stdout, "\nnote  packs/", "is back: it is used again when its repository is opened anew",
         "no point needs what it held")
    vanish(site)
    packs_away(site)
    site.daemons["vault"].stop()
    run_vault(site)
    for name in NAMES:
        opened(site, name)
    back_up(site, "readonly")
    two_daemons(site)
    says(check_hash(site, "half").stdout, "verdict:        sound")
    reindex(site)
    refused_at_the_start(site)
    site.daemons["vault"].stop()
    for name in ("good", "half", "readonly", "swapped"):
        site.sealift("offline", "check", store(site, name), "--level", "hash")
    done = site.sealift("offline", "check", store(site, "mixed"), "--level", "hash", code=26)
    says(done.stdout, "the pack belongs to another repository", "log/notes.txt", "not an object of a repository")
print("every bad repository was named, and nothing was lost")
