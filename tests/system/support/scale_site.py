"""What backups of many small files take of memory: a tree with a directory that holds a fifth of all names, another
fifth of hard links, and a site of real daemons whose anonymous memory is read while it works on that tree."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time

from sealift_site import Failed, Site, expect

MIB = 1 << 20
FILES_A_DIRECTORY = 1000
FILLED_ONE_IN = 4  # the other files are empty
SAMPLE_EVERY_S = 0.02
ONE_FILE_MOST = MIB // 2  # bytes that the repository's host reads, and sends, to restore one small file


def in_own_mount_space():
    """Begins the program anew where a mount ends with its last process. Without the right to that nothing happens."""
    if os.geteuid() != 0 or os.environ.get("SCALE_MOUNTS"):
        return
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode == 0:
        os.environ["SCALE_MOUNTS"] = "own"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv])


def fresh_file_system(image, where, files):
    """The directory `where`: an ext4 of its own for the tree and what is restored of it, if that can be mounted. One that
    has just lost millions of files makes every restore slow, and needs long to lose them."""
    os.makedirs(where)
    if not os.environ.get("SCALE_MOUNTS"):
        return where
    with open(image, "wb") as file:
        file.truncate((1 << 30) + files * 8192)
    made = ["mkfs.ext4", "-q", "-F", "-N", str(100000 + files * 2), "-O", "^has_journal", "-E", "lazy_itable_init=1", image]
    mounted = ["mount", "-o", "loop,noinit_itable", image, where]
    for argv in (made, mounted):
        done = subprocess.run(argv, capture_output=True, text=True)
        if done.returncode != 0:
            print(f"no file system of its own: {done.stderr.strip()}")
            break
    os.remove(image)  # a mount keeps it until its end
    return where


class Memory:
    """Peaks of anonymous memory (RssAnon, bytes) of processes by name, read every 20 ms."""

    def __init__(self):
        self.watched, self.peaks, self.lock, self.ended = {}, {}, threading.Lock(), threading.Event()
        self.thread = threading.Thread(target=self.sample, daemon=True)
        self.thread.start()

    def watch(self, name, pid):
        with self.lock:
            self.watched[name] = pid  # 0: no more

    def sample(self):
        while not self.ended.wait(SAMPLE_EVERY_S):
            with self.lock:
                for name, pid in self.watched.items():
                    self.peaks[name] = max(self.peaks.get(name, 0), anonymous(pid))

    def take(self):
        """The peaks since it was last asked."""
        with self.lock:
            peaks, self.peaks = self.peaks, {name: anonymous(pid) for name, pid in self.watched.items()}
        return peaks

    def __enter__(self):
        return self

    def __exit__(self, *how):
        self.ended.set()
        self.thread.join()


def anonymous(pid):
    try:
        with open(f"/proc/{pid}/status") as status:
            return sum(int(line.split()[1]) for line in status if line.startswith("RssAnon:")) * 1024
    except (FileNotFoundError, ProcessLookupError):
        return 0


def bytes_read(pid):
    """What it has asked the kernel for: of files, by read and pread, also from the cache."""
    with open(f"/proc/{pid}/io") as io:
        return int(re.search(r"^rchar: (\d+)$", io.read(), re.M).group(1))


def make_file(directory, name, number):
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=directory)
    if number % FILLED_ONE_IN == 0:
        os.write(fd, b"the content of file %d" % number)
    os.close(fd)


def make_many(root, files):
    """`files` names in all: a fifth of them in one directory, a fifth of them second names of files whose first ones
    lie in other directories, and come long before in the order of a walk."""
    fifth = files // 5
    os.makedirs(root)
    wide = os.path.join(root, "wide")
    os.mkdir(wide)
    fd = os.open(wide, os.O_RDONLY)
    for i in range(fifth):
        make_file(fd, f"one-of-very-many-{i * 7919 % fifth:07d}", i)
    os.close(fd)
    for i in range(0, files - 2 * fifth, FILES_A_DIRECTORY):
        spread(os.path.join(root, "first", f"{i:07d}"), i, min(files - 2 * fifth - i, FILES_A_DIRECTORY), make_file)
    for i in range(0, fifth, FILES_A_DIRECTORY):
        def link(directory, name, number):
            first = f"{number - number % FILES_A_DIRECTORY:07d}"
            os.link(os.path.join(root, "first", first, f"file-{number:07d}"), name, dst_dir_fd=directory)
        spread(os.path.join(root, "second", f"{i:07d}"), i, min(fifth - i, FILES_A_DIRECTORY), link)


def spread(directory, first, count, make):
    os.makedirs(directory)
    fd = os.open(directory, os.O_RDONLY)
    for i in range(first, first + count):
        make(fd, f"file-{i:07d}", i)
    os.close(fd)


def count_names(root):
    count = 0
    for _, directories, names in os.walk(root):
        count += len(directories) + len(names)
    return count


class Scale:
    """One site, one tree, and what each step took: rows of (step, seconds, {process: peak bytes})."""

    def __init__(self, site, files, where):
        self.site, self.files, self.rows = site, files, []
        self.tree, self.out = os.path.join(where, "data"), os.path.join(where, "out")
        self.store = site.path("store")  # its file system must have a GiB to spare

    def begin(self):
        site = self.site
        make_many(self.tree, self.files)
        site.begin()
        site.add_transporter("source", "trusted", read=[self.tree], restore=[self.out])
        site.add_transporter("target", "untrusted", repositories=[self.store])
        site.sealift("repository", "create", "offsite", "--on", "target", "--path", os.path.join(self.store, "r"))
        site.sealift("key", "create", "main", "--description", "x", "--generate")
        site.sealift("job", "create", "web", "--backup", f"source:{self.tree}", "--repository", "offsite", "--encrypt",
                     "source", "--key", "main")

    def watch(self, memory):
        for name, daemon in self.site.daemons.items():
            memory.watch(name, daemon.process.pid)

    def step(self, memory, name, *args, lines=None, end=b""):
        """Runs the command. Its answer may be long: of that the lines are counted, and the beginning is returned."""
        argv = [os.path.join(self.site.bin, "sealift"), *args]
        errors = self.site.path("errors")
        memory.take()
        began, count, first, last = time.monotonic(), 0, b"", b""
        with open(errors, "wb") as err, subprocess.Popen(argv, env=self.site.env, stdin=subprocess.DEVNULL, stderr=err,
                                                         stdout=subprocess.PIPE) as process:
            memory.watch("sealift", process.pid)
            while part := process.stdout.read1(MIB):
                count += part.count(b"\n")
                first += part[:4096 - len(first)] if len(first) < 4096 else b""
                last = (last + part)[-len(end) - 1:]
        took = time.monotonic() - began
        memory.watch("sealift", 0)
        first = first.decode(errors="replace")
        if process.returncode != 0:
            with open(errors, errors="replace") as err:
                raise Failed(f"{name}: exit code {process.returncode}\n{first}\n{err.read()[-2000:]}")
        expect(lines is None or count == lines, f"{name}: {count} lines instead of {lines}")
        expect(last.endswith(end), f"{name}: the answer ends in {last}")
        self.note(name, took, memory.take())
        return first

    def restart(self, memory):
        began = time.monotonic()
        for name in ("source", "target"):
            self.site.daemons[name].stop()
            self.site.run_transporter(name)
        self.watch(memory)
        self.site.daemons["target"].wait_for("event=repository_open|event=ready")
        self.note("start again", time.monotonic() - began, memory.take())

    def note(self, step, took, peaks):
        self.rows.append((step, took, peaks))
        words = " ".join(f"{name} {peaks.get(name, 0) / MIB:.1f}" for name in ("source", "target", "director", "sealift"))
        print(f"{self.files} files, {step}: {took:.1f} s; MiB: {words}", flush=True)

    def largest(self, process):
        return ", ".join(f"{step} {peaks.get(process, 0) / 1e6:.0f} MB" for step, _, peaks in self.rows)

    def peak(self, process):
        return max(peaks.get(process, 0) for _, _, peaks in self.rows)

    def run(self, memory):
        """A backup's whole life. Every step must do what it should; how much memory it takes is the caller's to judge."""
        tree, step = self.tree, lambda *args, **how: self.step(memory, *args, **how)
        self.watch(memory)
        first = "first/0000000/file-0000000"
        step("first backup", "job", "run", "web", "--wait")
        step("nothing changed", "job", "run", "web", "--wait")
        with open(os.path.join(tree, "new"), "w") as file:
            file.write("of the third run")
        step("one file more", "job", "run", "web", "--wait")
        self.restart(memory)
        names = count_names(tree)
        listed = names + len(tree.strip("/").split("/"))  # with the directories above
        step("list of files", "--quiet", "point", "files", "web@latest", lines=listed)
        step("list as JSON", "--quiet", "--json", "point", "files", "web@latest", lines=1, end=b"]}\n")
        step("list by pattern", "--quiet", "point", "files", "web@latest", f"*/{first}", lines=1)
        said = step("one file", "--quiet", "cat", "web@latest", os.path.join(tree, first))
        expect(said == "the content of file 0", f"one file reads '{said}'")
        for path in (first, "second/0000000/file-0000000", "wide/one-of-very-many-0000000"):
            self.one_file(memory, os.path.join(tree, path))
        step("check of presence", "repository", "check", "offsite", "--level", "presence", "--wait")
        step("check of hashes", "repository", "check", "offsite", "--wait")
        step("check that decrypts", "point", "verify", "web@latest", "--level", "decrypt")
        step("check that restores", "point", "verify", "web@latest", "--level", "restore")
        oldest = self.points()[-1]
        step("delete of a point", "point", "delete", oldest, "--yes")
        step("sweep", "repository", "sweep", "offsite")
        step("restore", "restore", "web@latest", "--to", f"source:{self.out}", "--wait")
        back = count_names(self.out + tree)
        expect(names == back, f"{back} names were restored of {names}")
        number = self.files // 5 - 1
        low = number - number % FILES_A_DIRECTORY
        ends = [os.lstat(os.path.join(self.out + tree, where, f"{low:07d}", f"file-{number:07d}")).st_ino
                for where in ("first", "second")]
        expect(ends[0] == ends[1], "two names of a file are two files after the restore")

    def one_file(self, memory, path):
        """Restores it alone: what the repository's host reads and sends for that is a few nodes, whatever the point holds."""
        host, out = self.site.daemons["target"].process.pid, os.path.join(self.out, "alone")
        before = bytes_read(host)
        done = json.loads(self.step(memory, "restore of one file", "--json", "--quiet", "restore", "web@latest", path, "--to",
                                    f"source:{out}", "--wait"))
        read, sent = bytes_read(host) - before, done["sent_bytes"]
        print(f"{self.files} files, for one of them: {read} bytes read, {sent} sent", flush=True)
        with open(path) as original, open(out + path) as file:
            expect(original.read() == file.read() and done["files"] == 1, f"one file alone: {done}")
        expect(0 < sent <= ONE_FILE_MOST, f"{sent} bytes are sent for one small file")
        expect(0 < read <= ONE_FILE_MOST, f"{read} bytes are read for one small file")
        shutil.rmtree(out)

    def points(self):
        points = json.loads(self.site.sealift("--json", "point", "list", "--job", "web").stdout)["points"]
        return [point["id"] for point in sorted(points, key=lambda point: -point["number"])]
