#!/usr/bin/env python3
# build: release
# long
# timeout: 1500
"""tests/system/rotate.py with 100 kills, 60 of them behind a rotation: a seal has room for 64 rewraps. SEALIFT_SEED repeats
the instants of an earlier one."""

import os
import sys

os.environ["SEALIFT_ROUNDS"] = "100"
os.execv(sys.executable, [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "rotate.py")])
