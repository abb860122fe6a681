#!/usr/bin/env python3
# build: release
# long
# timeout: 1800
"""A repository of ten million chunks in 62,500 packs is opened in under a second, and its index made anew, in little
memory. The second is one of CPU time: other processes may be at work."""

import json
import os
import subprocess

CHUNKS = 10_000_000
MOST_BYTES = 32 << 20

bench = os.path.join(os.environ["BUILD_DIR"], "bin", "bench-index")
said = subprocess.run([bench, os.path.join(os.environ["TMPDIR"], "index"), str(CHUNKS)], stdout=subprocess.PIPE, text=True,
                      check=True).stdout
print(said)
opened = [json.loads(line) for line in said.splitlines()]
assert len(opened) == 4 and opened[0]["open"] == "without an index"
assert all(one["chunks"] == CHUNKS for one in opened)
assert all(one["peak_anon"] < MOST_BYTES for one in opened), "anonymous memory"
assert min(one["cpu_seconds"] for one in opened[1:]) < 1, "an opening takes a second"
assert opened[0]["index_bytes"] < 100 * CHUNKS, "the size of the index"
