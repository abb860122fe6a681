"""kill -9 of any daemon at a random instant of a backup, copy, prune, sweep, check or restore; then it is started
again, what was asked for is asked for again and ends well, every committed point restores byte for byte, and a check
of every byte finds nothing."""

import json
import os
import random
import shutil
import subprocess
import time

from sealift_site import Failed, Site, expect, same

OPERATIONS = {
    "backup": (("job", "run", "web", "--wait"), ("source", "vault", "director")),
    "copy": (("job", "run", "web2", "--wait"), ("vault", "far", "director")),
    "prune": (("job", "prune", "web", "--yes"), ("vault", "director")),
    "sweep": (("repository", "sweep", "one"), ("vault", "director")),
    "check": (("repository", "check", "one", "--level", "hash", "--wait"), ("vault", "director")),
    "restore": (("restore", "web@latest", "--repository", "one", "--to"), ("source", "vault", "director")),
}
REPOSITORIES = ("one", "two")
AGAIN = (3, 6, 7, 8)  # the peer was lost, is busy, not there yet; or the run was stopped


class Loop:
    def __init__(self, site, seed, megabytes):
        self.site, self.random, self.megabytes = site, random.Random(seed), megabytes
        self.tree = site.path("data")
        self.took = {name: 0.5 for name in OPERATIONS}  # seconds, the last time that it was not disturbed
        self.contents = {}  # of each point, as far as known: a copy of the tree
        self.rounds = self.outs = 0

    def change_tree(self):
        """A third of it is other than before, so that old points hold what new ones do not."""
        os.makedirs(self.tree, exist_ok=True)
        for i in range(9):
            if i % 3 != self.rounds % 3 and os.path.exists(os.path.join(self.tree, f"f{i}")):
                continue
            with open(os.path.join(self.tree, f"f{i}"), "wb") as file:
                file.write(self.random.randbytes(self.megabytes * (1 << 20) // 9))
        self.copy = self.site.path("copies", str(self.rounds))
        subprocess.run(["cp", "-a", "--", self.tree, self.copy], check=True)
        self.rounds += 1

    def begin(self):
        site = self.site
        os.makedirs(site.path("copies"))
        self.change_tree()
        site.begin()
        site.add_transporter("source", "trusted", read=[self.tree], restore=[site.path("out")])
        for name in ("vault", "far"):
            site.add_transporter(name, "untrusted", repositories=[site.path(f"{name}-store")])
        site.sealift("key", "create", "main", "--description", "x", "--generate")
        site.sealift("repository", "create", "one", "--on", "vault", "--path", site.path("vault-store", "one"))
        site.sealift("repository", "create", "two", "--on", "far", "--path", site.path("far-store", "two"))
        site.sealift("job", "create", "web", "--backup", f"source:{self.tree}", "--repository", "one", "--encrypt",
                     "source", "--key", "main", "--keep-last", "2")
        site.sealift("job", "create", "web2", "--copy", "web", "--repository", "two", "--keep-last", "2")
        for _ in range(2):
            site.sealift("job", "run", "web", "--wait")
            self.learn()
            self.change_tree()
        site.sealift("job", "run", "web2", "--wait")
        self.learn()

    def points(self, repository):
        done = self.site.sealift("--json", "point", "list", "--repository", repository)
        return [row["id"] for row in json.loads(done.stdout)["points"]]

    def learn(self):
        """A point that was not there before holds the tree as it is."""
        for repository in REPOSITORIES:
            for point in self.points(repository):
                self.contents.setdefault(point, self.copy)

    def command(self, operation):
        argv = OPERATIONS[operation][0]
        if operation == "restore":
            self.outs += 1
            argv = (*argv, "source:" + self.site.path("out", str(self.outs)), "--wait")
        return argv

    def disturb(self, operation):
        """Begins it, kills at a random instant, starts the daemon again. The name of the one that was killed."""
        site, who = self.site, self.random.choice(OPERATIONS[operation][1])
        began = time.monotonic()
        run = subprocess.Popen([os.path.join(site.bin, "sealift"), *self.command(operation)], env=site.env,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        time.sleep(self.random.uniform(0, 1.1 * self.took[operation]))
        at = time.monotonic() - began
        site.daemons[who].kill()
        site.run_daemon(who)
        out, err = run.communicate(timeout=120)
        expect(run.returncode in (0, 1, *AGAIN), f"{operation}, {who} killed: {run.returncode} {out} {err}")
        return f"{operation}, {who} killed after {at:.3f} s"

    def again(self, operation, what):
        end = time.monotonic() + 90
        while True:
            began = time.monotonic()
            done = self.site.sealift(*self.command(operation), code=(0, 1, *AGAIN), timeout=120)
            if done.returncode in (0, 1):
                self.took[operation] = time.monotonic() - began
                return
            if time.monotonic() > end:
                raise Failed(f"{what}: it does not go through again: {done.stdout} {done.stderr}")
            time.sleep(0.2)

    def holds(self, before, operation, what):
        """Nothing is lost but what was pruned, and what is there is whole."""
        for repository in REPOSITORIES:
            now = self.points(repository)
            gone = [point for point in before[repository] if point not in now]
            expect(not gone or operation == "prune" and repository == "one", f"{what}: points are gone: {gone}")
            expect(now, f"{what}: no point is left in {repository}")
            for point in now:
                out = self.site.path("out", "all")
                shutil.rmtree(out, ignore_errors=True)
                self.site.sealift("restore", point, "--repository", repository, "--to", f"source:{out}", "--wait")
                same(self.contents[point], out + self.tree, f"{what}: point {point} of {repository}")
            self.site.sealift("repository", "check", repository, "--level", "hash", "--wait")

    def kill(self, operation):
        before = {repository: self.points(repository) for repository in REPOSITORIES}
        what = self.disturb(operation)
        self.again(operation, what)
        self.learn()
        self.holds(before, operation, what)
        if operation == "prune":
            self.site.sealift("job", "prune", "web2", "--yes")
        if operation == "copy":
            self.change_tree()


def kill_often(kills, megabytes=4, seed=None, operations=tuple(OPERATIONS)):
    seed = seed or random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    with Site(lease="3s") as site:
        loop = Loop(site, seed, megabytes)
        loop.begin()
        for i in range(kills):
            loop.kill(operations[i % len(operations)])
        for daemon in ("source", "vault", "far"):
            site.daemons[daemon].stop()
        for path in (site.path("vault-store", "one"), site.path("far-store", "two")):
            site.sealift("offline", "check", path, "--level", "hash")
    print(f"{kills} kills were survived")
