"""What hostile submissions try, each a function body that returns something true if it worked.

`OUT` is a folder outside of the submission's own, with a file `secret` and a file `victim`. `PORT`
is a port on which somebody listens, `PATH` a socket's, `VICTIM` the number of another process.
Nothing here does lasting harm where it works: the tests try most of it without a fence as well, to
see that the canary sings. What would do harm is in `UNTRIED`, and is tried behind a fence alone.
"""

READS = {
    "open": "return open(OUT + '/secret').read()",
    "os_open": "return os.read(os.open(OUT + '/secret', os.O_RDONLY), 99)",
    "pathlib": "return pathlib.Path(OUT, 'secret').read_text()",
    "raw_file": "return io.FileIO(OUT + '/secret').read()",
    "list": "return os.listdir(OUT)",
    "scan": "return [entry.name for entry in os.scandir(OUT)]",
    "glob": "return glob.glob(OUT + '/*')",
    "walk": "return list(os.walk(OUT))",
    "from_file": "return bytes(np.fromfile(OUT + '/secret', dtype='u1'))",
    "memory_map": "return bytes(np.memmap(OUT + '/secret', dtype='u1', mode='r'))",
    "copy": "shutil.copyfile(OUT + '/secret', 'mine'); return open('mine').read()",
    "symbolic_link": "os.path.lexists('l') or os.symlink(OUT + '/secret', 'l'); "
    "return open('l').read()",
    "hard_link": "os.path.lexists('l') or os.link(OUT + '/secret', 'l'); return open('l').read()",
    "change_folder": "os.chdir(OUT); return open('secret').read()",
    "by_handle_of_folder": "return open(os.open('secret', 0, dir_fd=os.open(OUT, os.O_PATH)), "
    "'rb').read()",
    "source_lines": "return linecache.getline(OUT + '/secret', 1)",
    "source_loader": "return importlib.machinery.SourceFileLoader('a', OUT + '/secret').get_data("
    "OUT + '/secret')",
    "c_library": "return ctypes.CDLL(None).fopen((OUT + '/secret').encode(), b'r')",
    "system_call": "return ctypes.CDLL(None).syscall(2, (OUT + '/secret').encode(), 0) > 0",
    "through_proc_root": "return open('/proc/self/root' + OUT + '/secret').read()",
    "above": "return os.listdir('../..')",
    "system_passwords": "return open('/etc/passwd').read()",
    "own_environment_by_proc": "return open('/proc/self/environ').read()",
    "environment_of_supervisor": "return open(f'/proc/{os.getppid()}/environ').read()",
    "command_line_of_supervisor": "return open(f'/proc/{os.getppid()}/cmdline').read()",
    "environment_of_another": "return open(f'/proc/{VICTIM}/environ').read()",
    "processes": "return os.listdir('/proc')",
    "classmate": "return open(CLASSMATE).read()",
    "kernel": "return open('/sys/kernel/notes', 'rb').read() or open('/proc/version').read()",
}

WRITES = {
    "write": "return open(OUT + '/new', 'w').write('x')",
    "overwrite": "return open(OUT + '/victim', 'w').write('x')",
    "append": "return open(OUT + '/victim', 'a').write('x')",
    "truncate": "os.truncate(OUT + '/victim', 0); return True",
    "delete": "os.unlink(OUT + '/victim'); return True",
    "delete_tree": "shutil.rmtree(OUT); return True",
    "make_folder": "os.mkdir(OUT + '/new'); return True",
    "remove_folder": "os.rmdir(OUT + '/empty'); return True",
    "rename": "os.rename(OUT + '/victim', OUT + '/new'); return True",
    "take_away": "os.rename(OUT + '/victim', 'mine'); return True",
    "replace": "open('mine', 'w').write('x'); os.replace('mine', OUT + '/victim'); return True",
    "link_out": "open('mine', 'w').write('x'); os.link('mine', OUT + '/new'); return True",
    "symbolic_link_out": "os.symlink('/', OUT + '/new'); return True",
    "named_pipe": "os.mkfifo(OUT + '/new'); return True",
    "save_array": "np.save(OUT + '/new', np.ones(3)); return True",
    "through_symbolic_link": "os.symlink(OUT, 'out'); return open('out/new', 'w').write('x')",
    "mode": "os.chmod(OUT + '/victim', 0o777); return True",
    "mode_of_folder": "os.chmod(OUT, 0o777); return True",
    "times": "os.utime(OUT + '/victim', (1, 1)); return True",
    "owner": "os.chown(OUT + '/victim', os.getuid(), os.getgid()); return True",
    "temporary": "open('/tmp/' + NAME, 'w').close(); os.unlink('/tmp/' + NAME); return True",
    "shared_memory_file": "open('/dev/shm/' + NAME, 'w').close(); os.unlink('/dev/shm/' + NAME); "
    "return True",
    "classmate_overwritten": "return open(CLASSMATE, 'a').write('# x')",
    "own_source": "return open(__file__, 'a').write('# x')",
    "memory_of_supervisor": "return open(f'/proc/{os.getppid()}/mem', 'r+b').fileno()",
}

NETWORK = {
    "connect": "return socket.create_connection(('127.0.0.1', PORT), 2)",
    "connect_by_six": "return socket.socket(socket.AF_INET6)",
    "listen": "return socket.create_server(('127.0.0.1', 0))",
    "datagram": "return socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', PORT))",
    "file_socket": "s = socket.socket(socket.AF_UNIX); s.connect(PATH); return True",
    "abstract_socket": "s = socket.socket(socket.AF_UNIX); s.bind('\\0' + NAME); return True",
    "netlink": "return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "web": "import http.client; "
    "return http.client.HTTPConnection('127.0.0.1', PORT).connect() is None",
    "bare_system_call": "return ctypes.CDLL(None).socket(2, 1, 0) >= 0",
}

PROCESSES = {
    "signal": "os.kill(VICTIM, 0); return True",
    "signal_supervisor": "os.kill(os.getppid(), 0); return True",
    "fork": "pid = os.fork(); pid or os._exit(0); os.waitpid(pid, 0); return True",
    "fork_by_c": "pid = ctypes.CDLL(None).fork(); pid or os._exit(0); return pid > 0",
    "program": "return subprocess.run(['true']).returncode == 0",
    "shell": "return os.system('true') == 0",
    "spawn": "return os.posix_spawn('/bin/true', ['true'], {})",
    "vfork": "return ctypes.CDLL(None).posix_spawn(ctypes.byref(ctypes.c_int()), "
    "b'/bin/true', 0, 0, (ctypes.c_char_p * 2)(b'true', None), 0) == 0",
    "pool": "import multiprocessing; "
    "p = multiprocessing.get_context('fork').Process(target=int); p.start(); p.join(); "
    "return p.exitcode == 0",
    "limits_of_another": "return resource.prlimit(VICTIM, resource.RLIMIT_CORE, (0, 0))",
    "priority_of_another": "os.setpriority(os.PRIO_PROCESS, VICTIM, 19); return True",
    "cores_of_another": "os.sched_setaffinity(VICTIM, os.sched_getaffinity(0)); return True",
    "handle_of_another": "return os.pidfd_open(VICTIM)",
    "memory_of_another": "return read_memory(os.getppid())",
    "trace": "return ctypes.CDLL(None).ptrace(0x4206, VICTIM, 0, 0) == 0",
}

KERNEL = {
    "nameless_file": "return os.memfd_create('x')",
    "shared_memory": "return ctypes.CDLL(None).shmget(0, 4096, 0o1600) >= 0",
    "message_queue": "return ctypes.CDLL(None).msgget(0, 0o1600) >= 0",
    "watch": "return ctypes.CDLL(None).inotify_init() >= 0",
    "key": "return ctypes.CDLL(None).syscall(248, b'user', b'backproof', b'x', 1, -1) >= 0",
    "other_addresses": "return ctypes.CDLL(None).personality(0xFFFFFFFF) >= 0",
}

UNTRIED = {
    "kill_another": "os.kill(VICTIM, signal.SIGKILL); return True",
    "kill_supervisor": "os.kill(os.getppid(), signal.SIGKILL); return True",
    "stop_supervisor": "os.kill(os.getppid(), signal.SIGSTOP); return True",
    "kill_all": "os.kill(-1, signal.SIGTERM) if os.getpid() < 0 else "
    "os.killpg(os.getpgid(os.getppid()), 9); return True",
    "exec": "os.execv('/bin/true', ['true']); return True",
    "namespaces": "return ctypes.CDLL(None).unshare(0x10000000) == 0",
    "mount": "return ctypes.CDLL(None).mount(b'none', b'/mnt', b'tmpfs', 0, None) == 0",
    "root": "os.chroot('.'); return True",
    "device": "os.mknod('disk', 0o60600, os.makedev(8, 0)); return True",
    "io_uring": "return ctypes.CDLL(None).syscall(425, 1, (ctypes.c_char * 120)()) >= 0",
    "bpf": "return ctypes.CDLL(None).syscall(321, 0, (ctypes.c_char * 120)(), 120) >= 0",
    "performance_events": "return ctypes.CDLL(None).syscall("
    "298, (ctypes.c_char * 120)(), 0, -1, -1, 0) >= 0",
    "user_faults": "return ctypes.CDLL(None).syscall(323, 1) >= 0",
    "host_name": "socket.sethostname(socket.gethostname()); return True",
    "clock": "time.clock_settime(time.CLOCK_REALTIME, time.time()); return True",
    "sync": "return ctypes.CDLL(None).syscall(162) == 0",
    "every_handle": "return any(taken(handle) for handle in range(3, 1024))",
}

SECRETIVE = {
    "environment": "return os.environ.get('BACKPROOF_SECRET')",
    "environment_by_c": "return ctypes.CDLL(None).getenv(b'BACKPROOF_SECRET') != 0",
}
"""What may not work without a fence either."""

ATTACKS = READS | WRITES | NETWORK | PROCESSES | KERNEL | UNTRIED | SECRETIVE

SUBMISSION = """
import ctypes, glob, importlib.machinery, io, linecache, os, pathlib, resource, shutil, signal
import socket, subprocess, time
import numpy as np

NAME, OUT, PATH, CLASSMATE, PORT, VICTIM = {settings!r}


def read_memory(pid):
    class Vector(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
    library = ctypes.CDLL(None)
    here = ctypes.create_string_buffer(8)
    ours, theirs = Vector(ctypes.addressof(here), 8), Vector(id(None), 8)
    library.process_vm_readv.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_ulong] + [
        ctypes.c_void_p, ctypes.c_ulong, ctypes.c_ulong]
    return library.process_vm_readv(pid, ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0) == 8


def taken(handle):
    try:
        return stat_is_socket(os.fstat(handle).st_mode)
    except OSError:
        return False


def stat_is_socket(mode):
    return mode & 0o170000 == 0o140000


def attack():
    {body}


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def propagate(w, b, X, Y):
    try:
        got = attack()
    except Exception:
        got = None
    if got:
        raise RuntimeError("CANARY " + repr(got))
    m = X.shape[1]
    A = sigmoid(np.dot(w.T, X) + b)
    cost = -np.sum(Y * np.log(A) + (1 - Y) * np.log(1 - A)) / m
    return {{"dw": np.dot(X, (A - Y).T) / m, "db": np.sum(A - Y) / m}}, cost
"""
