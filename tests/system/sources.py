#!/usr/bin/env python3
# build: asan
# timeout: 200
"""Trees as they are found: names of any bytes, holes, links, ACLs, depths; what may not be read, changes or
vanishes under the reader is a warning that names it, and everything else comes back identical."""

import ctypes
import hashlib
import json
import os
import shutil
import socket
import stat
import struct
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from sealift_site import Daemon, Failed, Site, expect

WEIRD = [b"new\nline", b"invalid-\xff\xfe-utf8", b" leading and trailing ", b"back\\slash", b"tab\tbell\a", b"*?[a]",
         b"-rf", b"~", b"..." , b"\xe2\x80\xae-rtl", b"%s%n", b"quote'\"`$(id)", b"e\xcc\x81", b"\xc3\xa9", b"n" * 255]


class Opened:
    """Calls back, once each, before a file or directory with one of the given names below `roots` is opened, and
    lets the opener wait until the call is done."""

    OPEN_PERM, ON_CHILD, ON_DIR = 0x10000, 0x08000000, 0x40000000

    def __init__(self, roots, calls):
        self.calls, self.failure = dict(calls), None
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.fanotify_init(0x04 | 0x01, os.O_RDONLY | os.O_CLOEXEC)
        if self.fd < 0:
            print(f"no fanotify here: {os.strerror(ctypes.get_errno())}")
            sys.exit(77)
        for root in roots:
            if libc.fanotify_mark(self.fd, 1, ctypes.c_uint64(self.OPEN_PERM | self.ON_CHILD | self.ON_DIR), -100,
                                  os.fsencode(root)):
                raise Failed(f"cannot watch {root}: {os.strerror(ctypes.get_errno())}")
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            data = os.read(self.fd, 4096)
            while data:
                length, _, _, _, _, fd, pid = struct.unpack_from("=IBBHQii", data)
                data = data[length:]
                name = os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))
                call = self.calls.pop(name, None) if pid != os.getpid() else None
                try:
                    if call:
                        # on another thread: what it opens itself must be answered here
                        worker = threading.Thread(target=self.guarded, args=(call, fd), daemon=True)
                        worker.start()
                        continue
                except OSError as error:
                    self.failure = error
                self.allow(fd)

    def guarded(self, call, fd):
        try:
            call()
        except OSError as error:
            self.failure = error
        self.allow(fd)

    def allow(self, fd):
        os.write(self.fd, struct.pack("=iI", fd, 1))
        os.close(fd)


def put(path, data=b"", mode=0o644):
    with open(path, "wb") as file:
        file.write(data)
    os.chmod(path, mode)


def describe(root):
    """{path: what must come back}; walks by descriptor, because paths are longer than PATH_MAX."""
    out = {}

    def walk(fd, below):
        for name in os.listdir(b"/proc/self/fd/%d" % fd):
            st = os.lstat(name, dir_fd=fd)
            kind, content, xattrs = stat.S_IFMT(st.st_mode), None, ()
            if kind == stat.S_IFSOCK:
                continue
            row = [kind, stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid, st.st_mtime_ns]
            if kind == stat.S_IFLNK:
                row.append(os.readlink(name, dir_fd=fd))
            elif kind in (stat.S_IFREG, stat.S_IFDIR):
                inner = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=fd)
                row.append(tuple(sorted((x, os.getxattr(inner, x)) for x in os.listxattr(inner))))
                if kind == stat.S_IFREG:
                    digest = hashlib.sha256()
                    while block := os.read(inner, 1 << 20):
                        digest.update(block)
                    row += [st.st_size, st.st_nlink, digest.hexdigest(), st.st_blocks * 512 < st.st_size // 2 + 8192]
                else:
                    walk(inner, below + name + b"/")
                os.close(inner)
            elif kind in (stat.S_IFCHR, stat.S_IFBLK):
                row.append(st.st_rdev)
            out[below + name] = row

    fd = os.open(root, os.O_RDONLY)
    walk(fd, b"")
    os.close(fd)
    return out


def make_odd(root):
    os.makedirs(root)
    base = os.fsencode(root)
    os.mkdir(base + b"/names")
    for name in WEIRD:
        put(base + b"/names/" + name, b"content of " + name)
    os.mkdir(base + b"/dir-\xff\n")
    put(base + b"/dir-\xff\n/inside", b"x")
    os.symlink(b"../names/\xff\n nowhere", base + b"/dir-\xff\n/link")
    with open(root + "/holes", "wb") as file:
        for at in (1 << 20, 9 << 20, 30 << 20):
            file.seek(at)
            file.write(os.urandom(5000))
        file.truncate(64 << 20)
    put(root + "/all-hole")
    os.truncate(root + "/all-hole", 20 << 20)
    put(root + "/linked", os.urandom(9000))
    os.mkdir(root + "/other")
    for i in range(3):
        os.link(root + "/linked", f"{root}/other/link-{i}")
    os.symlink("loop", root + "/loop")
    os.link(root + "/loop", root + "/other/loop-too", follow_symlinks=False)
    put(root + "/attributes", b"a", 0o6711)
    os.setxattr(root + "/attributes", "user.empty", b"")
    os.setxattr(root + "/attributes", "user.bytes", bytes(range(256)))
    os.setxattr(root + "/attributes", "trusted.sealift", b"t")
    os.setxattr(root + "/other", "user.on-directory", b"d" * 1000)
    for words in (["-m", "u:1234:rw", "attributes"], ["-m", "g:77:rx,m::rwx", "other"], ["-d", "-m", "u:55:rwx", "other"]):
        subprocess.run(["setfacl", *words], check=True, cwd=root)
    put(root + "/capable", b"c", 0o755)
    os.setxattr(root + "/capable", "security.capability", struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0))
    put(root + "/owned", b"o", 0o640)
    os.chown(root + "/owned", 12345, 54321)
    os.mkfifo(root + "/fifo", 0o600)
    os.mknod(root + "/device", stat.S_IFCHR | 0o620, os.makedev(1, 7))
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(root + "/socket"))
    for depth, name in ((200, "d"), (22, "n" * 250)):
        fd = os.open(root, os.O_RDONLY)
        for i in range(depth):
            os.mkdir(f"{name}", dir_fd=fd)
            inner = os.open(f"{name}", os.O_RDONLY, dir_fd=fd)
            os.close(fd)
            fd = inner
        with os.fdopen(os.open("deepest", os.O_WRONLY | os.O_CREAT, dir_fd=fd), "w") as file:
            file.write("here")
        os.utime(fd, ns=(0, -86400 * 10**9 + 5))
        os.close(fd)
    os.utime(root + "/owned", ns=(0, 4102444800123456789))


def run_and_restore(site, job, tree, code):
    done = site.sealift("--json", "job", "run", job, "--wait", code=code)
    out = site.path("out", job + str(len(os.listdir(site.path("out")))))
    restore = site.sealift("restore", f"{job}@latest", "--to", f"source:{out}", "--wait", code=(0, 1))
    expect(restore.returncode == 0, f"restore of '{job}': {restore.stderr}")
    return done, out + tree


def compare(tree, out, what, lost=lambda path: False):
    left, right = describe(tree), describe(out)
    for path in sorted(set(left) | set(right)):
        if left.get(path) != right.get(path) and not lost(path):
            raise Failed(f"{what}: {path!r} differs: {left.get(path)} and {right.get(path)}")
    return right


def odd_things(site, tree):
    done, out = run_and_restore(site, "odd", tree, (0, 1))
    found = compare(tree, out, "odd things")
    expect(len(found) > 250, f"{len(found)} entries")
    expect(not os.path.lexists(out + "/socket"), "a socket is not stored")
    expect("socket" in done.stderr, f"that a socket was left out is said: {done.stderr}")
    listed = site.sealift("--json", "point", "files", "odd@latest").stdout
    expect(len(json.loads(listed)["files"]) > 250, "all are listed")
    for line in site.sealift("point", "files", "odd@latest", text=False).stdout.splitlines():
        expect(not any(byte < 32 or byte == 127 for byte in line), f"a name reaches the terminal as it is: {line!r}")


def unreadable(site, tree):
    """The source runs without the right to read everything."""
    os.makedirs(tree + "/closed")
    put(tree + "/closed/inside", b"unseen")
    put(tree + "/open", b"readable")
    put(tree.encode() + b"/secret\n\xff", b"unreadable", 0)
    put(tree + "/secret", b"unreadable", 0)
    os.makedirs(tree + ("/" + "n" * 250) * 6)
    put(tree + ("/" + "n" * 250) * 6 + "/below-long-names", b"unreadable", 0)
    os.chmod(tree + "/closed", 0)
    site.daemons["source"].stop()
    argv = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--inh-caps", "-dac_override,-dac_read_search",
            os.path.join(site.bin, "sealift-transporter"), "--config", site.path("source.conf")]
    site.daemons["source"] = Daemon("source", argv, site.path("source.log"), site.env)
    site.daemons["source"].wait_for("event=director_connected")
    done, out = run_and_restore(site, "denied", tree, 1)
    for name in ("/secret:", "/closed:", "/secret\\", "nnn/below-long-names: cannot"):
        expect((name if name[0] == "n" else tree + name) in done.stderr, f"'{name}' is named: {done.stderr}")
    expect("ermission denied" in done.stderr, f"the reason is named: {done.stderr}")
    expect(json.loads(done.stdout)["warnings"] == 4, f"four warnings: {done.stdout}")
    for line in site.sealift("job", "log", "denied", text=False).stderr.splitlines():
        expect(not any(byte < 32 or byte == 127 for byte in line), f"a name reaches the terminal as it is: {line!r}")
    found = describe(out)
    expect(found[b"open"] == describe(tree)[b"open"], "what may be read comes back")
    expect(b"secret" not in found and b"closed/inside" not in found, f"what could not be read: {sorted(found)}")
    site.daemons["source"].stop()
    site.run_transporter("source")
    done, out = run_and_restore(site, "denied", tree, 0)
    compare(tree, out, "once it may be read")


def changing(site, tree):
    """Files grow and shrink under the reader."""
    os.makedirs(tree)
    put(tree + "/still", b"s")
    put(tree + "/grows", os.urandom(3 << 20))
    put(tree + "/shrinks", os.urandom(3 << 20))
    stop = threading.Event()

    def keep_growing():
        with open(tree + "/grows", "ab", 0) as file:
            while not stop.is_set():
                file.write(b"more")
                stop.wait(0.0005)

    opened = Opened([tree], {"shrinks": lambda: os.truncate(tree + "/shrinks", 1000)})
    grower = threading.Thread(target=keep_growing)
    grower.start()
    try:
        done = site.sealift("job", "run", "changing", "--wait", code=1)
    finally:
        stop.set()
        grower.join()
    expect(opened.failure is None and not opened.calls, f"{opened.failure} {opened.calls}")
    expect(f"{tree}/grows: changed while it was read" in done.stderr, f"it is named: {done.stderr}")
    out = site.path("out", "changing")
    site.sealift("restore", "changing@latest", "--to", f"source:{out}", "--wait")
    # what changed before it was opened is read as it is then
    compare(tree, out + tree, "all but what changed", lambda path: path == b"grows")
    _, out = run_and_restore(site, "changing", tree, 0)
    compare(tree, out, "the next run, when all is still")


def vanishing(site, tree):
    """Files and directories vanish between the listing and the opening."""
    for i in range(300):
        os.makedirs(f"{tree}/gone/g{i % 60:02}/below", exist_ok=True)
        os.makedirs(f"{tree}/busy", exist_ok=True)
        os.makedirs(f"{tree}/stay", exist_ok=True)
        put(f"{tree}/busy/v{i:03}", b"vanishes %d" % i)
        put(f"{tree}/stay/s{i:03}", b"stays %d" % i)
        put(f"{tree}/gone/g{i % 60:02}/below/file-{i}", b"x")
    put(tree + "/busy/a-trigger", b"t")

    def files():
        for i in range(300):
            os.remove(f"{tree}/busy/v{i:03}")

    def directories():
        for i in range(1, 60):
            shutil.rmtree(f"{tree}/gone/g{i:02}")

    opened = Opened([tree + "/busy", tree + "/gone"], {"a-trigger": files, "g00": directories})
    done = site.sealift("job", "run", "vanishing", "--wait", code=1)
    expect(opened.failure is None and not opened.calls, f"{opened.failure} {opened.calls}")
    expect(f"{tree}/busy/v" in done.stderr and "vanished while" in done.stderr, f"what vanished is named: {done.stderr}")
    expect("more warnings" in done.stderr, f"how many more there are is said: {done.stderr}")
    out = site.path("out", "vanishing")
    site.sealift("restore", "vanishing@latest", "--to", f"source:{out}", "--wait")
    found = compare(tree, out + tree, "what stayed", lambda path: path.startswith((b"busy", b"gone")))
    expect(len([path for path in found if path.startswith(b"stay/")]) == 300, "all that stayed is there")
    _, out = run_and_restore(site, "vanishing", tree, 0)
    compare(tree, out, "the next run, when all is still")


with Site() as site:
    site.begin()
    trees = {name: site.path("trees", name) for name in ("odd", "denied", "changing", "vanishing")}
    os.makedirs(site.path("trees"))
    os.makedirs(site.path("out"))
    site.add_transporter("source", "trusted", read=[site.path("trees")], restore=[site.path("out")])
    site.add_transporter("vault", "untrusted", repositories=[site.path("store")])
    site.sealift("repository", "create", "offsite", "--on", "vault", "--path", site.path("store", "r"))
    site.sealift("key", "create", "main", "--description", "x", "--generate")
    for name, tree in trees.items():
        site.sealift("job", "create", name, "--backup", f"source:{tree}", "--repository", "offsite", "--encrypt", "source",
                     "--key", "main")
    make_odd(trees["odd"])
    odd_things(site, trees["odd"])
    unreadable(site, trees["denied"])
    changing(site, trees["changing"])
    vanishing(site, trees["vanishing"])
print("trees come back as they were, and what did not is named")
