"""Disk images: what is in them, without their holes."""
import os

PIECE = 8 << 20


def extents(path):
    """(offset, bytes) of the data, in pieces."""
    with open(path, "rb", buffering=0) as file:
        size, at = os.fstat(file.fileno()).st_size, 0
        while at < size:
            try:
                at = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:  # nothing but a hole
                return
            end = os.lseek(file.fileno(), at, os.SEEK_HOLE)
            while at < end:
                piece = os.pread(file.fileno(), min(PIECE, end - at), at)
                yield at, piece
                at += len(piece)


def holds(path, other):
    """All that is data in `other` stands in `path`, and is nothing but zeros where `path` has a hole."""
    with open(path, "rb", buffering=0) as file:
        return all(os.pread(file.fileno(), len(piece), at) == piece for at, piece in extents(other))


def same(one, other):
    """The same bytes, wherever their holes are."""
    return os.path.getsize(one) == os.path.getsize(other) and holds(one, other) and holds(other, one)
