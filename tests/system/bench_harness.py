#!/usr/bin/env python3
# build: release
# timeout: 240
"""Claims about tests/bench: run, curves and report, each tried on next to nothing."""
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

BENCH = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "bench")
sys.dont_write_bytecode = True
sys.path.insert(0, BENCH)

from harness import disk, report, tools, tree

# A stand-in for Sealift, without any of its qualities.
COPIER = """\
#!/bin/bash
set -e
case $1 in
init) mkdir "$2/repository" ;;
backup) rm -rf "$2/repository"; cp -a "$3" "$2/repository" ;;
restore) cp -a "$2/repository" "$3/tree" ;;
size) du -sb "$2/repository" | cut -f1 ;;
esac
"""

# Two processes of one program, told apart by their configuration.
TWO = """\
import subprocess, sys
with open(sys.argv[1], "w") as file:
    file.write("import time\\ntime.sleep(60)\\n")
for name in "source", "vault":
    subprocess.Popen([sys.executable, sys.argv[1], "--config", name + ".conf"],
                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
"""

DAEMON = """\
import sys, time
memory = bytearray(50_000_000)
while True:
    open(sys.argv[1]).read()
    end_s = time.process_time() + 0.31
    while time.process_time() < end_s:
        pass
    open(sys.argv[2], "w").write("\\n")
"""


def may_have_own_space():
    probe = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "true"]
    return os.geteuid() == 0 and subprocess.run(probe, check=False, capture_output=True).returncode == 0


class Folder(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.dir)

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def make(self, name, files):
        for path, text in files.items():
            full = self.path(name, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="utf-8") as file:
                file.write(text)
            os.utime(full, ns=(1, 10**18))


class Differences(Folder):
    def setUp(self):
        super().setUp()
        self.make("a", {"one": "1", "sub/two": "22"})
        os.symlink("one", self.path("a/link"))
        subprocess.run(["cp", "-a", self.path("a"), self.path("b")], check=True)

    def found(self):
        return tree.differences(tree.manifest(self.path("a")), tree.manifest(self.path("b")))

    @contextlib.contextmanager
    def times_of(self, path):
        """Whatever is done to the entry, its time and its directory's stay."""
        kept = {p: os.lstat(p).st_mtime_ns for p in (path, os.path.dirname(path))}
        yield
        for kept_path, time_ns in kept.items():
            os.utime(kept_path, ns=(1, time_ns), follow_symlinks=False)

    def test_a_faithful_copy_has_none(self):
        self.assertEqual(self.found(), {})

    def test_other_content_of_the_same_size_and_time_is_found(self):
        with self.times_of(self.path("b/sub/two")):
            with open(self.path("b/sub/two"), "w", encoding="utf-8") as file:
                file.write("2x")
        self.assertEqual(self.found(), {"digest": ["sub/two"]})

    def test_another_mode_is_found(self):
        os.chmod(self.path("b/one"), 0o600)
        self.assertEqual(self.found(), {"mode": ["one"]})

    def test_another_time_is_found_to_the_nanosecond(self):
        os.utime(self.path("b/one"), ns=(1, 10**18 + 1))
        self.assertEqual(self.found(), {"mtime_ns": ["one"]})

    def test_another_link_target_is_found(self):
        with self.times_of(self.path("b/link")):
            os.unlink(self.path("b/link"))
            os.symlink("two", self.path("b/link"))
        self.assertEqual(self.found(), {"target": ["link"]})

    def test_missing_and_surplus_entries_are_found(self):
        with self.times_of(self.path("b")):
            os.rename(self.path("b/one"), self.path("b/three"))
        self.assertEqual(self.found(), {"missing": ["one"], "surplus": ["three"]})


class Disks(Folder):
    """Files with a hole, bytes, a hole, bytes."""

    def disk(self, name, pieces, size=8 << 20):
        with open(self.path(name), "wb") as file:
            file.truncate(size)
            for at, piece in pieces.items():
                file.seek(at)
                file.write(piece)
        return self.path(name)

    def setUp(self):
        super().setUp()
        self.one = self.disk("one", {1 << 20: b"a" * 5000, 6 << 20: b"b" * 70000})

    def test_only_data_is_looked_at(self):
        self.assertLess(sum(len(piece) for _, piece in disk.extents(self.one)), 1 << 20)

    def test_zeros_are_the_same_as_a_hole(self):
        self.assertTrue(disk.same(self.one, self.disk("two", {0: bytes(1 << 20), 1 << 20: b"a" * 5000,
                                                              6 << 20: b"b" * 70000})))

    def test_what_one_of_them_has_in_the_others_hole_is_found(self):
        more = self.disk("two", {1 << 20: b"a" * 5000, 4 << 20: b"x", 6 << 20: b"b" * 70000})
        self.assertFalse(disk.same(self.one, more))
        self.assertFalse(disk.same(more, self.one))

    def test_another_size_is_found(self):
        self.assertFalse(disk.same(self.one, self.disk("two", {1 << 20: b"a" * 5000, 6 << 20: b"b" * 70000}, 9 << 20)))


class Ratios(unittest.TestCase):
    def test_a_ratio_is_the_median_of_ratios_within_a_round(self):
        rounds = [{"x": {"full": {"wall_s": x}}, "y": {"full": {"wall_s": y}}} for x, y in ((1, 2), (10, 40), (3, 30))]
        self.assertEqual(report.Rounds(rounds, ["y"]).ratio("peer", "x", "full", "wall_s"), 4)

    def test_the_best_peer_is_the_fastest_of_its_round(self):
        rounds = [{"x": {"full": {"wall_s": 1}}, "y": {"full": {"wall_s": 6}}, "z": {"full": {"wall_s": 4}}}]
        self.assertEqual(report.Rounds(rounds, ["y", "z"]).ratio("peer", "x", "full", "wall_s"), 4)


class Documents(Folder):
    """tests/bench/report writes between its markers and nowhere else."""

    text = "a\n<!-- bench: points -->\nold\n<!-- bench: end -->\nb\n<!-- bench: cores -->\nkept\n<!-- bench: end -->\n"

    def report(self, part):
        row = dict.fromkeys(report.CURVES[part][1], 0.5)
        for name, text in ("doc.md", self.text), ("curves.json", json.dumps({"parts": {part: [{**row, "load": 1.5}]}})):
            with open(self.path(name), "w", encoding="utf-8") as file:
                file.write(text)
        done = subprocess.run(
            [sys.executable, os.path.join(BENCH, "report"), "--results", self.path("none"), "--curves",
             self.path("curves.json"), self.path("doc.md")], capture_output=True, text=True, check=False)
        with open(self.path("doc.md"), encoding="utf-8") as file:
            return done, file.read()

    def test_a_measured_part_is_replaced_and_another_stays(self):
        done, text = self.report("points")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("old", text)
        self.assertIn("| 0.50 |", text)
        self.assertTrue(text.startswith("a\n<!-- bench: points -->\n"))
        self.assertTrue(text.endswith(self.text[self.text.index("<!-- bench: end -->\nb"):]))

    def test_a_part_without_a_place_is_an_error(self):
        done, text = self.report("files")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("no place for files", done.stderr)
        self.assertEqual(text, self.text)


class Disturbance(unittest.TestCase):
    def test_a_step_that_others_slowed_down_is_left_out_and_no_other(self):
        figures = {"full": {"wall_s": 10, "others_user_s": 4}, "next": {"wall_s": 10, "others_user_s": 1}, "stored": {}}
        self.assertEqual(set(report.without_disturbed({"x": figures}, 2, 0.1)["x"]), {"next", "stored"})


@unittest.skipUnless(may_have_own_space(), "needs root and name spaces")
class Run(Folder):
    def setUp(self):
        super().setUp()
        self.make("data/A", {"one": "1", "sub/two": "22"})
        self.make("data/B", {"one": "1", "sub/two": "23"})
        with open(self.path("data/facts"), "w", encoding="utf-8") as file:
            file.write("a=A\nb=B\na_files=2\na_bytes=3\nchanged_files=1\n")

    def run_with(self, adapter, works="full,unchanged,next,restore"):
        with open(self.path("adapter"), "w", encoding="utf-8") as file:
            file.write(adapter)
        os.chmod(self.path("adapter"), 0o755)
        done = subprocess.run(
            [sys.executable, os.path.join(BENCH, "run"), "--data", self.path("data"), "--tools", "sealift",
             "--sealift", self.path("adapter"), "--rounds", "1", "--warm-up", "0", "--works", works],
            capture_output=True, text=True, check=False)
        try:
            with open(self.path("data/results.json"), encoding="utf-8") as file:
                return done, json.load(file)["rounds"][0]["sealift"]
        except FileNotFoundError:
            return done, None

    def test_a_faithful_tool_passes_and_every_work_has_its_figures(self):
        done, figures = self.run_with(COPIER)
        self.assertEqual((done.returncode, figures["restored"]), (0, {}), done.stderr)
        for work in ("full", "unchanged", "next", "restore"):
            self.assertGreater(figures[work]["wall_s"], 0)
        self.assertEqual(set(figures["stored"]), {"full", "next"})

    def test_a_tool_that_restores_another_tree_is_a_failure(self):
        done, figures = self.run_with(COPIER.replace('"$3/tree" ;;', '"$3/tree"; echo 99 >"$3/tree/one" ;;'))
        self.assertEqual(done.returncode, 1)
        self.assertEqual(figures["restored"]["digest"], {"count": 1, "first": ["one"]})

    def test_a_tool_that_fails_is_a_failure(self):
        done, figures = self.run_with(COPIER.replace("backup)", "backup) echo broken; exit 9;;\nother)"))
        self.assertEqual((done.returncode, figures), (1, None))
        self.assertRegex(done.stderr, "sealift failed: full: .* ended with 9:\nbroken")

    def test_what_runs_in_the_background_is_measured_and_ended(self):
        """A daemon of 50 MB spends 0.3 CPU seconds on each backup, and never ends by itself."""
        with open(self.path("daemon"), "w", encoding="utf-8") as file:
            file.write(DAEMON)
        asked, done = self.path("asked"), self.path("done")
        os.mkfifo(asked)
        os.mkfifo(done)
        answer, figures = self.run_with(
            COPIER.replace("init) ", f"init) python3 {self.path('daemon')} {asked} {done} >/dev/null 2>&1 & ")
            .replace("backup) ", f"backup) echo >{asked}; read -r <{done}; "), works="full")
        self.assertEqual(answer.returncode, 0, answer.stderr)
        self.assertGreater(figures["full"]["cpu_s"], 0.29)
        self.assertGreater(max(figures["full"]["peak_anon"].values()), 50_000_000)
        running = subprocess.run(["pgrep", "--full", self.path("daemon")], check=False, capture_output=True)
        self.assertEqual(running.stdout, b"")

    def test_processes_of_one_program_are_told_apart_by_their_configuration(self):
        with open(self.path("two"), "w", encoding="utf-8") as file:
            file.write(TWO)
        done, figures = self.run_with(
            COPIER.replace("init) ", f"init) python3 {self.path('two')} {self.path('sleeper')}; ")
            .replace("backup) ", "backup) sleep 0.2; "), works="full")
        self.assertEqual(done.returncode, 0, done.stderr)
        named = {name.split()[-1] for name in figures["full"]["peak_anon"] if " " in name}
        self.assertEqual(named, {"source", "vault"})
        self.assertRegex(done.stdout, r"python3\S* vault \| \d+")

    def test_the_programs_themselves_do_every_work(self):
        """bench-limit and a site of daemons, on a tree and an image in two states each; then a second call goes on."""
        for version, word in ("A", b"one"), ("B", b"two"):
            os.mkdir(self.path("data", f"image-{version}"))
            with open(self.path("data", f"image-{version}", "disk"), "wb") as file:
                file.truncate(64 << 20)
                file.seek(40 << 20)
                file.write(word * 400_000)
        with open(self.path("data/image.facts"), "w", encoding="utf-8") as file:
            file.write("image_a_bytes=67108864\nimage_a_data_bytes=1200000\nimage_b_data_bytes=1200000\n")
        argv = [sys.executable, os.path.join(BENCH, "run"), "--data", self.path("data"), "--tools",
                "limit,limit-wire,sealift,sealift-zstd", "--bin", os.path.join(os.environ["BUILD_DIR"], "bin"),
                "--rounds", "1", "--warm-up", "0"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        more = ["--works", "full", "--tools", "limit", "--continue", self.path("data/results.json")]
        done = subprocess.run(argv + more, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        with open(self.path("data/results.json"), encoding="utf-8") as file:
            first, second = json.load(file)["rounds"]
        self.assertEqual(first["sealift"]["restored"], {})
        self.assertTrue(first["sealift"]["restored_image"]["equal"])
        for tool, works in (("limit", tools.Limit.works), ("limit-wire", tools.LimitWire.works),
                            ("sealift", report.WORKS), ("sealift-zstd", ("full", "next"))):
            self.assertEqual({work for work in report.WORKS if work in first[tool]}, set(works))
        self.assertEqual(list(second), ["limit"])
        for title in *report.WORKS.values(), *report.STORED.values():
            self.assertIn(f"| {title} |", done.stdout)

    def curves(self, *parts):
        argv = [sys.executable, os.path.join(BENCH, "curves"), "--quick", "--data", self.path("data"), "--bin",
                os.path.join(os.environ["BUILD_DIR"], "bin"), *parts]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        with open(self.path("data/curves-quick.json"), encoding="utf-8") as file:
            return json.load(file)["parts"]

    def test_curves_have_their_rows_and_measure_none_twice(self):
        first = self.curves("stages", "points")
        self.assertEqual([row["data"] for row in first["stages"]], ["made up", "tree A"])
        self.assertEqual([row["points"] for row in first["points"]], [1, 5])
        for name, rows in first.items():
            self.assertLessEqual(report.CURVES[name][1].keys(), rows[0].keys())
        self.assertEqual(self.curves("points"), first)

    def test_nothing_stays_mounted(self):
        self.run_with(COPIER)
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            self.assertNotIn(self.dir, file.read())
        self.assertEqual(sorted(os.listdir(self.path("data"))), ["A", "B", "facts", "results.json", "results.md"])


if __name__ == "__main__":
    unittest.main()
