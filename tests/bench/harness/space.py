"""A space of our own: private mounts and private process ids.

Whatever a bench mounts or starts is gone when it ends, also when it is killed: the kernel ends every
process of the space with its first one, and the mounts go with the last. It also makes counting easy:
every process in the space but the first belongs to the tool that is being measured."""
import ctypes
import os
import signal
import sys

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID = 0x00020000, 0x10000000, 0x20000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REC, MS_PRIVATE = 2, 4, 8, 16384, 1 << 18
PR_SET_PDEATHSIG = 1

libc = ctypes.CDLL(None, use_errno=True)


def must(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot {what}: {os.strerror(number)}")


def unshare(flags, what):
    must(libc.unshare(flags), what)


def mount(source, target, kind, flags, what):
    must(libc.mount(source, target, kind, ctypes.c_ulong(flags), None), what)


def become_root_of_a_user_namespace():
    uid, gid = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER, "make a user namespace (run as root instead)")
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


def first_process(main):
    """The child: mounts of its own, and no life without its parent."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()  # so that the parent alone hears the terminal, and passes on what it hears
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    unshare(CLONE_NEWNS, "make a mount namespace")
    mount(b"none", b"/", None, MS_REC | MS_PRIVATE, "make the mounts private")
    mount(b"proc", b"/proc", b"proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mount proc")
    return main()


def run_in_own_space(main):
    """Runs main() in the space and returns its exit code. Ctrl-C and SIGTERM reach main() as
    KeyboardInterrupt and SystemExit."""
    sys.stdout.flush()
    sys.stderr.flush()
    if os.geteuid() != 0:
        become_root_of_a_user_namespace()
    unshare(CLONE_NEWPID, "make a process namespace")
    child = os.fork()
    if child == 0:
        code = 3
        try:
            code = first_process(main)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 3
        except KeyboardInterrupt:
            code = 130
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: os.kill(child, number))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
