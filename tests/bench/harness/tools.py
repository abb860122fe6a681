"""The tools that are compared. A tool answers with the command lines; the loop runs and measures.

Each has a directory of its own, `dir`, made anew for every part of a round. Backups start beside the tree
and the image's folder (their parent is the working directory), restores in the empty directory that they are to
fill. The works of report.WORKS are methods, with _ for -."""
import os
import secrets
import shutil
import subprocess
import sys

BENCH = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def size_of(path):
    """Sum of the sizes of the files at and below `path`, as `ls` tells them."""
    total = 0
    for base, _, names in os.walk(path):
        names = [name for name in names if (base, name) != (path, "reserve")]  # ours: set aside, holds nothing
        total += sum(os.lstat(os.path.join(base, name)).st_size for name in names)
    return total


def first_line(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.splitlines()[0]


TREE_WORKS = ("full", "unchanged", "check-hash", "check-decrypt", "next", "restore")
IMAGE_WORKS = ("image-full", "image-next", "image-restore")


class Tool:
    name = ""
    works = (*TREE_WORKS, *IMAGE_WORKS)
    stores = ("full", "next", "image-full", "image-next")  # works after which the repository's size tells something
    peer = False  # a finished backup program, to be compared with
    checks_alike = False  # there is one check of every stored byte, and it decrypts: measured once

    def __init__(self, directory, tree, image):
        self.dir = directory
        self.tree = tree
        self.image = image
        self.name_of_tree = os.path.basename(tree)
        self.name_of_image = os.path.join(os.path.basename(os.path.dirname(image)), os.path.basename(image))
        self.repository = os.path.join(directory, "repository")
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": directory,
            "TMPDIR": directory,
            "LANG": "C.UTF-8",
        }

    @classmethod
    def missing(cls):
        """Why this tool cannot take part, or None."""
        return None if shutil.which(cls.name) else f"{cls.name} is not installed"

    @classmethod
    def version(cls):
        return cls.name

    def init(self):
        """Command lines that make the repository; not measured."""
        return []

    def full(self):
        raise NotImplementedError

    def unchanged(self):
        return self.full()

    def next(self):
        return self.full()

    def image_next(self):
        return self.image_full()

    def before_restore(self):
        """Command lines that a restore needs; not measured."""
        return []

    def restore(self, out):
        raise NotImplementedError

    def restored(self, out):
        """Where the restored tree stands in `out`."""
        return os.path.join(out, self.name_of_tree)

    def restored_image(self, out):
        return os.path.join(out, self.name_of_image)

    def size(self):
        return size_of(self.repository)

    def logs(self):
        """Files whose ends tell why a work failed."""
        return []


class Restic(Tool):
    """Repository version 2, whose compression `auto` is zstd at its default level."""

    name = "restic"
    peer = True
    checks_alike = True

    def __init__(self, directory, tree, image):
        super().__init__(directory, tree, image)
        self.env["RESTIC_REPOSITORY"] = self.repository
        self.env["RESTIC_PASSWORD"] = secrets.token_hex()
        self.base = ["restic", "--quiet", "--cache-dir", os.path.join(directory, "cache")]

    @classmethod
    def version(cls):
        return " ".join(first_line("restic", "version").split()[:2])

    def init(self):
        return [[*self.base, "init", "--repository-version", "2"]]

    def backup(self, what):
        return [*self.base, "backup", "--compression", "auto", what]

    def full(self):
        return self.backup(self.name_of_tree)

    def image_full(self):
        return self.backup(self.name_of_image)

    def check_decrypt(self):
        return [*self.base, "check", "--read-data"]

    def restore(self, out):
        return [*self.base, "restore", "latest", "--target", out]

    image_restore = restore


class Borg(Tool):
    """repokey-blake2: AES-256-CTR with keyed BLAKE2b; LZ4."""

    name = "borg"
    peer = True
    checks_alike = True

    def __init__(self, directory, tree, image):
        super().__init__(directory, tree, image)
        self.env["BORG_REPO"] = self.repository
        self.env["BORG_PASSPHRASE"] = secrets.token_hex()
        self.env["BORG_BASE_DIR"] = directory

    @classmethod
    def version(cls):
        return first_line("borg", "--version")

    def init(self):
        return [["borg", "init", "--encryption", "repokey-blake2"]]

    def create(self, archive):
        return ["borg", "create", "--compression", "lz4", f"::{archive}", self.name_of_tree]

    def full(self):
        return self.create("full")

    def unchanged(self):
        return self.create("unchanged")

    def next(self):
        return self.create("next")

    def image_full(self):
        return ["borg", "create", "--sparse", "--compression", "lz4", "::image-full", self.name_of_image]

    def image_next(self):
        return [*self.image_full()[:-2], "::image-next", self.name_of_image]

    def check_decrypt(self):
        return ["borg", "check", "--verify-data"]

    def before_restore(self):
        listing = subprocess.run(
            ["borg", "list", "--short", "--last", "1"], env=self.env, check=True, capture_output=True, text=True)
        self.latest = listing.stdout.strip()
        return []

    def restore(self, out):
        return ["borg", "extract", f"::{self.latest}"]

    def image_restore(self, out):
        return ["borg", "extract", "--sparse", f"::{self.latest}"]


class Limit(Tool):
    """bench-limit: the data path and nothing else. Of an unchanged tree only the walk is left, of the next
    version with new times only walking, reading and hashing, of a check reading and hashing what it wrote. Of an
    image's next state it stores everything, as it has no memory. It restores nothing."""

    name = "limit"
    works = ("full", "unchanged", "check-hash", "next", "image-full", "image-next")
    stores = ("full", "image-full")
    program = "bench-limit"

    @classmethod
    def missing(cls):
        return None if os.access(cls.program, os.X_OK) else f"'{cls.program}' is not built"

    @classmethod
    def version(cls):
        return "bench-limit"

    def full(self):
        return [self.program, self.name_of_tree, self.repository]

    def unchanged(self):
        return [self.program, "--stat", self.name_of_tree]

    def check_hash(self):
        return [self.program, "--read", self.repository]

    def next(self):
        return [self.program, "--read", self.name_of_tree]

    def image_full(self):
        return [self.program, "--image", self.name_of_image, self.repository]

    def image_next(self):
        return [self.program, "--image", self.name_of_image, self.repository + "-next"]


class LimitWire(Limit):
    """The same in two processes: what one has sealed goes to the other, which hashes and writes it, by libzmq with
    CURVE over the loopback. What a wire that nobody can read costs is in it, and still no protocol."""

    name = "limit-wire"
    works = ("full", "image-full", "image-next")
    stores = ()

    @classmethod
    def version(cls):
        return "bench-limit --wire"

    def full(self):
        return [self.program, "--wire", self.name_of_tree, self.repository]

    def image_full(self):
        return [self.program, "--wire", "--image", self.name_of_image, self.repository]

    def image_next(self):
        return [self.program, "--wire", "--image", self.name_of_image, self.repository + "-next"]


class Tar(Tool):
    """tar x of an archive that is neither compressed nor encrypted."""

    name = "tar"
    works = ("restore",)
    stores = ()

    @classmethod
    def version(cls):
        return first_line("tar", "--version")

    def before_restore(self):
        return [["tar", "-cf", self.repository, "-C", os.path.dirname(self.tree), self.name_of_tree]]

    def restore(self, out):
        return ["tar", "-xf", self.repository]


class Sealift(Tool):
    """Through a program with the verbs `init DIR`, `backup DIR TREE`, `restore DIR OUT` (the latest
    point) and `size DIR` (prints bytes). What it starts in the background at `init`, such as daemons,
    is measured with it and ended after the round."""

    name = "sealift"
    works = ("full", "unchanged", "next", "restore")
    program = "bench-site"

    @classmethod
    def missing(cls):
        return None if os.access(cls.program, os.X_OK) else f"there is no program '{cls.program}'"

    @classmethod
    def version(cls):
        return f"sealift by {os.path.basename(cls.program)}"

    def init(self):
        return [[self.program, "init", self.dir]]

    def full(self):
        return [self.program, "backup", self.dir, self.tree]

    def restore(self, out):
        return [self.program, "restore", self.dir, out]

    def restored(self, out):
        """Below its own name, below its whole path, or directly in `out`."""
        for place in (super().restored(out), out + self.tree):
            if os.path.isdir(place):
                return place
        return out

    def size(self):
        answer = subprocess.run(
            [self.program, "size", self.dir], env=self.env, check=True, capture_output=True, text=True)
        return int(answer.stdout)


class SealiftDaemons(Sealift):
    """The programs that users run: a director and two transporters of one site over loopback, started at
    `init`. A work is the operator's own command line, from its start to its exit."""

    works = (*TREE_WORKS, *IMAGE_WORKS)
    bin = ""
    program = "sealift"
    compress = "lz4"

    def __init__(self, directory, tree, image):
        super().__init__(directory, tree, image)
        self.site = os.path.join(directory, "site")
        self.repository = os.path.join(self.site, "store")
        self.env.update(BUILD_DIR=os.path.dirname(self.bin), SEALIFT_STATE=os.path.join(self.site, "operator"))
        self.cli = [self.program, "--quiet"]

    @classmethod
    def version(cls):
        return first_line(cls.program, "--version") + " (daemons)"

    def init(self):
        return [[sys.executable, os.path.join(BENCH, "daemons"), self.dir, self.tree, self.image, self.compress]]

    def full(self):
        return [*self.cli, "job", "run", "tree", "--wait"]

    def image_full(self):
        return [*self.cli, "job", "run", "image", "--wait"]

    def check_hash(self):
        return [*self.cli, "repository", "check", "offsite", "--level", "hash", "--wait"]

    def check_decrypt(self):
        return [*self.cli, "repository", "check", "offsite", "--level", "decrypt", "--wait"]

    def restore(self, out):
        return [*self.cli, "restore", "tree@latest", "--to", f"source:{out}", "--wait"]

    def image_restore(self, out):
        return [*self.cli, "restore", "image@latest", "--to", f"source:{out}", "--wait"]

    def restored_image(self, out):
        return os.path.join(out, os.path.basename(self.image))

    def size(self):
        return size_of(self.repository)

    def logs(self):
        return [entry.path for entry in os.scandir(self.site) if entry.name.endswith(".log")]


class SealiftZstd(SealiftDaemons):
    """The same with what restic's `auto` comes nearest to: for the sizes."""

    name = "sealift-zstd"
    works = ("full", "next")
    compress = "zstd:3"

    @classmethod
    def version(cls):
        return "sealift-zstd: the same with --compress zstd:3"


TOOLS = {tool.name: tool for tool in (Restic, Borg, Limit, LimitWire, Tar, Sealift, SealiftZstd)}


def use_sealift(how, bin_dir):
    """How Sealift takes part: `daemons`, `site`, or the path of a program with the verbs of Sealift."""
    SealiftDaemons.bin = bin_dir
    SealiftDaemons.program = os.path.join(bin_dir, SealiftDaemons.program)
    if how == "daemons":
        TOOLS["sealift"] = SealiftDaemons
    else:
        Sealift.program = os.path.join(bin_dir, "bench-site") if how == "site" else os.path.abspath(how)
