"""Calls a protector outside through kms_call (kms_call.c), on the secret 00 01 02 … 1f."""

import os
import subprocess
import time

from sealift_site import Failed

BIN = os.path.join(os.environ.get("BUILD_DIR", "build/asan"), "bin")
S = bytes(range(32)).hex()
OK, NOT_FOUND, POLICY, UNREACHABLE, WRONG_KEY, DAMAGED, TRUNCATED, NOT_AUTHENTIC, PROTOCOL, CONFIG = \
    0, 4, 5, 7, 21, 22, 23, 26, 68, 70


# what no message may show: S, as hex and as base64, and the secrets of aws_kms_double.py
HIDDEN = (S[:32], "AAECAwQFBgcI", "secret+key", "secret%2Bkey", "session/token", "session%2Ftoken", "poor/secret", "container-token")


def call(what, uri, *args, code=OK, says="", timeout_ms=10000, env=None):
    """What it prints. It must end with this code and say this; `env`: variables that are to be set, too."""
    env = dict(os.environ, SEALIFT_DUMPABLE="1", **(env or {}))
    began = time.monotonic()
    done = subprocess.run([os.path.join(BIN, "kms_call"), what, uri, str(timeout_ms), *args], capture_output=True,
                          text=True, timeout=60, env=env)
    if done.returncode != code or says not in done.stderr:
        raise Failed(f"{what} {uri}: {done.returncode} instead of {code} ('{says}'): {done.stdout}{done.stderr}")
    for word in HIDDEN:
        if word in done.stderr:
            raise Failed(f"{what}: a message shows '{word}': {done.stderr}")
    call.seconds = time.monotonic() - began
    return done.stdout.strip()
