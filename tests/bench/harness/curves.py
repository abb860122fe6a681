"""What the curves measure. Each part is a function of a Bench that yields rows, dictionaries, whose first member is
the curve's x; a row that is known already is not measured again."""
import os
import random
import shutil
import statistics
import subprocess
import time

from harness import disk, measure
from harness.site import Running, SiteFailed, anonymous_mb
from harness.tools import size_of

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30


def median_of(count, once):
    return statistics.median(once() for _ in range(count))


def warm(tree):
    """Its files are in the page cache, if there is room."""
    subprocess.run(["find", tree, "-type", "f", "-exec", "cat", "{}", "+"], check=True, stdout=subprocess.DEVNULL)


def memory(*costs):
    """The most that each of the daemons held."""
    return {f"{name}_mb": round(max(anonymous_mb(cost, name) for cost in costs), 1)
            for name in ("source", "vault", "director")}


# --- files: many small ones ---

FILES_IN_DIRECTORY = 1000


def make_files(root, first, end):
    """Files number first to end, 32 bytes each, no two alike."""
    for number in range(first, end):
        directory = os.path.join(root, f"{number // FILES_IN_DIRECTORY:05}")
        if number % FILES_IN_DIRECTORY == 0 or not os.path.isdir(directory):
            os.makedirs(directory, exist_ok=True)
        fd = os.open(f"{directory}/{number % FILES_IN_DIRECTORY:03}", os.O_WRONLY | os.O_CREAT, 0o644)
        os.write(fd, b"%031d\n" % number)
        os.close(fd)


def files(bench):
    """Small files in directories of a thousand: first backup, nothing changed, one file restored."""
    counts = {"quick": (100,), "normal": (10_000, 100_000, 1_000_000),
              "long": (10_000, 100_000, 1_000_000, 5_000_000)}[bench.size]
    wanted = bench.missing("files", counts)
    if not wanted:
        return
    # An ext4 of its own: away with all its files at once, where removing millions takes longer than the rest.
    room = (2 * max(wanted) * KIB + GIB, ["-b", "1024", "-N", str(2 * max(wanted))])
    made = 0
    with bench.fresh(*room) as root:
        for count in wanted:
            make_files(root, made, count)
            made = count
            warm(root)
            os.sync()
            with bench.site() as site:
                site.job("files", root)
                first, _ = site.run("files")
                time.sleep(2.1)  # what is younger than 2 s when it is read is not trusted to be unchanged
                site.run("files")
                again, _ = site.run("files")
                one = site.restore("files@latest", bench.path("one"), f"{root}/00000/050")
                shutil.rmtree(bench.path("one"))
                yield {"files": count, "first_s": first.wall_s, "unchanged_s": again.wall_s, "one_file_s": one.wall_s,
                       **memory(first, again), "stored_mb": size_of(site.repository) / 1e6}


# --- data: an image of much hole and some data ---

DATA_SHARE = 50  # one byte in so many is data


def make_image(path, size):
    """A piece of noise in each GiB, at a place that differs."""
    noise = random.Random(size)
    length = min(GIB, size) // DATA_SHARE
    with open(path, "wb") as file:
        file.truncate(size)
        for at in range(0, size, GIB):
            file.seek(at + noise.randrange(0, min(GIB, size) - length, 4096))
            file.write(noise.randbytes(length))


def data(bench):
    """Images whose fiftieth part is noise, the rest holes: first backup, and restored to a file."""
    gibs = {"quick": (0.0625,), "normal": (1, 10, 50), "long": (1, 10, 50, 200)}[bench.size]
    for gib in bench.missing("gib", gibs):
        image, out = bench.path("image"), bench.path("out")
        make_image(image, int(gib * GIB))
        os.makedirs(out, exist_ok=True)
        os.sync()
        with bench.site() as site:
            site.job("image", image, kind="--image")
            first, told = site.run("image")
            back = site.restore("image@latest", out)
            if not disk.same(image, os.path.join(out, "image")):
                raise measure.Failed(f"the image of {gib} GiB came back as another")
            yield {"gib": gib, "data_gb": told["read_bytes"] / 1e9, "first_s": first.wall_s, "restore_s": back.wall_s,
                   **memory(first, back)}
        os.unlink(image)
        shutil.rmtree(out)


# --- cores ---

def cores(bench):
    """Tree A with all daemons and the command on so many cores; medians of three."""
    everything = sorted(os.sched_getaffinity(0))
    tree = bench.data_path("A")
    repeats = 1 if bench.size == "quick" else 3
    for count in bench.missing("cores", range(1, len(everything) + 1)):
        os.sched_setaffinity(0, everything[:count])
        try:
            warm(tree)
            firsts, agains = [], []
            for _ in range(repeats):
                with bench.site() as site:
                    site.job("tree", tree)
                    os.sync()
                    firsts.append(site.run("tree")[0])
                    agains.append(site.run("tree")[0])
            yield {"cores": count, "first_s": statistics.median(cost.wall_s for cost in firsts),
                   "first_cpu_s": statistics.median(cost.cpu_user_s + cost.cpu_sys_s for cost in firsts),
                   "unchanged_s": statistics.median(cost.wall_s for cost in agains)}
        finally:
            os.sched_setaffinity(0, everything)


# --- points in one repository ---

def points(bench):
    """Points of one small tree, a file of which changes before each: a run, a listing, and a first open."""
    counts = {"quick": (1, 5), "normal": (1, 10, 100, 1000), "long": (1, 10, 100, 1000, 10_000)}[bench.size]
    wanted = bench.missing("points", counts)
    if not wanted:
        return
    tree, made = bench.path("tree"), 0
    make_files(tree, 0, 100)
    with bench.site() as site:
        site.job("small", tree)
        runs = []
        while made < max(wanted):
            with open(os.path.join(tree, "00000", "changing"), "w", encoding="utf-8") as file:
                file.write(str(made))
            runs = [*runs[-4:], site.run("small")[0]]
            made += 1
            if made in wanted:
                listing = median_of(3, lambda: site.cost("point", "list").wall_s)
                opened = median_of(3, lambda: site.cost("offline", "list", site.repository).wall_s)
                yield {"points": made, "run_s": statistics.median(cost.wall_s for cost in runs), "list_s": listing,
                       "open_s": opened, **memory(*runs)}


# --- a point after many increments ---

INCREMENTS = 100


def change_some(paths, noise):
    """One file in a hundred gets a line more."""
    for path in noise.sample(paths, max(1, len(paths) // 100)):
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"/* {noise.random()} */\n")


def increments(bench):
    """A part of the kernel's sources, one file in a hundred changed before each of many runs; then the latest point
    restored, and the same tree's point out of a repository that has no other. In turn, medians of five."""
    part, count, repeats = {"quick": ("block", 3, 1)}.get(bench.size, ("drivers/net", INCREMENTS, 5))
    if not bench.missing("increments", (count,)):
        return
    tree, noise = bench.path("tree"), random.Random(1)
    subprocess.run(["cp", "-r", os.path.join(bench.data_path("A"), part), tree], check=True)
    paths = sorted(os.path.join(base, name) for base, _, names in os.walk(tree) for name in names)
    with bench.site("many") as many, bench.site("one") as one:
        many.job("part", tree)
        one.job("part", tree)
        many.run("part")
        for _ in range(count):
            change_some(paths, noise)
            many.run("part")
        one.run("part")
        walls = {many: [], one: []}
        for _ in range(repeats + 1):
            for site in walls:
                with bench.fresh(GIB) as out:
                    os.sync()
                    walls[site].append(site.restore("part@latest", out).wall_s)
                    if subprocess.run(["diff", "-r", tree, out + tree], check=False, capture_output=True).returncode:
                        raise measure.Failed("a restore differs from its source")
        after, fresh = (statistics.median(walls[site][1 if repeats > 1 else 0:]) for site in (many, one))
        yield {"increments": count, "files": len(paths), "restore_s": after, "restore_of_full_s": fresh,
               "ratio": after / fresh, "stored_mb": size_of(many.repository) / 1e6,
               "stored_of_full_mb": size_of(one.repository) / 1e6}


# --- transporters at one director ---

IDLE_S = 10
COMMANDS_AT_ONCE = 64


def director_cpu_s(site):
    return sum(measure.cpu_s(site.site.daemons["director"].process.pid))


def transporters(bench):
    """So many sources connected: what the director holds and spends in ten idle seconds, and a small run of each."""
    counts = {"quick": (2,), "normal": (1, 10, 50), "long": (1, 10, 50, 200)}[bench.size]
    wanted = bench.missing("transporters", counts)
    if not wanted:
        return
    tree = bench.path("tree")
    make_files(tree, 0, 10)
    with bench.site() as site:
        for number in range(1, max(wanted) + 1):
            site.site.add_transporter(f"host{number}", "trusted", read=[tree])
            site.job(f"job{number}", tree, on=f"host{number}")
            if number in wanted:
                spent = director_cpu_s(site)
                idle = measure.run(["sleep", str(IDLE_S if bench.size != "quick" else 1)], bench.path("log"), cwd="/",
                                   env=site.site.env)
                spent = director_cpu_s(site) - spent
                names = "\n".join(f"job{i}" for i in range(1, number + 1))
                runs = measure.run(["sh", "-c", f'echo "$1" | xargs -P {COMMANDS_AT_ONCE} -I NAME "$0" --quiet job run NAME --wait',
                                    site.site.bin + "/sealift", names], bench.path("log"), cwd="/", env=site.site.env)
                yield {"transporters": number, "director_mb": round(anonymous_mb(idle, "director"), 1),
                       "director_idle_cpu_percent": 100 * spent / idle.wall_s,
                       "transporter_mb": round(anonymous_mb(idle, f"host{number}"), 1), "all_run_s": runs.wall_s,
                       "director_busy_mb": round(anonymous_mb(runs, "director"), 1)}


# --- each stage alone ---


def stages(bench):
    """What `sealift-transporter --bench` says of itself, with made-up data and with tree A; medians of three."""
    for name in bench.missing("data", ("made up", "tree A")):
        chosen = []
        if name == "tree A":
            warm(bench.data_path("A"))
            chosen = ["--path", bench.data_path("A")]
        answers = [bench.transporter_bench(*chosen) for _ in range(1 if bench.size == "quick" else 3)]
        yield {"data": name, "left_percent": 100 * answers[0]["compressed_bytes"] / answers[0]["sample_bytes"],
               **{stage: statistics.median(answer["mb_per_s"][stage] for answer in answers)
                  for stage in answers[0]["mb_per_s"]}}


PARTS = {"stages": stages, "cores": cores, "transporters": transporters, "data": data,
         "points": points, "increments": increments, "files": files}
