"""What was measured, as Markdown: the machine, then one table per question."""
import os
import platform
import statistics
import subprocess

WORKS = {
    "full": "first backup",
    "unchanged": "nothing changed",
    "next": "next version, new inodes and times",
    "restore": "restore onto a fresh file system, with sync",
    "check-hash": "check of every stored byte: hash (peers: decrypt)",
    "check-decrypt": "check of every stored byte: decrypt",
    "image-full": "image, first backup",
    "image-next": "image, next state",
    "image-restore": "image, restored to a file, with sync",
}
STORED = {
    "full": "after the first backup",
    "next": "after the next version",
    "image-full": "image",
    "image-next": "image, after its next state",
}


def first_match(path, key):
    with open(path, encoding="utf-8") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name.strip() == key:
                return value.strip()
    return "unknown"


def others_share(step, cores):
    """Which part of the cores' time other processes took during a step."""
    return step["others_user_s"] / (cores * step["wall_s"])


def without_disturbed(one_round, cores, limit):
    """The round without the steps in which others took more than `limit`."""
    return {tool: {name: value for name, value in figures.items()
                   if name not in WORKS or others_share(value, cores) <= limit}
            for tool, figures in one_round.items()}


def machine(work_dir):
    kind = subprocess.run(["stat", "--file-system", "--format=%T", work_dir], check=True,
                          capture_output=True, text=True).stdout.strip()
    return {
        "cpu": first_match("/proc/cpuinfo", "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": int(first_match("/proc/meminfo", "MemTotal").split()[0]) * 1024,
        "kernel": platform.release(),
        "file_system": {"ext2/ext3": "ext4"}.get(kind, kind),
    }


class Rounds:
    """The figures of all rounds: {tool: {work: {...}, "stored": {...}}} of each."""

    def __init__(self, rounds, peers):
        self.rounds = rounds
        self.tools = list(dict.fromkeys(tool for one in rounds for tool in one))
        self.peers = [tool for tool in self.tools if tool in peers]

    def values(self, tool, work, field):
        return [one[tool][work][field] for one in self.rounds if field in one.get(tool, {}).get(work, {})]

    def best_peer(self, one_round, work, field):
        """None unless every peer has a figure: the best of some is not the best."""
        values = [one_round[tool][work][field] for tool in self.peers if field in one_round.get(tool, {}).get(work, {})]
        return min(values) if values and len(values) == len(self.peers) else None

    def ratio(self, above, below, work, field):
        """Median over the rounds of above ÷ below, both of the same round. 'peer' is the best one."""
        ratios = []
        for one in self.rounds:
            pair = [self.best_peer(one, work, field) if tool == "peer" else one.get(tool, {}).get(work, {}).get(field)
                    for tool in (above, below)]
            if all(pair):
                ratios.append(pair[0] / pair[1])
        return statistics.median(ratios) if ratios else None


def number(value):
    if value is None:
        return "-"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def spread(values):
    if not values:
        return "-"
    median = number(statistics.median(values))
    low, high = number(min(values)), number(max(values))
    return median if low == high else f"{median} ({low}–{high})"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def cost_table(rounds, works, field, ratios):
    """One row for each work, one column for each tool, then the ratios."""
    head = ["work", *rounds.tools, *(title for title, _, _ in ratios)]
    rows = []
    for work in works:
        row = [WORKS[work]] + [spread(rounds.values(tool, work, field)) for tool in rounds.tools]
        row += [number(rounds.ratio(above, below, work, field)) for _, above, below in ratios]
        rows.append(row)
        if field == "wall_s" and work.endswith("restore"):
            syncs = [spread(rounds.values(tool, work, "sync_s")) for tool in rounds.tools]
            rows.append(["of that, the sync", *syncs, *("-" for _ in ratios)])
    return table(head, rows)


def memory_table(rounds, works):
    rows = []
    for work in works:
        row = [WORKS[work]]
        for tool in rounds.tools:
            peaks = [max(peak.values(), default=0) for peak in rounds.values(tool, work, "peak_anon")]
            row.append(f"{max(peaks) / 1e6:.0f}" if peaks else "-")
        rows.append(row)
    return table(["work", *rounds.tools], rows)


def process_table(rounds, works):
    """Tools of several processes: the most that each of them held."""
    rows = []
    for tool in rounds.tools:
        peaks = [peak for work in works for peak in rounds.values(tool, work, "peak_anon")]
        names = sorted({name for peak in peaks for name in peak})
        if len(names) < 2:
            continue
        for name in names:
            row = [f"{tool}: {name}"]
            for work in works:
                found = [peak[name] for peak in rounds.values(tool, work, "peak_anon") if name in peak]
                row.append(f"{max(found) / 1e6:.0f}" if found else "-")
            rows.append(row)
    return table(["process", *(WORKS[work] for work in works)], rows) if rows else ""


def stored_table(rounds, ratios):
    rows = []
    for work, title in STORED.items():
        if not any(rounds.values(tool, "stored", work) for tool in rounds.tools):
            continue
        row = [title]
        for tool in rounds.tools:
            values = rounds.values(tool, "stored", work)
            row.append(spread([value / 1e6 for value in values]))
        rows.append(row + [number(rounds.ratio(above, below, "stored", work)) for _, above, below in ratios])
    return table(["stored", *rounds.tools, *(title for title, _, _ in ratios)], rows)


def ratios_of(rounds, over_limit):
    """The columns (title, above, below) that the tools of this run allow."""
    columns = []
    if not over_limit:
        columns += [("borg ÷ sealift", "borg", "sealift"), ("restic ÷ sealift-zstd", "restic", "sealift-zstd")]
    if over_limit and "limit" in rounds.tools:
        columns += [("best peer ÷ limit", "peer", "limit"), ("sealift ÷ limit", "sealift", "limit"),
                    ("sealift ÷ limit-wire", "sealift", "limit-wire")]
    if over_limit:
        columns.append(("best peer ÷ sealift", "peer", "sealift"))
    here = {*rounds.tools, *(["peer"] if rounds.peers else [])}
    return [column for column in columns if here.issuperset(column[1:])]


def restored_lines(rounds):
    lines = []
    for tool in rounds.tools:
        answers = [one[tool]["restored"] for one in rounds.rounds if "restored" in one.get(tool, {})]
        if not answers:
            continue
        worst = max(answers, key=len)
        told = ", ".join(f"{kind} ({paths['count']})" for kind, paths in worst.items())
        lines.append(f"- {tool}: {'differs from the source in ' + told if worst else 'equal to the source'}")
    for tool in rounds.tools:
        answers = [one[tool]["restored_image"] for one in rounds.rounds if "restored_image" in one.get(tool, {})]
        if answers:
            most = max(answers, key=lambda answer: answer["allocated"])
            equal = all(answer["equal"] for answer in answers)
            lines.append(f"- {tool}, image: {'equal to' if equal else 'DIFFERS from'} the source; takes "
                         f"{most['allocated'] / 1e6:.0f} MB, the source {most['allocated_in_source'] / 1e6:.0f} MB")
    return "\n".join(lines)


def disturbance(rounds, cores):
    """How much of the machine something else took while a tool was measured, at most."""
    parts = []
    for tool in rounds.tools:
        shares = [others_share(one[tool][work], cores)
                  for one in rounds.rounds for work in WORKS if work in one.get(tool, {})]
        if shares:
            parts.append(f"{tool} {100 * max(shares):.0f} %")
    return "Largest share of the cores' time that other processes took during a step: " + ", ".join(parts) + "."


def described(data):
    parts = []
    if "a" in data:
        parts.append(f"{data['a']} ({data['a_files']} files, {int(data['a_bytes']) / 1e9:.2f} GB), then {data['b']} "
                     f"({data['changed_files']} files new or other)")
    if "image_a_bytes" in data:
        parts.append(f"an image of {int(data['image_a_bytes']) / 2**30:.0f} GiB with "
                     f"{int(data['image_a_data_bytes']) / 1e9:.2f}, then {int(data['image_b_data_bytes']) / 1e9:.2f} GB "
                     "of data")
    return "; ".join(parts)


def markdown(result, peers, undisturbed=1):
    cores = result["machine"]["cores"]
    rounds = Rounds([without_disturbed(one, cores, undisturbed) for one in result["rounds"]], peers)
    works = [work for work in WORKS if any(rounds.values(tool, work, "wall_s") for tool in rounds.tools)]
    by_process = process_table(rounds, works)
    host, data = result["machine"], result["data"]
    parts = [
        f"Machine: {host['cpu']}, {host['cores']} cores, {host['memory_bytes'] / 2**30:.0f} GiB of memory, "
        f"Linux {host['kernel']}, {host['file_system']}. Tools: {', '.join(result['versions'].values())}.",
        f"Data: {described(data)}. Rounds: {len(result['rounds'])}. "
        "Figures are medians (least–most); ratios are medians of the ratios within a round.",
        "Wall time, seconds:",
        cost_table(rounds, works, "wall_s", ratios_of(rounds, over_limit=True)),
        "CPU time of all processes, user + system, seconds:",
        cost_table(rounds, works, "cpu_s", ratios_of(rounds, over_limit=True)),
        "Anonymous memory of the largest process, MB (most of all rounds):",
        memory_table(rounds, works),
        *(["The same, of each process of the tools that have several:", by_process] if by_process else []),
        "Stored, MB:",
        stored_table(rounds, ratios_of(rounds, over_limit=False)),
    ]
    if restored_lines(rounds):
        parts += ["Restored trees, contents and metadata:", restored_lines(rounds)]
    parts.append(disturbance(rounds, cores))
    parts += [f"Not measured: {why}." for why in dict.fromkeys(result["skipped"])]
    return "\n\n".join(parts) + "\n"


CURVES = {
    "stages": ("Each stage alone, MB/s of what it is given: `sealift-transporter --bench`, medians of three.",
               {"data": "data", "read": "read", "cut": "cut", "hash": "hash", "compress": "compress",
                "left_percent": "LZ4 leaves, %", "seal": "seal", "send": "send", "store": "store"}),
    "files": ("Files: small ones (32 bytes, no two alike), a thousand in a directory.",
              {"files": "files", "first_s": "first backup, s", "unchanged_s": "nothing changed, s",
               "one_file_s": "one file restored, s", "source_mb": "source, MB", "vault_mb": "target, MB",
               "director_mb": "director, MB", "stored_mb": "stored, MB"}),
    "data": ("Data: an image whose fiftieth part is noise, the rest holes.",
             {"gib": "image, GiB", "data_gb": "data, GB", "first_s": "first backup, s",
              "restore_s": "restored to a file, s", "source_mb": "source, MB", "vault_mb": "target, MB"}),
    "cores": ("Cores: tree A, all processes on so many cores; medians of three.",
              {"cores": "cores", "first_s": "first backup, s", "first_cpu_s": "of CPU time, s",
               "unchanged_s": "nothing changed, s"}),
    "points": ("Points in a repository: 100 small files, one of which changes before each run.",
               {"points": "points", "run_s": "a run, s", "list_s": "`point list`, s", "open_s": "`offline list`, s",
                "source_mb": "source, MB", "vault_mb": "target, MB", "director_mb": "director, MB"}),
    "increments": ("A point after many increments, in each of which one file in a hundred changed, restored; and the same "
                   "tree out of a repository that has no other point.",
                   {"increments": "increments", "files": "files", "restore_s": "restored, s",
                    "restore_of_full_s": "of a full one, s", "ratio": "ratio", "stored_mb": "stored, MB",
                    "stored_of_full_mb": "of a full one, MB"}),
    "transporters": ("Transporters at one director: connected and idle; then a small run of each, 64 asked for at a time.",
                     {"transporters": "transporters", "director_mb": "director, MB",
                      "director_idle_cpu_percent": "director's CPU, % of a core", "transporter_mb": "a transporter, MB",
                      "all_run_s": "a run of each, s", "director_busy_mb": "director then, MB"}),
}


def cell(value):
    return value if isinstance(value, str) else f"{value:,}" if isinstance(value, int) else number(value)


def curve(name, rows):
    """One curve's table, with what the machine was doing beside."""
    _, columns = CURVES[name]
    loads = [row["load"] for row in rows]
    busy = f"Load of the machine meanwhile: {min(loads)} to {max(loads)}" + (": machine busy." if max(loads) > 4 else ".")
    return table(list(columns.values()), [[cell(row[key]) for key in columns] for row in rows]) + "\n\n" + busy


def curves_markdown(result):
    parts = [f"{CURVES[name][0]}\n\n{curve(name, rows)}" for name, rows in result["parts"].items() if rows]
    return "\n\n".join(parts) + "\n"
