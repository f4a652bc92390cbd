# SPDX-License-Identifier: Apache-2.0
"""
measure.py - run one command and tell what it cost; a few facts about the machine.

A run's wall time ends when what it wrote is on the disk: each file below `out` is fsynced within the time.
CPU seconds and peak resident memory come from wait4() in a small launcher of our own: a child's peak starts at what
its parent holds when it forks, and the harness holds a lot (the floor is now the launcher's 9 MiB). `other_cpu_s` is what the rest of
the machine used meanwhile: a large one says that the figure is noise.
"""
import ctypes
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
MIB = 1 << 20
LAUNCHER = """
import json, os, sys, time
start = time.monotonic()
pid = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, u = os.wait4(pid, 0)
wall = time.monotonic() - start
os.write(int(sys.argv[1]), json.dumps([os.waitstatus_to_exitcode(status), wall, u.ru_utime + u.ru_stime, u.ru_maxrss]).encode())
"""


class Failed(Exception):
    pass


def busy_cpu_s():
    fields = [int(x) for x in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields
    return (user + nice + system + irq + softirq + steal) / TICK


def fsync_tree(path):
    path = Path(path)
    for p in [path, *path.rglob("*")] if path.is_dir() else [path]:
        if p.is_symlink() or not (p.is_file() or p.is_dir()):
            continue
        fd = os.open(p, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def tree_bytes(path):
    """Bytes on disk, so that sparse files cost what they hold."""
    path = Path(path)
    return sum(p.lstat().st_blocks * 512 for p in ([path, *path.rglob("*")] if path.is_dir() else [path]))


def remove(path):
    path = Path(path)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def warm(path):
    """Reads a file until it comes from memory (or memory is short); the speed of the last reading in MiB/s."""
    speed = 0.0
    for _ in range(3):
        start, done, buf = time.monotonic(), 0, bytearray(4 * MIB)
        with open(path, "rb", buffering=0) as f:
            while n := f.readinto(buf):
                done += n
        speed = done / MIB / max(1e-6, time.monotonic() - start)
        if speed > 1500:
            break
    return speed


def same(a, b):
    return subprocess.run(["cmp", "--", str(a), str(b)]).returncode == 0


def run(cmd, out, env=None, cwd=None, log=None, stdout=None):
    """Runs `cmd`, then makes everything below `out` durable; a dict of what it cost. Raises Failed."""
    cmd = [str(c) for c in cmd]
    errors = open(log, "ab") if log else subprocess.DEVNULL
    told, tell = os.pipe()
    try:
        if log:
            errors.write(f"\n$ {' '.join(cmd)}\n".encode())
            errors.flush()
        before = busy_cpu_s()
        proc = subprocess.Popen([sys.executable, "-SE", "-c", LAUNCHER, str(tell), *cmd], env={**os.environ, **(env or {})},
                                cwd=cwd, stdin=subprocess.DEVNULL, stdout=stdout or errors, stderr=errors, pass_fds=[tell])
        os.close(tell)
        tell = -1
        with open(told, closefd=False) as f:
            answer = f.read()
        proc.wait()
        code, wall, cpu, rss_kib = json.loads(answer) if answer else (127, 0, 0, 0)
        start = time.monotonic()
        if out is not None and code == 0:
            fsync_tree(out)
        sync = time.monotonic() - start
    finally:
        for fd in (told, tell):
            if fd >= 0:
                os.close(fd)
        if log:
            errors.close()
    if code != 0:
        raise Failed(f"exit code {code}: {' '.join(cmd)}" + (f" (see {log})" if log else ""))
    return {"wall_s": round(wall + sync, 3), "sync_s": round(sync, 3), "cpu_s": round(cpu, 3),
            "peak_rss_mib": round(rss_kib / 1024, 1),
            "other_cpu_s": round(max(0.0, busy_cpu_s() - before - cpu), 3)}


class Ballast:
    """
    Keeps memory full of page cache before each run, as on a machine that has been up for a while.

    A virtual machine with free page reporting gives free memory back to its host and pays 2-4 s for each GiB that it
    touches again: without this, a copy of 8 GiB took 4 s or 34 s, by luck (measured). The cache of a hole costs no
    disk, is clean, and is the first to go when a program needs memory.
    """
    LEAVE_MIB, LIMIT_S = 600, 60

    def __init__(self, folder):
        self.path, self.off, self.size = Path(folder) / "ballast", 0, 1 << 40
        with open(self.path, "wb") as f:
            f.truncate(self.size)
        self.fd = os.open(self.path, os.O_RDONLY)
        self.buf = bytearray(4 * MIB)

    @staticmethod
    def free_mib():
        meminfo = dict(s.split(":", 1) for s in Path("/proc/meminfo").read_text().splitlines())
        return int(meminfo["MemFree"].split()[0]) // 1024

    def fill(self):
        """One pass over what is free now; other programs that free memory all the time are not chased."""
        until = time.monotonic() + self.LIMIT_S
        for _ in range(max(0, (self.free_mib() - self.LEAVE_MIB) * MIB // len(self.buf))):
            if time.monotonic() > until:
                break
            os.preadv(self.fd, [self.buf], self.off)
            self.off = (self.off + len(self.buf)) % self.size

    def close(self):
        os.close(self.fd)
        self.path.unlink()


def first_line(*cmd):
    try:
        out = subprocess.run(cmd, capture_output=True, text=True)
        return (out.stdout or out.stderr).strip().split("\n")[0]
    except OSError:
        return None


def openssl_speed(name):
    """One core, 256 KiB at a time, MiB/s."""
    out = subprocess.run(["openssl", "speed", "-mr", "-seconds", "1", "-bytes", "262144", "-evp", name],
                         capture_output=True, text=True).stdout
    for line in out.splitlines():
        if line.startswith("+F:"):
            return round(float(line.split(":")[-1]) / MIB)
    return None


def compress_speed(sample, block):
    """zstd level 1 and LZ4 on one core over `sample` in blocks of `block` bytes: MiB/s and ratio."""
    found = {}
    try:
        zstd, lz4 = ctypes.CDLL("libzstd.so.1"), ctypes.CDLL("liblz4.so.1")
    except OSError:
        return found
    zstd.ZSTD_compress.restype = zstd.ZSTD_compressBound.restype = ctypes.c_size_t
    size_t = ctypes.c_size_t
    out = ctypes.create_string_buffer(zstd.ZSTD_compressBound(size_t(block)) + lz4.LZ4_compressBound(block))
    blocks = [sample[i:i + block] for i in range(0, len(sample), block)]
    calls = {
        "zstd1": lambda b: zstd.ZSTD_compress(out, size_t(len(out)), b, size_t(len(b)), 1),
        "lz4": lambda b: lz4.LZ4_compress_default(b, out, len(b), len(out)),
    }
    for name, call in calls.items():
        start = time.monotonic()
        stored = sum(call(b) for b in blocks)
        found[name] = {"mib_s": round(len(sample) / MIB / (time.monotonic() - start)),
                       "ratio": round(len(sample) / max(1, stored), 2)}
    return found


def disk_write_speed(folder, mib=1024):
    path, block = Path(folder) / "write-speed", os.urandom(4 * MIB)
    start = time.monotonic()
    with open(path, "wb", buffering=0) as f:
        for _ in range(mib // 4):
            f.write(block)
        os.fsync(f.fileno())
    speed = mib / (time.monotonic() - start)
    path.unlink()
    return round(speed)


def machine(folder, sample_from):
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = next((s.split(":", 1)[1].strip() for s in cpuinfo.splitlines() if s.startswith("model name")), "")
    meminfo = dict(s.split(":", 1) for s in Path("/proc/meminfo").read_text().splitlines())
    with open(sample_from, "rb") as f:
        f.seek(os.path.getsize(sample_from) // 3)
        sample = f.read(64 * MIB)
    return {
        "cpu": model, "cores": os.cpu_count(), "kernel": platform.release(),
        "memory_mib": int(meminfo["MemTotal"].split()[0]) // 1024, "load_before": os.getloadavg()[0],
        "one_core": {"sha256_mib_s": openssl_speed("sha256"), "aes256gcm_mib_s": openssl_speed("aes-256-gcm"),
                     "compress_256k": compress_speed(sample, 256 * 1024)},
        "read_cached_mib_s": round(warm(sample_from)), "write_fsync_mib_s": disk_write_speed(folder),
        "versions": {
            "restic": first_line("restic", "version"), "borg": first_line("borg", "--version"),
            "nbdcopy": first_line("nbdcopy", "--version"), "qemu-img": first_line("qemu-img", "--version"),
            "cp": first_line("cp", "--version"),
        },
    }
