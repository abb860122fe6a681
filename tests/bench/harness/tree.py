"""What a tree consists of, and how two trees differ."""
import collections
import hashlib
import os
import stat

Entry = collections.namedtuple("Entry", "type mode owner group mtime_ns size target xattrs links digest")


def content_digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def entry_of(path):
    st = os.lstat(path)
    regular, link = stat.S_ISREG(st.st_mode), stat.S_ISLNK(st.st_mode)
    xattrs = {name: os.getxattr(path, name, follow_symlinks=False)
              for name in os.listxattr(path, follow_symlinks=False)}
    return Entry(
        type=stat.S_IFMT(st.st_mode),
        mode=stat.S_IMODE(st.st_mode),
        owner=st.st_uid,
        group=st.st_gid,
        mtime_ns=st.st_mtime_ns,
        size=st.st_size if regular else None,
        target=os.readlink(path) if link else None,
        xattrs=xattrs,
        links=st.st_nlink if regular else None,
        digest=content_digest(path) if regular else None)


def manifest(root):
    """{path relative to root: Entry}, the root itself as '.'"""
    entries = {".": entry_of(root)}
    for base, directories, others in os.walk(root):
        for name in directories + others:
            path = os.path.join(base, name)
            entries[os.path.relpath(path, root)] = entry_of(path)
    return entries


def differences(wanted, got):
    """{kind: [paths]}: missing, surplus, and each field of Entry that differs."""
    found = collections.defaultdict(list)
    for path, entry in wanted.items():
        if path not in got:
            found["missing"].append(path)
            continue
        for field in Entry._fields:
            if getattr(entry, field) != getattr(got[path], field):
                found[field].append(path)
    found["surplus"] = [path for path in got if path not in wanted]
    return {kind: sorted(paths) for kind, paths in found.items() if paths}
