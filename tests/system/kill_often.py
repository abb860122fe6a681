#!/usr/bin/env python3
# build: asan
# timeout: 180
"""One kill -9 in each of copy, sweep, prune and restore, at a random instant (kill.py: backups): see support/kill_loop.py,
and kill_long.py for many."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from kill_loop import kill_often

kill_often(4, megabytes=2, operations=("copy", "sweep", "prune", "restore"))
