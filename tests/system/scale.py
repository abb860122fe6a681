#!/usr/bin/env python3
# build: release
# timeout: 120
"""What memory four times as many files take: about the same, in every process and at every step. scale_long.py does
it with five million."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from scale_site import Memory, Scale, fresh_file_system, in_own_mount_space
from sealift_site import Site, expect

FEW, MANY = 10000, 40000
# Bytes a file. The source's buffers, some for each core, are not full at the smaller size.
MOST = {"source": 350 * max(os.cpu_count(), 2), "target": 120, "director": 120, "sealift": 300}


def measure(files):
    with Site(f"scale-{files}", lease="10s") as site, Memory() as memory:
        scale = Scale(site, files, fresh_file_system(site.path("image"), site.path("files"), files))
        scale.begin()
        scale.run(memory)
        return scale.rows


in_own_mount_space()
few, many = measure(FEW), measure(MANY)
for (step, _, before), (_, _, after) in zip(few, many):
    for process, most in MOST.items():
        grown = (after.get(process, 0) - before.get(process, 0)) / (MANY - FEW)
        expect(grown <= most, f"{step}: {process} takes {grown:.0f} bytes more for each file")
