"""The fence around a worker: what somebody's code can reach, by the kernel's own rules (Linux).

A worker puts it on itself, after the fork and before it runs anything of the file; nothing can
take it off again. Two walls:

- Landlock: files. The worker reads Python's installation and its private copy of the file; it
  reads and writes its own folder; nothing else can be opened, listed, made or removed. From ABI 4
  no TCP, from ABI 6 no signals to other processes and no abstract sockets of theirs.
- seccomp: system calls that the first wall does not know. No sockets, programs, or memory of
  other processes; no mounts, namespaces, keys, io_uring; no modes, owners or times of files; no
  shared memory that outlives its process. Once it is sealed, no processes either, nor signals
  where the first wall does not know them. Threads are allowed, and signals to oneself.

Both work without privileges and bind root as well. What the kernel lacks is said in the report.
The limits on time, memory and output (`server`) stand with and without a fence. A file's name,
size and times can be asked for outside of the fence too (stat), its content cannot.

Kernel documentation: Documentation/userspace-api/landlock.rst and seccomp_filter.rst.
"""

from __future__ import annotations

import ctypes
import errno
import os
import site
import sys
import sysconfig
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REQUIRE, AUTO, OFF = "require", "auto", "off"
MODES = (AUTO, REQUIRE, OFF)

NONE = "none"

# Numbers of linux/landlock.h. The system calls have the same numbers on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_GET_VERSION, _PATH_BENEATH = 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = (1 << bit for bit in range(4))
_MAKE_CHAR, _MAKE_SOCK, _MAKE_BLOCK = 1 << 6, 1 << 9, 1 << 11
_TRUNCATE, _IOCTL_DEVICE = 1 << 14, 1 << 15
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEVICE
_FILES_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_NETWORK, _SCOPE = 3, 3  # bind and connect; abstract sockets and signals
_NETWORK_ABI, _SCOPE_ABI = 4, 6
_NO_NEW_PRIVILEGES = 38

_CLONE_THREAD = 0x00010000

REFUSED = tuple(
    """
    socket connect bind listen accept accept4
    execve execveat
    ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp
    pidfd_open pidfd_getfd pidfd_send_signal rt_sigqueueinfo rt_tgsigqueueinfo
    chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime utimes futimesat utimensat
    setxattr lsetxattr fsetxattr setxattrat removexattr lremovexattr fremovexattr removexattrat
    file_setattr inotify_init inotify_init1 inotify_add_watch fanotify_init fanotify_mark
    mount umount2 move_mount fsopen fsmount fsconfig fspick open_tree mount_setattr
    pivot_root chroot unshare setns name_to_handle_at open_by_handle_at quotactl quotactl_fd
    io_uring_setup io_uring_enter io_uring_register
    add_key request_key keyctl
    memfd_create memfd_secret shmget shmat shmctl semget semop semtimedop semctl
    msgget msgsnd msgrcv msgctl mq_open mq_unlink
    bpf perf_event_open userfaultfd ioprio_set migrate_pages move_pages
    init_module finit_module delete_module kexec_load kexec_file_load reboot swapon swapoff
    sethostname setdomainname settimeofday clock_settime clock_adjtime adjtimex acct iopl ioperm
    syslog vhangup sync personality
    """.split()
)
"""System calls that fail with EPERM."""

ONLY_ITSELF = {
    "prlimit64": 0,
    "sched_setaffinity": 0,
    "sched_setscheduler": 0,
    "sched_setparam": 0,
    "sched_setattr": 0,
    "setpriority": 1,
}
"""System calls that a process may make of itself: the argument that must be 0."""


@dataclass(frozen=True)
class Fence:
    """The walls that this kernel has: Landlock's ABI (0: none) and the filters of system calls.

    `seal` is the filter that refuses to start processes, `lacks` says what is missing, and
    `readable` what a worker may read besides its own.
    """

    landlock: int = 0
    seccomp: Any = None
    seal: Any = None
    lacks: tuple[str, ...] = ()
    readable: tuple[str, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        walls = [f"Landlock {self.landlock}"] if self.landlock else []
        walls += ["seccomp"] if self.seccomp is not None else []
        lacks = f" ({'; '.join(self.lacks)})" if self.lacks else ""
        return (", ".join(walls) or NONE) + lacks


def build_fence(mode: str) -> Fence:
    """Return what there is of a fence, to be put on by any number of workers.

    Raises OSError if a fence is required and a wall is missing.
    """
    if mode == OFF:
        return Fence()
    abi, no_landlock = _landlock_abi()
    if abi and not _stands(Fence(abi)):
        abi, no_landlock = 0, "no Landlock: the kernel refused it"
    seccomp, closed, no_seccomp = _filters(abi)
    if seccomp is not None and not _stands(Fence(seccomp=seccomp)):
        seccomp, closed, no_seccomp = None, None, "no seccomp: the kernel refused it"
    lacks = tuple(filter(None, (no_landlock, no_seccomp)))
    if mode == REQUIRE and lacks:
        raise OSError(f"fence: got require, expected both walls, and there is {'; '.join(lacks)}")
    return Fence(abi, seccomp, closed, lacks, tuple(_installation()))


def _stands(fence: Fence) -> bool:
    """Put a fence on a fork of this process, and say whether the kernel took it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python's and JAX's, of threads, which are not used there
        child = os.fork()
    if child == 0:
        try:
            put_on(fence, os.devnull, os.devnull)
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return status == 0


@dataclass
class _Standing:
    """The fence that this process stands behind, what of it is its own, and who is sealed."""

    fence: Fence = Fence()
    owner: int = 0
    handles: tuple[int, ...] = ()
    sealed: int = 0


_standing = _Standing()


def put_on(fence: Fence, folder: str, copy: str, handles: tuple[int, ...] = ()) -> None:
    """Put the fence on this process, for good: it may write to `folder` and read `copy`.

    It may still start processes, which are behind the fence too, until it is sealed. The `handles`
    are its own: a process below it loses them when it is sealed. Raises OSError if the kernel
    refuses.
    """
    global _standing
    _standing = _Standing(fence, os.getpid(), handles)
    if not fence.landlock and fence.seccomp is None:
        return
    _call("prctl", _NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    if fence.landlock:
        _restrict_files(fence.landlock, [*fence.readable, copy], folder)
    if fence.seccomp is not None:
        fence.seccomp.load()


def seal() -> None:
    """Close the fence that this process stands behind, if any: from here on it starts no process.

    It cannot signal those that were there before either. Called right before the first line of
    somebody's code is run. Raises OSError if the kernel refuses.
    """
    me, fence = os.getpid(), _standing.fence
    if _standing.sealed == me:
        return
    if _standing.owner != me:
        for handle in _standing.handles:
            os.close(handle)
    if fence.landlock >= _SCOPE_ABI:
        _restrict(_Ruleset(scope=_SCOPE), [])
    if fence.seal is not None:
        fence.seal.load()
    _standing.sealed = me


# Landlock.


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("files", ctypes.c_uint64),
        ("network", ctypes.c_uint64),
        ("scope", ctypes.c_uint64),
    )


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def _landlock_abi() -> tuple[int, str]:
    """Return the ABI of the kernel's Landlock, or 0 and why there is none."""
    if sys.platform != "linux":
        return 0, "no Landlock: it is Linux's"
    try:
        return _call("syscall", _CREATE_RULESET, None, 0, _GET_VERSION), ""
    except OSError as fault:
        why = {
            errno.ENOSYS: "this kernel has none",
            errno.EOPNOTSUPP: "it is switched off in this kernel",
            errno.EPERM: "this container refuses it",
        }.get(fault.errno or 0, fault.strerror)
        return 0, f"no Landlock: {why}"


def _restrict_files(abi: int, readable: Iterable[str], folder: str) -> None:
    handled = _FILES_BY_ABI[max(known for known in _FILES_BY_ABI if known <= abi)]
    network = _NETWORK if abi >= _NETWORK_ABI else 0
    scope = _SCOPE if abi >= _SCOPE_ABI else 0
    own = handled & ~(_EXECUTE | _MAKE_CHAR | _MAKE_BLOCK | _MAKE_SOCK | _IOCTL_DEVICE)
    allowed = [(path, _READ_FILE | _READ_DIR) for path in readable]
    allowed += [(folder, own), (os.devnull, _READ_FILE | _WRITE_FILE)]
    _restrict(_Ruleset(handled, network, scope), allowed)


def _restrict(handled: _Ruleset, allowed: Iterable[tuple[str, int]]) -> None:
    """Give up what a ruleset handles, but for the rights on these paths."""
    size = ctypes.sizeof(handled)
    ruleset = _call("syscall", _CREATE_RULESET, ctypes.byref(handled), size, 0)
    try:
        for path, rights in allowed:
            _allow(ruleset, path, rights)
        _call("syscall", _RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    """Allow these rights on a path and all below it; a path that is not there needs none."""
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        rights = rights if os.path.isdir(path) else rights & _FILE_RIGHTS
        rule = _PathBeneath(rights, parent)
        _call("syscall", _ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(parent)


def _call(function: str, *arguments: Any) -> int:
    """Call a function of the C library; raise OSError if it fails."""
    result: int = getattr(ctypes.CDLL(None, use_errno=True), function)(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _installation() -> Iterator[str]:
    """Yield what Python needs to run and to import what is installed, and our own packages.

    Not what the user put on PYTHONPATH: that may be the folder with everybody's homework.
    """
    home = Path(__file__).resolve().parents[3]
    users = {os.path.realpath(p) for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p}
    paths = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    paths += [*site.getsitepackages(), site.getusersitepackages(), f"{sys.base_prefix}/lib"]
    paths += [p for p in sys.path if p and os.path.realpath(p) not in {*users, str(home)}]
    paths += [str(home / name) for name in ("manual", "autodiff", "verify", "backproof")]
    paths += ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache"]
    paths += ["/etc/localtime", "/usr/share/zoneinfo", "/dev/urandom", "/dev/random", "/dev/zero"]
    yield from dict.fromkeys(os.path.realpath(path) for path in paths if path)


# seccomp.


def _filters(abi: int) -> tuple[Any, Any, str]:
    """Return the filter of system calls and that of who is sealed; or None twice, and why."""
    if sys.platform != "linux":
        return None, None, "no seccomp: it is Linux's"
    try:
        import pyseccomp
    except (ImportError, RuntimeError, OSError):
        return None, None, "no seccomp: the library libseccomp was not found"
    refuse = pyseccomp.ERRNO(errno.EPERM)
    rules = pyseccomp.SyscallFilter(defaction=pyseccomp.ALLOW)
    for name in REFUSED:
        _refuse(rules, refuse, name)
    for name, place in ONLY_ITSELF.items():
        _refuse(rules, refuse, name, pyseccomp.Arg(place, pyseccomp.NE, 0))
    processes = pyseccomp.SyscallFilter(defaction=pyseccomp.ALLOW)
    # Without Landlock's scope a signal may go anywhere: somebody's code sends none, to nobody.
    signals = () if abi >= _SCOPE_ABI else ("kill", "tkill", "tgkill")
    for name in ("fork", "vfork", *signals):
        _refuse(processes, refuse, name)
    # A thread is a clone of this flag. The flags of clone3 cannot be seen from here: without it
    # the C library uses clone.
    is_process = pyseccomp.Arg(0, pyseccomp.MASKED_EQ, _CLONE_THREAD, 0)
    _refuse(processes, refuse, "clone", is_process)
    _refuse(processes, pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    return rules, processes, ""


def _refuse(rules: Any, action: int, name: str, *conditions: Any) -> None:
    """Add a rule; a system call that this architecture or library does not know needs none."""
    try:
        rules.add_rule(action, name, *conditions)
    except (OSError, ValueError, RuntimeError):
        return
