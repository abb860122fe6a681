#!/usr/bin/env python3
# build: release
# long
# timeout: 1500
"""120 kills of daemons at random instants of backups, copies, prunes, sweeps, checks and restores: see
support/kill_loop.py. SEALIFT_SEED repeats the choices of an earlier one."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from kill_loop import kill_often

kill_often(120, megabytes=9, seed=int(os.environ.get("SEALIFT_SEED", "0")))
