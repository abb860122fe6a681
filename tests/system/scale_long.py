#!/usr/bin/env python3
# build: release
# long
# timeout: 3600
"""Five million files, a million of them in one directory and a million hard links: backed up, listed, checked, swept
and restored, while no process of Sealift takes more than 256 MB of anonymous memory. SCALE_FILES says how many other
files there are to be; it prints what each step took."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from scale_site import Memory, Scale, fresh_file_system, in_own_mount_space
from sealift_site import Site, expect

MOST_BYTES = 256 * 1000 * 1000
files = int(os.environ.get("SCALE_FILES", "5000000"))

in_own_mount_space()
with Site("scale", lease="30s") as site, Memory() as memory:
    scale = Scale(site, files, fresh_file_system(site.path("image"), site.path("files"), files))
    scale.begin()
    scale.run(memory)
    for process in ("source", "target", "director", "sealift"):
        expect(scale.peak(process) <= MOST_BYTES,
               f"{process} took {scale.peak(process) / 1e6:.0f} MB: {scale.largest(process)}")
