#!/usr/bin/env python3
"""Writes the golden vectors of docs/format.md, section 9, into manifest.hex in this folder.

A second implementation of the manifest, written from the page and not from the C sources, with BLAKE3 by
`b3sum`. Needed only when the format changes.

usage: tests/golden/manifest.py
"""

import struct
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def hashes(pieces):
    """HASH of each piece, many in one call."""
    out = []
    with tempfile.TemporaryDirectory() as folder:
        for start in range(0, len(pieces), 1000):
            names = []
            for i, piece in enumerate(pieces[start:start + 1000]):
                name = Path(folder) / str(i)
                name.write_bytes(piece)
                names.append(str(name))
            done = subprocess.run(["b3sum", "--no-names", *names], capture_output=True, check=True)
            out += [bytes.fromhex(line) for line in done.stdout.decode().split()]
    return out


def HASH(piece):
    return hashes([piece])[0]


def node(kind, level, items, prefix=b""):
    return struct.pack("<BBBBI", 1, kind, level, 0, len(items)) + prefix + b"".join(items)


def reference(kind, length, offset=0, content=bytes(32)):
    return content + struct.pack("<QIB3x", length, offset, kind)


def entry(kind, name, depth, mode=0, uid=0, gid=0, mtime=0, size=0, device=None, target=b"", owner=b"", group=b"",
          xattrs=(), refs=(), flags=0, file_hash=bytes(32)):
    tail = name + target + owner + group
    for key, value in xattrs:
        tail += struct.pack("<BI", len(key), len(value)) + key + value
    tail += b"".join(refs)
    where = struct.pack("<II", *device) if device else struct.pack("<Q", size)
    return struct.pack("<IBBHIIIq", 80 + len(tail), kind, flags, depth, mode, uid, gid, mtime) + where + struct.pack(
        "<HHBBHI", len(name), len(target), len(owner), len(group), len(xattrs), len(refs)) + file_hash + tail


def leaf(parent, entries):
    return node(1, 0, entries, struct.pack("<H", len(parent)) + parent)


def child(content, entries, size, first):
    return content + struct.pack("<QQH", entries, size, len(first)) + first


def filled(byte):
    return bytes([byte]) * 32


def every_type():
    return [
        entry(1, b"etc", 2, 0o755, 0, 0, -1, owner=b"root", group=b"root"),
        entry(4, b"pipe", 3, 0o600, 1000, 1001, 1),
        entry(2, b"sparse", 3, 0o4755, 1, 2, 1700000000123456789, size=5000, flags=1, owner=b"daemon", file_hash=filled(7),
              xattrs=[(b"security.capability", b"\0\1\2"), (b"user.empty", b"")],
              refs=[reference(0, 1000, 24, filled(8)), reference(1, 4000)]),
        entry(2, b"\xff\n name", 2, 0o644, size=0, file_hash=filled(9)),
        entry(5, b"tty", 1, 0o620, device=(5, 4294967295)),
    ]


def more_types():
    return [
        entry(6, b"disk", 2, 0o660, device=(254, 1)),
        entry(3, b"link", 2, 0o777, mtime=-9223372036854775808, target=b"../.."),
        entry(7, b"second", 2, 0o644, target=b"srv/\xff\n name"),
        entry(2, b"\xfe", 2, 0o7777, 4294967295, 4294967294, 9223372036854775807, size=2 << 40, flags=2,
              file_hash=filled(1), refs=[reference(2, 1 << 40, 0, filled(2)), reference(2, 1 << 40, 0, filled(3))]),
    ]


def cut(items, ends, limit):
    """Splits into runs: `ends(run)` after an item, `limit(run, item)` before one."""
    runs, run = [], []
    for item in items:
        if run and limit(run, item):
            runs.append(run)
            run = []
        run.append(item)
        if ends(run):
            runs.append(run)
            run = []
    if run:
        runs.append(run)
    return runs


def manifest(made):
    """Of (parent, path, size, entry) each: number of nodes, and H of the root."""
    values = dict(zip([m[1] for m in made], hashes([m[1] for m in made])))
    runs = cut(made, lambda run: sum(len(e[3]) for e in run) >= 65536 and int.from_bytes(values[run[-1][1]][:2], "big") < 2048,
               lambda run, item: sum(len(e[3]) for e in run) + len(item[3]) > 131072)
    leaves = [leaf(run[0][0], [e[3] for e in run]) for run in runs]
    items = [(h, len(run), sum(e[2] for e in run), run[0][1]) for h, run in zip(hashes(leaves), runs)]
    level = 0
    nodes = len(leaves)
    while len(items) > 1:
        level += 1
        # no node here comes near the limit of its bytes
        runs = cut(items, lambda run: len(run) == 1024 or (len(run) >= 64 and values[run[-1][3]][0] == 0),
                   lambda run, item: False)
        trees = [node(2, level, [child(*i) for i in run]) for run in runs]
        items = [(h, sum(i[1] for i in run), sum(i[2] for i in run), run[0][3]) for h, run in zip(hashes(trees), runs)]
        nodes += len(trees)
    top = items[0]
    root = node(4, 0, [top[0] + struct.pack("<QQB3xIIIH", top[1], top[2], 1, 0, 0, 0, 0) + struct.pack("<H", 0)])
    return struct.pack("<Q", nodes) + HASH(root)


def stream():
    """12,000 entries: 40 directories of files with one chunk each."""
    made = []
    for d in range(40):
        folder = b"d%02d" % d
        made.append((b"", folder, 0, entry(1, folder, 1, 0o755)))
        for f in range(299):
            name = b"file-%03d%s" % (f, b"x" * (d + f % 7))
            size = d * 1000 + f + 1
            made.append((folder, folder + b"/" + name, size,
                         entry(2, name, 2, 0o644, size=size, refs=[reference(0, size, 0, filled(d + 1))])))
    return manifest(made)


def wide():
    """3,000 symbolic links so long that hardly a leaf holds two: several tree nodes."""
    made = []
    for i in range(3000):
        name = b"%04d" % i
        made.append((b"", name, 0, entry(3, name, 1, target=b"t" * (65000 + i % 500))))
    return manifest(made)


def long_refs():
    """3,000,000 references: every fifth is a hole; the others' H begins with bytes of their number."""
    zeros = bytes(26)
    items = []
    for i in range(3000000):
        if i % 5 == 4:
            items.append((reference(1, 4096), None, 4096))
        else:
            content = struct.pack(">H", (i * 40503) & 0xffff) + struct.pack("<I", i) + zeros
            items.append((reference(0, i % 1000 + 1, 0, content), content, i % 1000 + 1))
    level = 0
    while len(items) > 1000:
        runs = cut(items, lambda run: len(run) == 1024 or (len(run) >= 64 and run[-1][1] is not None and run[-1][1][0] == 0),
                   lambda run, item: False)
        nodes = [node(3, level, [i[0] for i in run]) for run in runs]
        items = [(reference(2, sum(i[2] for i in run), 0, h), h, sum(i[2] for i in run))
                 for h, run in zip(hashes(nodes), runs)]
        level += 1
    return struct.pack("<II", level, len(items)) + HASH(b"".join(i[0] for i in items))


def main():
    first, second = leaf(b"srv", every_type()), leaf(b"var", more_types())
    tree = node(2, 1, [child(HASH(first), 5, 5000, b"srv/etc"), child(HASH(second), 4, 2 << 40, b"var/disk")])
    vectors = {
        "leaf": first,
        "leaf2": second,
        "tree": tree,
        "refs": node(3, 0, [reference(0, 4 << 20, 0, filled(1)), reference(1, 1 << 50), reference(0, 1, (4 << 20) - 1, filled(2))]),
        "refs1": node(3, 1, [reference(2, 1 << 60, 0, filled(3))]),
        "root": node(4, 0, [HASH(tree) + struct.pack("<QQB3xIII", 9, (2 << 40) + 5000, 1, 262144, 1048576, 4194304)
                            + struct.pack("<H", 4) + b"host" + struct.pack("<H", 3) + struct.pack("<H", 0)
                            + struct.pack("<H", 3) + b"srv" + struct.pack("<H", 8) + b"var/disk"]),
        "stream": stream(),
        "wide": wide(),
        "long": long_refs(),
    }
    with open(HERE / "manifest.hex", "w", encoding="ascii") as out:
        out.write("# docs/format.md section 9; written by tests/golden/manifest.py\n")
        for name, value in vectors.items():
            out.write(f"{name} {value.hex()}\n")


if __name__ == "__main__":
    main()
