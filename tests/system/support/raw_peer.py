"""A peer that says what it likes: ZeroMQ's own library by ctypes, so that no limit of Sealift's applies to it."""

import ctypes
import ctypes.util
import struct

DEALER, LINGER, SNDHWM, SNDTIMEO, RCVTIMEO, MORE = 5, 17, 23, 28, 27, 2
CURVE_PUBLICKEY, CURVE_SECRETKEY, CURVE_SERVERKEY, HANDSHAKE_IVL = 48, 49, 50, 66

zmq = ctypes.CDLL(ctypes.util.find_library("zmq") or "libzmq.so.5", use_errno=True)
for name in ("zmq_ctx_new", "zmq_socket"):
    getattr(zmq, name).restype = ctypes.c_void_p
for name in ("zmq_close", "zmq_ctx_term"):
    getattr(zmq, name).argtypes = [ctypes.c_void_p]
zmq.zmq_socket.argtypes = [ctypes.c_void_p, ctypes.c_int]
zmq.zmq_connect.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
zmq.zmq_send.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int]
zmq.zmq_recv.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
zmq.zmq_setsockopt.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
context = zmq.zmq_ctx_new()


def key_pair():
    """A fresh CURVE key: (public, secret)."""
    public, secret = ctypes.create_string_buffer(41), ctypes.create_string_buffer(41)
    raw = ctypes.create_string_buffer(32), ctypes.create_string_buffer(32)
    zmq.zmq_curve_keypair(public, secret)
    zmq.zmq_z85_decode(raw[0], public)
    zmq.zmq_z85_decode(raw[1], secret)
    return raw[0].raw, raw[1].raw


def transport_key(identity_file):
    """The CURVE key of an identity that is not under a password (docs/format.md section 2)."""
    with open(identity_file, "rb") as file:
        data = file.read()
    public = data[16:16 + struct.unpack_from("<I", data, 12)[0]]
    return public[-32:], data[-48:-16]


def sign(identity_file, data):
    """(public key, Ed25519 signature) of the identity."""
    sodium = ctypes.CDLL(ctypes.util.find_library("sodium") or "libsodium.so.23")
    with open(identity_file, "rb") as file:
        seed = file.read()[-112:-80]
    public, secret, signature = (ctypes.create_string_buffer(size) for size in (32, 64, 64))
    sodium.crypto_sign_seed_keypair(public, secret, seed)
    sodium.crypto_sign_detached(signature, None, data, ctypes.c_ulonglong(len(data)), secret)
    return public.raw, signature.raw


class Peer:
    def __init__(self, address, server_key, pair):
        self.socket = zmq.zmq_socket(context, DEALER)
        for option, value in ((LINGER, 0), (SNDHWM, 4), (SNDTIMEO, 3000), (HANDSHAKE_IVL, 3000)):
            self.option(option, struct.pack("=i", value))
        self.option(CURVE_PUBLICKEY, pair[0])
        self.option(CURVE_SECRETKEY, pair[1])
        self.option(CURVE_SERVERKEY, server_key)
        zmq.zmq_connect(self.socket, address.encode())

    def option(self, name, value):
        if zmq.zmq_setsockopt(self.socket, name, value, len(value)):
            raise OSError(f"cannot set option {name}")

    def send(self, *frames):
        """False: it could not be handed over within three seconds."""
        for i, frame in enumerate(frames):
            if zmq.zmq_send(self.socket, frame, len(frame), MORE if i + 1 < len(frames) else 0) < 0:
                return False
        return True

    def receive(self, seconds):
        """The next frame, or None."""
        self.option(RCVTIMEO, struct.pack("=i", int(seconds * 1000)))
        buffer = ctypes.create_string_buffer(1 << 16)
        length = zmq.zmq_recv(self.socket, buffer, len(buffer), 0)
        return None if length < 0 else buffer.raw[:min(length, len(buffer))]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        zmq.zmq_close(self.socket)


# --- Protocol Buffers, as far as a Head needs them

def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def head(kind, body=b"", protocol=1, serial=1):
    return field(1, protocol) + field(2, serial) + field(kind, body)
