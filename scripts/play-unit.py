#!/usr/bin/python3
"""Runs a command under the restrictions of a systemd unit, where no systemd runs as process 1.

    play-unit.py UNIT --state FOLDER [--visible PATH]... [--uid N] -- COMMAND ARGUMENT...

Takes the [Service] section as it stands, and gives the command what systemd would give it: mounts, capabilities, user
namespace, limits and system call filters (by libseccomp, from the sets that this systemd names). It becomes the command:
signals and the exit code are the command's. Every directive must be known here: either it is played, or it stands in
NOT_PLAYED with the reason; an unknown one is an error, so that nobody takes for proved what wasn't.

Needs root, and Linux 5.12 or later. For tests: a host under systemd uses the unit itself.
"""
import argparse
import ctypes
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys

libc = ctypes.CDLL(None, use_errno=True)
seccomp = ctypes.CDLL("libseccomp.so.2", use_errno=True)

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 8, 4096, 16384, 1 << 18
CAPABILITIES = {"CAP_NET_BIND_SERVICE": 10}
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}

NOT_PLAYED = {
    "Type": "how systemd learns that the service runs", "Restart": "the manager's", "RestartSec": "the manager's",
    "ExecReload": "the manager's", "TimeoutStopSec": "the manager's", "User": "the uid of --uid", "Group": "the uid of --uid",
    "StateDirectoryMode": "the caller makes the folder", "StateDirectory": "the folder of --state",
    "DevicePolicy": "needs a control group; the devices are not there either", "RemoveIPC": "the manager's, at the end",
    "KeyringMode": "the filter has no keyring calls", "ProtectClock": "the filter has no clock calls, and no capability is there",
    "ProtectHostname": "no capability is there to set it", "ProtectKernelLogs": "no capability, no /dev/kmsg",
    "ProtectKernelModules": "no capability, no such calls", "TasksMax": "needs a control group", "OOMScoreAdjust": "the manager's",
    "IPAddressDeny": "needs a control group; the hosts' nftables rules are tried instead", "IPAddressAllow": "as above",
    "ExecStart": "compared with the command",
}


def check(result, what):
    if result != 0 and result != -0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def read_unit(path):
    """The directives of [Service]: name to list of values; an empty value forgets the ones before it."""
    section, directives = "", {}
    for line in open(path, encoding="utf-8"):
        line = line.strip()
        if not line or line[0] in "#;":
            continue
        if line.startswith("["):
            section = line
        elif section == "[Service]":
            name, _, value = line.partition("=")
            directives.setdefault(name, [])
            if value:
                directives[name].append(value)
            else:
                directives[name] = []
    return directives


class Unit:
    def __init__(self, path):
        self.directives = read_unit(path)
        self.known = set(NOT_PLAYED)

    def last(self, name, default=""):
        self.known.add(name)
        values = self.directives.get(name, [])
        return values[-1] if values else default

    def words(self, name):
        self.known.add(name)
        return [word for value in self.directives.get(name, []) for word in value.split()]

    def values(self, name):
        self.known.add(name)
        return self.directives.get(name, [])

    def yes(self, name):
        return self.last(name) in ("yes", "true", "1", "on")

    def refuse_unknown(self):
        unknown = set(self.directives) - self.known
        if unknown:
            sys.exit(f"play-unit: these directives are neither played nor explained: {', '.join(sorted(unknown))}")


# Mounts


def mount(source, target, kind=None, flags=0, data=None):
    encode = lambda text: text.encode() if text is not None else None
    check(libc.mount(encode(source), encode(target), encode(kind), ctypes.c_ulong(flags), encode(data)), f"mount {target}")


class MountAttributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns")]


def set_read_only(path, read_only, recursive):
    attributes = MountAttributes(set=1 if read_only else 0, clear=0 if read_only else 1)
    flags = 0x8000 if recursive else 0
    check(libc.syscall(442, -100, path.encode(), flags, ctypes.byref(attributes), ctypes.c_size_t(ctypes.sizeof(attributes))), f"mount_setattr {path}")


def cover(folder, mode, visible):
    """Puts an empty folder over one, in which only the visible paths below it are still there."""
    if not os.path.isdir(folder):
        return
    handles = [(path, os.open(path, os.O_PATH)) for path in visible if path == folder or path.startswith(folder + "/")]
    mount("tmpfs", folder, "tmpfs", MS_NOSUID | MS_NODEV, f"mode={mode if not handles else '0755' if mode == '0000' else mode}")
    for path, handle in handles:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            os.makedirs(path, mode=0o755, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
            open(path, "a").close()
        mount(f"/proc/self/fd/{handle}", path, None, MS_BIND)
        os.close(handle)


def private_devices():
    names = ["null", "zero", "full", "random", "urandom"]
    handles = [(name, os.open(f"/dev/{name}", os.O_PATH)) for name in names]
    mount("tmpfs", "/dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=0755")
    for name, handle in handles:
        open(f"/dev/{name}", "w").close()
        mount(f"/proc/self/fd/{handle}", f"/dev/{name}", None, MS_BIND)
        os.close(handle)
    os.symlink("/proc/self/fd", "/dev/fd")
    os.mkdir("/dev/shm", 0o1777)


def mounts(unit, state, visible):
    check(libc.unshare(CLONE_NEWNS), "unshare")
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    visible = visible + [state]
    if unit.yes("ProtectHome"):
        for folder in ("/home", "/root", "/run/user"):
            cover(folder, "0000", visible)
    if unit.yes("PrivateTmp"):
        for folder in ("/tmp", "/var/tmp"):
            cover(folder, "1777", visible)
    if unit.yes("PrivateDevices"):
        private_devices()
    mount(state, state, None, MS_BIND)
    if unit.last("ProtectSystem") == "strict":
        set_read_only("/", True, recursive=True)
        for path in [state] + [folder for folder in ("/tmp", "/var/tmp") if os.path.isdir(folder) and unit.yes("PrivateTmp")]:
            set_read_only(path, False, recursive=False)
    # Read-only already by the line above: control groups, /sys, and what of /proc isn't about processes.
    unit.yes("ProtectControlGroups"), unit.yes("ProtectKernelTunables")
    options = []
    if unit.last("ProtectProc") == "invisible":
        options.append("hidepid=invisible")
    if unit.last("ProcSubset") == "pid":
        options.append("subset=pid")
    if options:
        mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, ",".join(options))


# Identity


def private_users(uid):
    """A user namespace with root and the service's user only. Its map is written from outside."""
    reading, writing = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        os.close(writing)
        os.read(reading, 1)
        for name in ("uid_map", "gid_map"):
            with open(f"/proc/{parent}/{name}", "w", encoding="ascii") as file:
                file.write(f"0 0 1\n{uid} {uid} 1\n")
        os._exit(0)
    os.close(reading)
    check(libc.unshare(CLONE_NEWUSER), "unshare user")
    os.write(writing, b"x")
    os.close(writing)
    if os.waitpid(child, 0)[1] != 0:
        sys.exit("play-unit: the user namespace's map can't be written")


class CapabilityHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class CapabilityData(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


def capabilities_of(unit, name):
    return [CAPABILITIES[word] for word in unit.words(name)]


def become(uid, bounding, ambient):
    last = int(open("/proc/sys/kernel/cap_last_cap", encoding="ascii").read()) if os.path.exists("/proc/sys/kernel/cap_last_cap") else 40
    for capability in range(last + 1):
        if capability not in bounding:
            check(libc.prctl(24, capability, 0, 0, 0), "PR_CAPBSET_DROP")
    check(libc.prctl(8, 1, 0, 0, 0), "PR_SET_KEEPCAPS")
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    bits = sum(1 << capability for capability in ambient)
    header = CapabilityHeader(0x20080522, 0)
    data = (CapabilityData * 2)(CapabilityData(bits, bits, bits), CapabilityData(0, 0, 0))
    check(libc.capset(ctypes.byref(header), data), "capset")
    for capability in ambient:
        check(libc.prctl(47, 2, capability, 0, 0), "PR_CAP_AMBIENT_RAISE")


# System calls


class Comparison(ctypes.Structure):
    _fields_ = [("argument", ctypes.c_uint), ("operator", ctypes.c_int), ("first", ctypes.c_uint64), ("second", ctypes.c_uint64)]


NE, GT, EQ, MASKED_EQ = 1, 6, 4, 7
ALLOW = 0x7FFF0000
EPERM, EAFNOSUPPORT, ENOSYS = 1, 97, 38
seccomp.seccomp_init.restype = ctypes.c_void_p
seccomp.seccomp_init.argtypes = [ctypes.c_uint32]
seccomp.seccomp_load.argtypes = [ctypes.c_void_p]
seccomp.seccomp_rule_add_array.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(Comparison)]
seccomp.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]


def failing(error):
    return 0x00050000 | error


def number(name):
    result = seccomp.seccomp_syscall_resolve_name(name.encode())
    return result if result >= 0 else None


class Filter:
    def __init__(self, default):
        self.context = seccomp.seccomp_init(default)

    def add(self, action, call, *comparisons):
        resolved = number(call)
        if resolved is None:
            return
        array = (Comparison * max(1, len(comparisons)))(*[Comparison(*entry) for entry in comparisons])
        result = seccomp.seccomp_rule_add_array(self.context, action, resolved, len(comparisons), array)
        if result != 0:
            sys.exit(f"play-unit: libseccomp refuses a rule for {call}: {result}")

    def load(self):
        if seccomp.seccomp_load(self.context) != 0:
            sys.exit("play-unit: the kernel refuses the filter")


def expand(name, sets):
    """The calls of a set of systemd's, with the sets in it."""
    if not name.startswith("@"):
        return {name}
    if name not in sets:
        text = subprocess.run(["systemd-analyze", "syscall-filter", name], check=True, stdout=subprocess.PIPE, text=True).stdout
        words = [line.strip() for line in text.splitlines()[1:]]
        sets[name] = [word for word in words if word and not word.startswith("#")]
    return set().union(*[expand(word, sets) for word in sets[name]])


def allowed_calls(unit):
    """What the lines of SystemCallFilter= leave: the first one allows, those with a tilde take away again (systemd.exec(5))."""
    sets = {}
    calls = expand("@default", sets) | {"execve", "exit", "exit_group", "getrlimit", "rt_sigreturn", "sigreturn"}
    lines = unit.values("SystemCallFilter")
    if not lines or lines[0].startswith("~"):
        sys.exit("play-unit: the unit's first SystemCallFilter= must be a list of what is allowed")
    for line in lines:
        words = set().union(*[expand(word, sets) for word in line.lstrip("~").split()])
        calls = calls - words if line.startswith("~") else calls | words
    return calls


def filters(unit):
    """All filters of the unit, made before anything is given up: they need programs and files."""
    if unit.last("SystemCallErrorNumber") != "EPERM":
        sys.exit("play-unit: SystemCallErrorNumber= other than EPERM isn't known")
    if unit.last("SystemCallArchitectures") != "native":
        sys.exit("play-unit: SystemCallArchitectures= other than native isn't known")
    result = []
    narrow = Filter(ALLOW)
    if unit.yes("MemoryDenyWriteExecute"):
        narrow.add(failing(EPERM), "mmap", (2, MASKED_EQ, 6, 6))
        narrow.add(failing(EPERM), "mprotect", (2, MASKED_EQ, 4, 4))
        narrow.add(failing(EPERM), "pkey_mprotect", (2, MASKED_EQ, 4, 4))
        narrow.add(failing(EPERM), "shmat", (2, MASKED_EQ, 0o100000, 0o100000))
    if unit.yes("RestrictNamespaces"):
        for flag in (0x00000080, 0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
            narrow.add(failing(EPERM), "clone", (0, MASKED_EQ, flag, flag))
            narrow.add(failing(EPERM), "unshare", (0, MASKED_EQ, flag, flag))
        narrow.add(failing(EPERM), "setns")
        # Its flags are in memory, where a filter can't look: libraries fall back to clone.
        narrow.add(failing(ENOSYS), "clone3")
    if unit.yes("LockPersonality"):
        narrow.add(failing(EPERM), "personality", (0, NE, 0, 0))
    if unit.yes("RestrictRealtime"):
        for policy in (1, 2, 6):
            narrow.add(failing(EPERM), "sched_setscheduler", (1, EQ, policy, 0))
    if unit.yes("RestrictSUIDSGID"):
        for call, argument in (("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("mkdir", 1), ("mkdirat", 2), ("mknod", 1), ("creat", 1)):
            for bit in (0o4000, 0o2000):
                narrow.add(failing(EPERM), call, (argument, MASKED_EQ, bit, bit))
        for call, flags in (("open", 1), ("openat", 2)):
            for bit in (0o4000, 0o2000):
                narrow.add(failing(EPERM), call, (flags, MASKED_EQ, os.O_CREAT, os.O_CREAT), (flags + 1, MASKED_EQ, bit, bit))
    families = {FAMILIES[word] for word in unit.words("RestrictAddressFamilies")}
    for family in set(range(64)) - families:
        narrow.add(failing(EAFNOSUPPORT), "socket", (0, EQ, family, 0))
    narrow.add(failing(EAFNOSUPPORT), "socket", (0, GT, 63, 0))
    result.append(narrow)
    wide = Filter(failing(EPERM))
    for call in sorted(allowed_calls(unit)):
        wide.add(ALLOW, call)
    # Loading a filter is a call of its own that this one may no longer allow: hence last.
    result.append(wide)
    return result


def libraries(program):
    """The folders of the libraries that a program loads: they may lie where the unit would hide them."""
    text = subprocess.run(["ldd", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False).stdout
    paths = [line.split("=>")[1].split()[0] for line in text.splitlines() if "=> /" in line]
    return sorted({os.path.dirname(os.path.realpath(path)) for path in paths} | {os.path.dirname(path) for path in paths})


def compare_command(unit, command):
    """The command must be the unit's own, with other paths only."""
    wanted = unit.last("ExecStart").split()
    if [word for word in wanted if not word.startswith("/")] != [word for word in command if not word.startswith("/")] or len(wanted) != len(command):
        sys.exit(f"play-unit: the unit starts “{' '.join(wanted)}”, not “{' '.join(command)}”")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("unit")
    parser.add_argument("--state", required=True)
    parser.add_argument("--visible", action="append", default=[])
    parser.add_argument("--uid", type=int, default=64077)
    parser.add_argument("--other-command", action="store_true", help="run something else than the unit's command: for trying the restrictions")
    mine, command = sys.argv[1:], []
    if "--" in mine:
        mine, command = mine[: mine.index("--")], mine[mine.index("--") + 1 :]
    options = parser.parse_args(mine)
    program = shutil.which(command[0]) if command else None
    if program is None:
        sys.exit("play-unit: no such command")
    unit = Unit(options.unit)
    if not options.other_command:
        compare_command(unit, command)
    limits = [(name, unit.last(f"Limit{name}")) for name in ("NOFILE", "CORE")]
    umask = int(unit.last("UMask", "0022"), 8)
    bounding, ambient = capabilities_of(unit, "CapabilityBoundingSet"), capabilities_of(unit, "AmbientCapabilities")
    own_users = unit.yes("PrivateUsers")
    no_new_privileges = unit.yes("NoNewPrivileges")
    loaded = filters(unit)
    visible = [os.path.realpath(path) for path in options.visible] + libraries(program) + [os.path.dirname(os.path.realpath(program))]
    mounts(unit, os.path.realpath(options.state), visible)
    unit.refuse_unknown()
    for name, value in limits:
        if value:
            kind = getattr(resource, f"RLIMIT_{name}")
            # A container may have taken away the right to raise a limit.
            hard = resource.getrlimit(kind)[1]
            limit = int(value) if hard == resource.RLIM_INFINITY else min(int(value), hard)
            resource.setrlimit(kind, (limit, limit))
    os.umask(umask)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.chdir("/")
    if own_users:
        private_users(options.uid)
    become(options.uid, bounding, ambient)
    if no_new_privileges:
        check(libc.prctl(38, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS")
    for entry in loaded:
        entry.load()
    os.execv(program, [command[0]] + command[1:])


main()
