#!/usr/bin/env python3
"""Writes the golden vectors of docs/format.md, sections 1 to 6 and 13, into this folder.

A second implementation of the format, written from the page and not from the C sources: BLAKE3 by
`b3sum`, everything else by the Python package `cryptography` (44 or later, for Argon2id), XChaCha20 by
the few lines below. What is random in the program is fixed here, so the unit tests can rebuild what is
deterministic and open what is sealed. Needed only when the format changes.

usage: tests/golden/crypto.py
"""

import struct
import subprocess
import tempfile
import unicodedata
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

HERE = Path(__file__).parent


# --- primitives --------------------------------------------------------------------------------

def b3(data, *arguments, stdin=b""):
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        done = subprocess.run(["b3sum", "--no-names", *arguments, file.name], input=stdin, capture_output=True,
                              check=True)
    return bytes.fromhex(done.stdout.decode().strip())


def HASH(data):
    return b3(data)


def KEYED(key, data):
    return b3(data, "--keyed", stdin=key)


def DERIVE(context, data):
    return b3(data, "--derive-key", context)


def hchacha20(key, nonce):
    """draft-irtf-cfrg-xchacha-03, section 2.2"""
    words = list(struct.unpack("<4I8I4I", b"expand 32-byte k" + key + nonce))

    def quarter(a, b, c, d):
        for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            words[x] = (words[x] + words[y]) & 0xFFFFFFFF
            mixed = words[z] ^ words[x]
            words[z] = ((mixed << turn) | (mixed >> (32 - turn))) & 0xFFFFFFFF

    for _ in range(10):
        for i in range(4):
            quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return struct.pack("<8I", *words[:4], *words[12:])


def small_seal(key, nonce, associated, plain):
    inner = ChaCha20Poly1305(hchacha20(key, nonce[:16]))
    return nonce + inner.encrypt(bytes(4) + nonce[16:], plain, associated)


def sign(seed, name, data):
    return Ed25519PrivateKey.from_private_bytes(seed).sign(b"sealift " + name + b" v1\0" + data)


def sign_pk(seed):
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def x_pk(sk):
    return X25519PrivateKey.from_private_bytes(sk).public_key().public_bytes_raw()


def x_shared(sk, pk):
    return X25519PrivateKey.from_private_bytes(sk).exchange(X25519PublicKey.from_public_bytes(pk))


def padme(length):
    exponent = length.bit_length() - 1
    kept = exponent.bit_length()
    if kept >= exponent:
        return length
    step = 1 << (exponent - kept)
    return (length + step - 1) // step * step


# --- fixed inputs ------------------------------------------------------------------------------

def run_of(first, length):
    return bytes((first + i) % 256 for i in range(length))


S = run_of(0x00, 32)
S_EARLIER = run_of(0x10, 32)
DEDUP_SECRET = run_of(0x20, 32)
PSK = run_of(0x40, 32)
WRITER_SEED = run_of(0x60, 32)
RUN_KEY = run_of(0x80, 32)
SEAL = run_of(0xA0, 16)
EPH_SK = run_of(0xB0, 32)
NONCE = run_of(0xD0, 24)
FRAME_NONCE = run_of(0xE0, 12)
BOX_SK = run_of(0x70, 32)
TRANSPORT_SK = run_of(0x90, 32)
SALT = run_of(0xF0, 16)
WRAPPING_KEY = run_of(0xC0, 32)
DOMAIN = b"t:web"
CONTENT = b"The quick brown fox jumps over the lazy dog. " * 5

WRITER = sign_pk(WRITER_SEED)
UNLOCK_SK = DERIVE("sealift v1 unlock pair", S)
UNLOCK_PK = x_pk(UNLOCK_SK)
KEY_ID = HASH(UNLOCK_PK)
DEDUP_KEY = DERIVE("sealift v1 dedup domain", DEDUP_SECRET + DOMAIN)
DOMAIN_ID = DERIVE("sealift v1 domain id", DEDUP_KEY)
FRAME_SUBKEY = DERIVE("sealift v1 frame subkey", RUN_KEY)
COMMIT = DERIVE("sealift v1 commit", RUN_KEY + SEAL)
EPH_PK = x_pk(EPH_SK)
REWRAPPER_SEED = run_of(0x61, 32)
REWRAPPER = sign_pk(REWRAPPER_SEED)
REWRAP_PK = x_pk(DERIVE("sealift v1 unlock pair", run_of(0x30, 32)))
REWRAP_KEY_ID = HASH(REWRAP_PK)
DATA, NODE = b"\1", b"\2"
NONE, AES, CHACHA = b"\0", b"\1", b"\2"


def chunk_id(kind, content, key=DEDUP_KEY):
    return KEYED(key, kind + HASH(content))


# --- objects -----------------------------------------------------------------------------------

def envelope():
    key = DERIVE("sealift v1 envelope",
                 x_shared(EPH_SK, UNLOCK_PK) + PSK + EPH_PK + UNLOCK_PK + KEY_ID + DOMAIN_ID + SEAL + WRITER)
    clear = b"\1" + bytes(7) + SEAL + KEY_ID + DOMAIN_ID + WRITER + UNLOCK_PK + EPH_PK
    body = clear + small_seal(key, NONCE, clear, RUN_KEY) + COMMIT
    return body + sign(WRITER_SEED, b"envelope", body)


def rewrap():
    clear = b"\1" + bytes(7) + SEAL + HASH(envelope()) + REWRAP_KEY_ID + REWRAP_PK + EPH_PK
    key = DERIVE("sealift v1 rewrap", x_shared(EPH_SK, REWRAP_PK) + PSK + EPH_PK + REWRAP_PK + REWRAP_KEY_ID
                 + HASH(envelope()) + SEAL + REWRAPPER)
    return clear + small_seal(key, NONCE, clear + REWRAPPER, RUN_KEY)


def signed(seed, name, payload):
    assert 128 <= len(payload) < 16384
    length = bytes([len(payload) & 127 | 128, len(payload) >> 7])
    return b"\x0a" + length + payload + b"\x12\x20" + sign_pk(seed) + b"\x1a\x40" + sign(seed, name, payload)


def witness():
    """proto/message.proto: a roster's number, two grants, an own key."""
    own = b"\x0a\x20" + KEY_ID + b"\x12\x20" + DOMAIN_ID
    return b"\x08\x07" + b"\x12\x1e" + run_of(0x20, 30) + b"\x12\x06second" + b"\x1a" + bytes([len(own)]) + own


def frame(kind, cipher, content, nodes=(), datas=(), padded=True):
    chunk = chunk_id(kind, content)
    inner = struct.pack("<IIB3x", len(content), len(content), 0) + content
    inner += bytes((padme(len(inner)) if padded else len(inner)) - len(inner))
    clear = b"".join(sorted(nodes)) + b"".join(sorted(datas))
    head = b"\1" + kind + cipher + b"\0" + struct.pack("<I", len(inner))
    head += (SEAL if cipher != NONE else bytes(16)) + chunk + struct.pack("<HH", len(nodes), len(datas))
    if cipher == NONE:
        return head + bytes(12) + clear + inner + bytes(16)
    key = DERIVE("sealift v1 frame key", FRAME_SUBKEY + kind + cipher + chunk)
    aead = AESGCM(key) if cipher == AES else ChaCha20Poly1305(key)
    return head + FRAME_NONCE + clear + aead.encrypt(FRAME_NONCE, inner, head + clear)


def seal_list(hashes):
    body = b"\1\2" + bytes(2) + struct.pack("<I", len(hashes)) + SEAL + WRITER + struct.pack("<Q", 7)
    body += b"".join(hashes)
    return body + sign(WRITER_SEED, b"list", body)


def record(kind, payload):
    head = struct.pack("<B3xI", kind, len(payload))
    return head + HASH(head + HASH(payload))[:8] + payload


def box(context, plain):
    recipient = x_pk(BOX_SK)
    key = DERIVE("sealift v1 box", x_shared(EPH_SK, recipient) + EPH_PK + recipient + HASH(context))
    return b"\1" + EPH_PK + small_seal(key, NONCE, context, plain)


def keyring():
    plain = DEDUP_SECRET + PSK + struct.pack("<H", 1) + S_EARLIER
    key = DERIVE("sealift v1 keyring", S)
    return b"\1" + small_seal(key, NONCE, b"sealift keyring v1\0" + KEY_ID, plain)


def argon2id(password, passes=2, memory=64 << 20):
    text = unicodedata.normalize("NFC", password)
    return Argon2id(salt=SALT, length=32, iterations=passes, lanes=1, memory_cost=memory // 1024).derive(
        text.encode())


def password_protector(password):
    key = DERIVE("sealift v1 password protector", argon2id(password))
    return small_seal(key, NONCE, b"sealift password protector v1\0" + KEY_ID, S)


def kms_file_wrap():
    key = DERIVE("sealift v1 kms file key", WRAPPING_KEY)
    return (b"\1\1" + DERIVE("sealift v1 kms file id", WRAPPING_KEY)[:16] +
            small_seal(key, NONCE, b"sealift kms wrap v1\0" + KEY_ID, S))


def identity_public(name):
    return b"\1" + bytes([len(name)]) + name + WRITER + x_pk(BOX_SK) + x_pk(TRANSPORT_SK)


def identity_file(name, password=None):
    known = identity_public(name)
    head = b"SLIDENT\1" + (b"\1" if password else b"\0") + bytes(3) + struct.pack("<I", len(known)) + known
    secrets = WRITER_SEED + BOX_SK + TRANSPORT_SK
    if password:
        head += struct.pack("<QQ", 2, 64 << 20) + SALT
        secrets = small_seal(DERIVE("sealift v1 identity", argon2id(password)), NONCE, head, secrets)
    return head + secrets + HASH(head + secrets)[:16]


def bundle(password, content):
    pair = DERIVE("sealift v1 bundle pair", argon2id(password))
    lock = SALT + struct.pack("<QQ", 2, 64 << 20) + x_pk(pair)
    front = (b"SLBUNDLE\1" + bytes(7) + SEAL + struct.pack("<QQ", 1764000000 * 10**9, len(content)) +
             b"0.4.0".ljust(16, b"\0") + lock)
    context = b"sealift bundle v1\0" + HASH(front)
    key = DERIVE("sealift v1 box", x_shared(EPH_SK, x_pk(pair)) + EPH_PK + x_pk(pair) + HASH(context))
    header = front + b"\1" + EPH_PK + small_seal(key, NONCE, context, RUN_KEY) + bytes(7)
    header += HASH(header)
    pieces = [content[at:at + (256 << 10)] for at in range(0, len(content), 256 << 10)] or [b""]
    return header + b"".join(
        small_seal(RUN_KEY, NONCE, HASH(header) + struct.pack("<QB", number, number + 1 == len(pieces)), piece)
        for number, piece in enumerate(pieces))


# --- files -------------------------------------------------------------------------------------

PASSWORD = "correct hörse battery 馬"  # NFC
CHILDREN = [chunk_id(NODE, bytes([i])) for i in range(3)]
BLOCKS = [chunk_id(DATA, bytes([i])) for i in range(2)]

FILES = {
    "derive": {
        "hash_of_content": HASH(CONTENT),
        "chunk_id_data": chunk_id(DATA, CONTENT),
        "chunk_id_node": chunk_id(NODE, CONTENT),
        "unlock_pk": UNLOCK_PK,
        "key_id": KEY_ID,
        "dedup_key": DEDUP_KEY,
        "domain_id": DOMAIN_ID,
        "plaintext_dedup_key": DERIVE("sealift v1 plaintext domain", b""),
        "frame_subkey": FRAME_SUBKEY,
        "password_hash": argon2id(PASSWORD),
    },
    "envelope": {"envelope": envelope()},
    "rewrap": {"rewrap": rewrap(), "signed": signed(REWRAPPER_SEED, b"rewrap", rewrap())},
    "witness": {
        # docs/protocol.md: order, number of the answer, whether it is the last; what is said
        "signed": signed(WRITER_SEED, b"witness", SEAL + struct.pack("<QB", 3, 1) + witness()),
    },
    "frame": {
        "aes_data": frame(DATA, AES, CONTENT),
        "aes_data_unpadded": frame(DATA, AES, CONTENT, padded=False),
        "aes_node": frame(NODE, AES, CONTENT, CHILDREN, BLOCKS),
        "chacha_data": frame(DATA, CHACHA, CONTENT),
        "chacha_node": frame(NODE, CHACHA, CONTENT, CHILDREN, BLOCKS),
        "plain_data": frame(DATA, NONE, CONTENT),
        "plain_node": frame(NODE, NONE, CONTENT, CHILDREN, BLOCKS),
    },
    "list": {"list": seal_list([HASH(b"first"), HASH(b"second")])},
    "record": {
        "frame": record(2, frame(DATA, AES, CONTENT)),
        "empty_trailer": record(4, bytes(8)),
    },
    "box": {"box": box(b"sealift test box\0web", S)},
    "key": {
        "keyring": keyring(),
        "write_half": UNLOCK_PK + DEDUP_KEY + PSK,
        "password_protector": password_protector(PASSWORD),
        "kms_file_wrap": kms_file_wrap(),
    },
    "identity": {
        "public": identity_public(b"web-1"),
        "fingerprint": DERIVE("sealift v1 fingerprint", identity_public(b"web-1"))[:20],
        "plain_file": identity_file(b"web-1"),
        "password_file": identity_file(b"web-1", PASSWORD),
    },
    "bundle": {"short": bundle(PASSWORD, CONTENT), "empty": bundle(PASSWORD, b"")},
    "sign": {"point": sign(WRITER_SEED, b"point", CONTENT)},
}


def main():
    for name, values in FILES.items():
        lines = ["# docs/format.md; written by tests/golden/crypto.py"]
        lines += [f"{key} {value.hex()}" for key, value in values.items()]
        (HERE / f"{name}.hex").write_text("\n".join(lines) + "\n")


main()
