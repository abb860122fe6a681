#!/usr/bin/env python3
# build: asan release
# timeout: 280
"""A repository without its site: `sealift offline` lists, checks, restores and reads it; every kind of damage is
found by the level that promises it, with its own exit code, and takes no more with it than it must."""

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys

BIN = os.path.join(os.environ.get("BUILD_DIR", "build/dev"), "bin")
ROOT = os.path.join(os.environ.get("TMPDIR", "/tmp"), "offline-%d" % os.getpid())
NO_KEY, WRONG_KEY, DAMAGED, TRUNCATED, NOT_ENCRYPTED, NOT_AUTHENTIC = 20, 21, 22, 23, 24, 26
checks = failures = 0


def path(*parts):
    return os.path.join(ROOT, *parts)


def check(holds, what):
    global checks, failures
    checks += 1
    if not holds:
        failures += 1
        print("FAIL:", what)


def program(name, *arguments, ok=True):
    done = subprocess.run([os.path.join(BIN, name), *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=120, env=dict(os.environ, HOME=ROOT, SEALIFT_DUMPABLE="1"))
    if ok and done.returncode:
        sys.exit("%s %s: %s" % (name, " ".join(arguments), done.stderr.decode(errors="replace")))
    return done


def offline(code, *arguments, says=None):
    done = program("sealift", "--json", "offline", *arguments, ok=False)
    text = done.stderr.decode(errors="replace")
    check(done.returncode == code, "offline %s: exit %d instead of %d: %s"
          % (" ".join(arguments), done.returncode, code, text[-600:]))
    if says:
        check(says in text, "offline %s does not say '%s': %s" % (" ".join(arguments), says, text[-600:]))
    return done


def answer(done):
    try:
        return json.loads(done.stdout)
    except ValueError:
        return {}


def write(name, data, mode=0o644):
    with open(name, "wb") as file:
        file.write(data)
    os.chmod(name, mode)


def make_tree(tree):
    os.makedirs(tree + "/empty")
    os.makedirs(tree + "/small")
    for i in range(300):
        write(tree + "/small/f%03d" % i, hashlib.sha256(b"%d" % i).digest() * (i % 90))
    write(tree + "/large", os.urandom(6 << 20))
    with open(tree + "/sparse", "wb") as file:
        file.seek(8 << 20)
        file.write(b"end")
    os.link(tree + "/large", tree + "/zlink")
    os.symlink("/nowhere", tree + "/link")
    os.mkfifo(tree + "/fifo", 0o640)
    write(tree + "/setuid", b"x", 0o4711)
    write(tree + "/odd \xff\n".encode("latin-1").decode("utf-8", "surrogateescape"), b"name")
    os.setxattr(tree + "/setuid", "user.colour", b"blue")
    os.utime(tree + "/small", ns=(0, 1234567890123456789))


def seen(root):
    """What a restore must bring back of a tree, by path."""
    found = {}
    for where, dirs, files in os.walk(root):
        for name in [""] + dirs + files if where == root else dirs + files:
            full = os.path.join(where, name) if name else where
            st = os.lstat(full)
            what = [stat.S_IFMT(st.st_mode), st.st_mode, st.st_uid, st.st_gid, st.st_mtime_ns]
            if stat.S_ISREG(st.st_mode):
                with open(full, "rb") as file:
                    what += [st.st_size, st.st_nlink, hashlib.sha256(file.read()).hexdigest()]
                what.append(sorted((x, os.getxattr(full, x)) for x in os.listxattr(full)))
            if stat.S_ISLNK(st.st_mode):
                what.append(os.readlink(full))
            found[os.path.relpath(full, root)] = what
    return found


def differences(a, b):
    one, other = seen(a), seen(b)
    return [name for name in sorted(one.keys() | other.keys()) if one.get(name) != other.get(name)]


def packs(repository):
    found = [os.path.join(where, name) for where, _, names in os.walk(repository + "/packs") for name in names]
    return sorted(found, key=os.path.getsize)


def points(repository):
    return answer(offline(0, "list", repository)).get("points", [])


class Copy:
    """The repository once more, to be damaged."""

    count = 0

    def __init__(self, of):
        Copy.count += 1
        self.root = path("copy%d" % Copy.count)
        shutil.copytree(of, self.root)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.root)

    def at(self, name):
        return os.path.join(self.root, name)

    def flip(self, name, offset):
        with open(self.at(name), "r+b") as file:
            file.seek(offset)
            byte = file.read(1)
            file.seek(offset)
            file.write(bytes([byte[0] ^ 1]))


class Stage:
    def __init__(self):
        self.tree, self.site, self.repository = path("tree"), path("site"), path("site", "repo")
        make_tree(self.tree)
        program("bench-site", "init", self.site)
        program("bench-site", "backup", self.site, self.tree)
        first = set(packs(self.repository))
        self.first_tree = path("tree-before")
        subprocess.run(["cp", "-a", self.tree, self.first_tree], check=True)
        os.chmod(self.tree, 0o750)
        write(self.tree + "/new", os.urandom(3 << 20))
        write(self.tree + "/small/f010", b"changed")
        program("bench-site", "backup", self.site, self.tree)
        second = [name for name in packs(self.repository) if name not in first]
        relative = [os.path.relpath(name, self.repository) for name in second]
        self.metadata_pack, self.data_pack = relative[0], relative[-1]
        with open(self.site + "/secrets", "rb") as file:
            write(path("key"), file.read(32))
        self.key = ["--key-file", path("key")]
        self.ids = [point["id"] for point in points(self.repository)]

    def restored(self, to):
        return path(to) + self.tree


def test_list_and_check(stage):
    rows = points(stage.repository)
    check(len(rows) == 2 and all(row["job"] == "bench" and row["key"] == "bench" for row in rows), "list: %s" % rows)
    check(rows and rows[0]["cipher"] != "none" and len(rows[0]["key_fingerprint"]) == 39, "cipher and fingerprint")
    for level, key in (("presence", []), ("hash", []), ("restore", stage.key), ("decrypt", stage.key)):
        report = answer(offline(0, "check", stage.repository, "--level", level, *key))
        check(report.get("findings") == [] and report.get("level") == level, "%s is clean" % level)
        check(any("writers" in line for line in report.get("not_checked", [])), "%s says what it left out" % level)
    check(report["chunks_opened"] > 5 and report["nodes_opened"] > 1, "decrypt opened: %s" % report)


def test_restore(stage):
    offline(0, "restore", stage.repository, "latest", "--to", path("whole"), *stage.key)
    check(differences(stage.tree, stage.restored("whole")) == [], differences(stage.tree, stage.restored("whole")))
    check(os.stat(stage.restored("whole") + "/sparse").st_blocks < 1000, "holes are holes again")
    offline(0, "restore", stage.repository, stage.ids[0][:8], "--to", path("first"), *stage.key)
    bad = differences(stage.first_tree, stage.restored("first"))
    check(bad == [], bad)
    offline(0, "restore", stage.repository, "bench@latest", stage.tree + "/small/f011", stage.tree[1:] + "/empty/",
            "--to", path("some"), *stage.key)
    check(sorted(os.listdir(stage.restored("some"))) == ["empty", "small"], "only what was chosen")
    check(os.listdir(stage.restored("some") + "/small") == ["f011"], "only the file that was chosen")
    offline(4, "restore", stage.repository, "latest", "/not/there", "--to", path("none"), *stage.key,
            says="'/not/there' is not in this recovery point")
    check(os.listdir(path("none")) == [], "a mistyped path restores nothing")
    offline(4, "restore", stage.repository, "other@latest", "--to", path("none"), *stage.key)
    offline(2, "restore", stage.repository, "nonsense", "--to", path("none"), *stage.key)


def test_overwrite(stage):
    target = stage.restored("whole")
    write(target + "/new", b"mine")
    os.remove(target + "/small/f012")
    done = offline(1, "restore", stage.repository, "latest", "--to", path("whole"), *stage.key,
                   says="--overwrite changed")
    check(answer(done)["skipped"] > 300, "left alone: %s" % done.stdout)
    check(open(target + "/new", "rb").read() == b"mine", "never leaves what is there alone")
    check(os.path.exists(target + "/small/f012"), "and brings back what is missing")
    offline(0, "restore", stage.repository, "latest", "--to", path("whole"), "--overwrite", "changed", *stage.key)
    check(differences(stage.tree, target) == [], "changed: %s" % differences(stage.tree, target))
    os.remove(target + "/small/f013")
    os.symlink("/etc/passwd", target + "/small/f013")
    os.rename(target + "/small", target + "/elsewhere")
    os.symlink("elsewhere", target + "/small")
    offline(3, "restore", stage.repository, "latest", "--to", path("whole"), "--overwrite", "changed", *stage.key)
    check(os.path.islink(target + "/elsewhere/f013"), "nothing is written through a symlink")
    offline(0, "restore", stage.repository, "latest", "--to", path("whole"), "--overwrite", "always", *stage.key)
    shutil.rmtree(target + "/elsewhere")
    os.utime(target, ns=(0, os.stat(stage.tree).st_mtime_ns))
    check(differences(stage.tree, target) == [], "always: %s" % differences(stage.tree, target))


def test_cat(stage):
    for name in ("large", "sparse", "zlink", "small/f000"):
        done = offline(0, "cat", stage.repository, "latest", stage.tree + "/" + name, *stage.key)
        check(done.stdout == open(stage.tree + "/" + name, "rb").read(), "cat " + name)
    offline(2, "cat", stage.repository, "latest", stage.tree + "/small", *stage.key, says="not a regular file")
    offline(4, "cat", stage.repository, "latest", "/nothing", *stage.key)


def test_keys(stage):
    one = ["cat", stage.repository, "latest", stage.tree + "/new"]
    fingerprint = points(stage.repository)[0]["key_fingerprint"]
    offline(NO_KEY, *one, says=fingerprint)
    write(path("wrong"), b"w" * 32)
    offline(WRONG_KEY, *one, "--key-file", path("wrong"), says=fingerprint)
    write(path("short"), b"s" * 31)
    offline(2, *one, "--key-file", path("short"), says="has 31 bytes: a key has 32 bytes")
    offline(NO_KEY, "check", stage.repository, "--level", "decrypt", says="--key-file FILE")
    offline(WRONG_KEY, "check", stage.repository, "--level", "decrypt", "--key-file", path("wrong"))
    offline(2, "check", stage.repository, "--level", "hash", *stage.key)
    offline(4, "list", stage.tree, says="no repository")
    offline(4, "list", path("nowhere"))
    offline(NOT_AUTHENTIC, "list", stage.repository, "--site", "sealift1:%s:%s:%s@host:1" % ("03" * 16, "04" * 32, "05" * 32))
    # the right site, but the points carry no roster
    site = "sealift1:01%s:%s:%s@host:1" % ("00" * 15, "04" * 32, "05" * 32)
    offline(NOT_AUTHENTIC, *one, *stage.key, "--site", site, says="no roster")


def test_plain():
    site, tree = path("plain"), path("plain-tree")
    os.makedirs(tree)
    write(tree + "/file", b"plain")
    program("bench-site", "init", site, "--place", "none")
    program("bench-site", "backup", site, tree)
    one = ["cat", site + "/repo", "latest", tree + "/file"]
    check(offline(0, *one).stdout == b"plain", "a plaintext repository needs no key")
    offline(NOT_ENCRYPTED, *one, "--key-file", path("key"), says="not encrypted")
    offline(0, "check", site + "/repo", "--level", "decrypt")


def test_password():
    site, tree = path("password"), path("password-tree")
    os.makedirs(tree)
    write(tree + "/file", b"by password")
    write(path("words"), b"correct horse battery\n")
    write(path("other-words"), b"incorrect horse battery\n")
    program("bench-site", "init", site, "--password-file", path("words"))
    program("bench-site", "backup", site, tree)
    one = ["cat", site + "/repo", "latest", tree + "/file"]
    check(offline(0, *one, "--password-file", path("words")).stdout == b"by password", "cat by password")
    offline(WRONG_KEY, *one, "--password-file", path("other-words"), says="wrong password")
    offline(NO_KEY, *one, says="--key-file FILE")
    offline(0, "check", site + "/repo", "--level", "decrypt", "--password-file", path("words"))


def restores(stage, copy, point, code, bad, name, says=None):
    """Restores one point of a damaged copy: nothing but `bad` is missing, and those files are named."""
    to = path("out-" + name)
    done = offline(code, "restore", copy.root, point, "--to", to, *stage.key, says=says)
    tree = stage.tree if point == stage.ids[1] else stage.first_tree
    found = [item for item in differences(tree, to + stage.tree)] if os.path.isdir(to + stage.tree) else ["all of it"]
    check(found == bad, "%s, point %s: differs in %s instead of %s" % (name, point[:6], found, bad))
    for item in bad:
        check(item in done.stderr.decode(errors="replace"), "%s names %s" % (name, item))
    shutil.rmtree(to, ignore_errors=True)


def finds(stage, copy, code, level, text, hit=None):
    key = stage.key if level == "decrypt" else []
    done = offline(code, "check", copy.root, "--level", level, *key)
    findings = [row for row in answer(done).get("findings", []) if row["kind"] != "none"]
    check(any(text in row["object"] + " " + row["text"] for row in findings), "%s finds '%s': %s" % (level, text, findings))
    if hit is not None:
        found = sorted({point for row in findings for point in row["points"]})
        check(found == sorted(hit), "%s: points hit are %s instead of %s" % (level, found, hit))


def test_damage(stage):
    first, second = stage.ids
    data, metadata = stage.data_pack, stage.metadata_pack
    with Copy(stage.repository) as copy:
        copy.flip(data, 1 << 20)
        offline(0, "check", copy.root, "--level", "presence")
        finds(stage, copy, DAMAGED, "hash", os.path.basename(data)[:8], [second])
        finds(stage, copy, DAMAGED, "decrypt", "chunk", [second])
        restores(stage, copy, second, DAMAGED, ["new"], "data byte", says="/new")
        restores(stage, copy, first, 0, [], "data byte")
    with Copy(stage.repository) as copy:
        copy.flip(metadata, 700)
        finds(stage, copy, DAMAGED, "hash", os.path.basename(metadata)[:8], [second])
        finds(stage, copy, DAMAGED, "decrypt", "chunk", [second])
        offline(DAMAGED, "restore", copy.root, second, "--to", path("gone"), *stage.key)
        restores(stage, copy, first, 0, [], "metadata byte")
    with Copy(stage.repository) as copy:
        copy.flip("points/" + second, 200)
        done = offline(DAMAGED, "list", copy.root)
        check(len(answer(done).get("points", [])) == 2, "a damaged point is listed all the same")
        finds(stage, copy, DAMAGED, "presence", "points/" + second, [second])
        offline(DAMAGED, "restore", copy.root, second, "--to", path("gone"), *stage.key)
        for word in ("latest", "bench@latest"):  # an older one is not taken for it
            offline(DAMAGED, "restore", copy.root, word, "--to", path("gone"), *stage.key, says="an older one is restored")
        restores(stage, copy, first, 0, [], "point byte")
    with Copy(stage.repository) as copy:
        os.remove(copy.at("points/" + second))
        finds(stage, copy, DAMAGED, "presence", "points/" + second, [second])
        restores(stage, copy, first, 0, [], "no point")
    with Copy(stage.repository) as copy:
        os.remove(copy.at(data))
        finds(stage, copy, DAMAGED, "presence", "in no pack", [second])
        restores(stage, copy, second, DAMAGED, ["new", "small/f010"], "no pack")
        restores(stage, copy, first, 0, [], "no pack")
    with Copy(stage.repository) as copy:
        os.truncate(copy.at(data), os.path.getsize(copy.at(data)) // 2)
        done = offline(TRUNCATED, "check", copy.root, "--level", "presence")
        restores(stage, copy, first, 0, [], "cut pack")
    newest = sorted(os.listdir(stage.repository + "/log"))[-1]
    with Copy(stage.repository) as copy:
        copy.flip("log/" + newest, 100)
        offline(NOT_AUTHENTIC, "check", copy.root)
    with Copy(stage.repository) as copy:
        os.remove(copy.at("log/" + newest))
        check(len(points(copy.root)) == 1, "without its log entry a point was never committed")
        report = answer(offline(0, "check", copy.root))
        check(any(second in row["object"] for row in report["findings"]), "and its file is noted")
    with Copy(stage.repository) as copy:
        os.remove(copy.at("log/" + sorted(os.listdir(stage.repository + "/log"))[1]))
        offline(DAMAGED, "list", copy.root)
        lost = "log/" + sorted(os.listdir(stage.repository + "/log"))[1]
        report = answer(offline(DAMAGED, "check", copy.root))
        check(any(row["object"] == lost for row in report["findings"]), "the entry is named: %s" % report)
        restores(stage, copy, second, 0, [], "a log with a gap")


def test_read_only(stage):
    with Copy(stage.repository) as copy:
        before = sorted((where, *names) for where, _, names in os.walk(copy.root))
        for where, _, _ in os.walk(copy.root):
            os.chmod(where, 0o555)
        offline(0, "list", copy.root)
        offline(0, "check", copy.root)
        offline(0, "cat", copy.root, "latest", stage.tree + "/new", *stage.key)
        check(sorted((where, *names) for where, _, names in os.walk(copy.root)) == before, "nothing was written")
        for where, _, _ in os.walk(copy.root):
            os.chmod(where, 0o755)


def main():
    os.makedirs(ROOT)
    try:
        stage = Stage()
        for test in (test_list_and_check, test_restore, test_overwrite, test_cat, test_keys):
            test(stage)
        test_plain()
        test_password()
        test_damage(stage)
        test_read_only(stage)
    finally:
        shutil.rmtree(ROOT, ignore_errors=True)
    print("offline: %d checks, %d failed" % (checks, failures))
    return 1 if failures else 0


sys.exit(main())
