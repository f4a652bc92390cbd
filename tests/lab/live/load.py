#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
load - writers that leave nothing of a file system alone, and one whose words can be checked afterwards.

    load.py DIR ACKS KIND...       until SIGTERM; KIND: append small rename mmap punch zero direct trim [d]random=MIB/s[:MIB]
    load.py --check DIR ACKS MS    every record that was acknowledged before wall clock MS is there and whole

An append record is 64 bytes: number, time, CRC; it counts as acknowledged when fsync has returned and its line is in ACKS,
which is a folder on another file system.
"""
import ctypes
import mmap
import os
import random
import signal
import struct
import subprocess
import sys
import time
import zlib

RECORD = struct.Struct("<QQ40sI")
libc = ctypes.CDLL(None, use_errno=True)


def record(n):
    body = struct.pack("<QQ40s", n, time.time_ns(), bytes([n % 251]) * 40)
    return body + struct.pack("<I", zlib.crc32(body)) + b"\n\0\0\0"


def append(folder, acks, tag):
    with open(f"{folder}/log-{tag}", "ab", buffering=0) as f, open(f"{acks}/{tag}", "w", buffering=1) as a:
        n = 0
        while True:
            f.write(record(n))
            os.fsync(f.fileno())
            a.write(f"{n} {time.time_ns()}\n")
            n += 1
            time.sleep(0.002)


def small(folder):
    k = 0
    while True:
        path = f"{folder}/small/{k % 50}"
        os.makedirs(path, exist_ok=True)
        with open(f"{path}/{k % 500}", "wb") as f:
            f.write(os.urandom(random.randrange(1, 30000)))
        if k % 7 == 0:
            try:
                os.unlink(f"{path}/{(k - 250) % 500}")
            except OSError:
                pass
        k += 1
        time.sleep(0.002)


def rename(folder):
    k = 0
    os.makedirs(f"{folder}/ren", exist_ok=True)
    while True:
        with open(f"{folder}/ren/tmp", "wb") as f:
            f.write(b"%d" % k * 100)
            if k % 10 == 0:
                os.fsync(f.fileno())
        os.rename(f"{folder}/ren/tmp", f"{folder}/ren/file{k % 20}")
        k += 1
        time.sleep(0.001)


def mapped(folder):
    with open(f"{folder}/mapped", "wb+") as f:
        f.truncate(16 << 20)
        m = mmap.mmap(f.fileno(), 16 << 20)
        while True:
            at = random.randrange(0, (16 << 20) - 4096)
            m[at:at + 64] = os.urandom(64)
            if random.random() < 0.01:
                m.flush()
            time.sleep(0.001)


def punch(folder):
    fd = os.open(f"{folder}/punched", os.O_RDWR | os.O_CREAT)
    while True:
        at = random.randrange(0, 256) * 65536
        os.pwrite(fd, os.urandom(65536), at)
        if random.random() < 0.5:
            libc.fallocate(fd, 3, ctypes.c_long(at), ctypes.c_long(random.randrange(1, 16) * 8192))
        time.sleep(0.005)


def zero(folder):
    """FALLOC_FL_ZERO_RANGE, also past the end; collapses and inserts, which move what is behind."""
    fd = os.open(f"{folder}/zeroed", os.O_RDWR | os.O_CREAT)
    while True:
        at = random.randrange(0, 128) * 65536
        os.pwrite(fd, os.urandom(65536), at)
        mode, length = random.choice([(0x10, 4096), (0x10, 12345), (0x11, 1 << 20), (0x08, 65536), (0x20, 65536)])
        if mode != 0x20 or os.fstat(fd).st_size < 32 << 20:
            libc.fallocate(fd, mode, ctypes.c_long(at), ctypes.c_long(length))
        time.sleep(0.005)


def direct(folder):
    fd = os.open(f"{folder}/direct", os.O_RDWR | os.O_CREAT | os.O_DIRECT)
    buf = mmap.mmap(-1, 65536)
    while True:
        buf[:4096] = os.urandom(4096)
        os.pwritev(fd, [memoryview(buf)[:random.choice([4096, 16384, 65536])]], random.randrange(0, 512) * 65536)
        time.sleep(0.003)


def trim(folder):
    while True:
        subprocess.run(["fstrim", folder], stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(2, 14))  # ext4 and btrfs trim while frozen too; a point can't be compared then


def hard(folder, flags, mib, size=96):
    """Random 16 KiB writes at that rate over a file of that many MiB."""
    fd = os.open(f"{folder}/random", os.O_RDWR | os.O_CREAT | flags)
    os.posix_fallocate(fd, 0, size << 20)
    data = mmap.mmap(-1, 1 << 20)
    data[:] = os.urandom(1 << 20)
    data = memoryview(data)
    begun, n = time.monotonic(), 0
    while True:
        cut = random.randrange(0, 63) * 16384
        os.pwrite(fd, data[cut:cut + 16384], random.randrange(0, size * 64) * 16384)
        n += 16384
        if n % (1 << 20) == 0:
            time.sleep(max(0, begun + n / (mib << 20) - time.monotonic()))


def check(folder, acks, ms):
    bad = total = 0
    for tag in sorted(os.listdir(acks)):
        want = -1
        for line in open(f"{acks}/{tag}"):
            parts = line.split()
            if len(parts) == 2 and line.endswith("\n") and int(parts[1]) // 1000000 < ms:
                want = int(parts[0])
        try:
            data = open(f"{folder}/log-{tag}", "rb").read()
        except FileNotFoundError:
            data = b""
        for n in range(want + 1):
            rec = data[n * 64:n * 64 + 64]
            total += 1
            if len(rec) < 64 or struct.unpack("<Q", rec[:8])[0] != n or zlib.crc32(rec[:56]) != struct.unpack("<I", rec[56:60])[0]:
                bad += 1
    print(f"{total} acknowledged records, {bad} missing or broken")
    return 1 if bad else 0


def main():
    if sys.argv[1] == "--check":
        sys.exit(check(sys.argv[2], sys.argv[3], int(sys.argv[4])))
    folder, acks = sys.argv[1:3]
    plain = {"small": small, "rename": rename, "mmap": mapped, "punch": punch, "zero": zero, "direct": direct, "trim": trim}
    pids = []
    for i, kind in enumerate(sys.argv[3:]):
        pid = os.fork()
        if pid == 0:
            libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: nobody writes on when the test is gone
            random.seed(i)
            while True:
                try:
                    if kind == "append":
                        append(folder, acks, f"{i}")
                    elif "random=" in kind:
                        hard(folder, os.O_DIRECT if kind[0] == "d" else 0, *map(int, kind.split("=")[1].split(":")))
                    else:
                        plain[kind](folder)
                except OSError as e:  # full for a moment
                    if e.errno not in (28, 22, 2):
                        raise
                    time.sleep(0.05)
        pids.append(pid)

    def end(*_):
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            os.waitpid(pid, 0)
        os._exit(0)
    signal.signal(signal.SIGTERM, end)
    while True:
        signal.pause()


main()
