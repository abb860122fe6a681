"""A site of real daemons for the curves: a director, a trusted transporter `source`, an untrusted one `vault` with
the repository `offsite`, the key `main`. To be used in a space of our own (harness/space.py), which ends them."""
import json
import os
import sys

from harness import measure

SUPPORT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "system", "support")
sys.path.insert(0, SUPPORT)

from sealift_site import Failed as SiteFailed, Site  # what the system tests start their daemons with


class Running:
    """Everything lies below `directory`. Whoever asks for a command's cost gets a measure.Cost."""

    def __init__(self, directory, bin_dir):
        os.environ.update(BUILD_DIR=os.path.dirname(bin_dir), TMPDIR=directory)
        self.dir = directory
        self.site = Site("site", lease="2m").begin()
        self.site.add_transporter("source", "trusted", read=["/"], restore=["/"])
        self.site.add_transporter("vault", "untrusted", repositories=[self.site.path("store")])
        self.repository = self.site.path("store", "offsite")
        self.site.sealift("repository", "create", "offsite", "--on", "vault", "--path", self.repository)
        self.site.sealift("key", "create", "main", "--description", "for the bench", "--generate")

    def job(self, name, path, kind="--backup", on="source"):
        self.site.sealift("job", "create", name, kind, f"{on}:{path}", "--repository", "offsite", "--encrypt", "source",
                          "--key", "main")

    def cost(self, *words):
        argv = [os.path.join(self.site.bin, "sealift"), "--quiet", "--json", *words]
        return measure.run(argv, os.path.join(self.dir, "log"), cwd=self.dir, env=self.site.env)

    def run(self, job):
        """(cost, what the run tells of itself)"""
        cost = self.cost("job", "run", job, "--wait")
        documents = [json.loads(line) for line in cost.output.splitlines()]  # warnings stand among them
        return cost, next(document for document in documents if "run" in document)

    def restore(self, point, to, *paths):
        return self.cost("restore", point, *paths, "--to", f"source:{to}", "--wait")


def anonymous_mb(cost, program):
    """The most that a process of this name held while a command ran: `director`, `source`, `vault`."""
    return max((peak for name, peak in cost.peak_anon.items() if name.split()[-1] == program), default=0) / 1e6
