# SPDX-License-Identifier: Apache-2.0
"""rig.py - what the stories of `run` share: loop disks with writers on them, a repository, and looks into both."""
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
BDR = os.path.abspath(os.environ.get("BDR", "build/src/cli/bdr"))


class Wrong(Exception):
    pass


def need(ok, text):
    if not ok:
        raise Wrong(text)


def sh(*cmd, check=True, **kw):
    r = subprocess.run([str(c) for c in cmd], capture_output=True, text=True, **kw)
    if check and r.returncode:
        raise Wrong(f"{' '.join(map(str, cmd))}: {r.returncode}: {(r.stderr or r.stdout).strip()[-600:]}")
    return r


def until(f, what):
    """Other tests' mount namespaces may hold on to our mounts for some time."""
    for _ in range(600):
        if f():
            return
        time.sleep(0.1)
    raise Wrong(f"it did not come true: {what}")


def claimed(dev):
    try:
        os.close(os.open(dev, os.O_RDWR | os.O_EXCL))
        return False
    except OSError:
        return True


class Disk:
    """A loop device with a file system, and perhaps writers on it."""

    def __init__(self, lab, name, fs="ext4", mib=320):
        self.lab, self.name, self.fs = lab, name, fs
        self.file, self.mnt, self.acks = lab.dir / f"{name}.img", lab.dir / f"{name}.mnt", lab.dir / f"{name}.acks"
        self.load = self.dev = None
        self.mounted = False
        with open(self.file, "wb") as f:
            f.truncate(mib << 20)
        self.dev = sh("losetup", "-f", "--show", self.file).stdout.strip()
        lab.disks.append(self)
        self.mnt.mkdir()
        self.acks.mkdir()
        if fs:
            sh({"ext4": "mkfs.ext4", "xfs": "mkfs.xfs", "btrfs": "mkfs.btrfs", "vfat": "mkfs.vfat"}[fs],
               *({"ext4": ["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"], "xfs": ["-q", "-f"], "btrfs": ["-q", "-f"], "vfat": []}[fs]), self.dev)
            self.mount()

    def mount(self):
        sh("mount", self.dev, self.mnt)
        self.mounted = True

    def umount(self):
        self.stop()
        if self.mounted:
            sh("umount", self.mnt)
            self.mounted = False

    def write(self, *kinds):
        self.load = subprocess.Popen([sys.executable, HERE / "load.py", str(self.mnt), str(self.acks), *kinds])

    def stop(self):
        if self.load:
            self.load.terminate()
            self.load.wait()
            self.load = None

    def end(self):
        self.stop()
        if self.mounted:
            subprocess.run(["umount", self.mnt], stderr=subprocess.DEVNULL)
        if self.dev:
            subprocess.run(["losetup", "-d", self.dev])


class Lab:
    def __init__(self, story):
        place = os.environ.get("LANE_TMP")
        if not place:
            vfs = os.statvfs("/dev/shm")
            place = "/dev/shm" if vfs.f_bavail * vfs.f_frsize > 6 << 30 else tempfile.gettempdir()
        self.dir = Path(tempfile.mkdtemp(prefix=f"bdr-live-{story}-", dir=place))
        self.disks = []
        self.compared = self.trimmed = 0
        repos = os.environ.get("BDR_LIVE_REPOS")
        self.repo = Path(tempfile.mkdtemp(prefix=f"bdr-live-{story}-", dir=repos) if repos else self.dir) / "repo"
        self.env = dict(os.environ, BDR_REPO=str(self.repo), BDR_TRACK_PINS=f"/sys/fs/bpf/bdr-live-{os.getpid()}",
                        XDG_CACHE_HOME=str(self.dir / "cache"))
        self.env.pop("BDR_LIVE_VERIFY", None)
        self.bdr("init", "--compress", "lz4")

    def bdr(self, *args, check=True, env=None, **kw):
        return sh(BDR, "--no-progress", *args, check=check, env={**self.env, **(env or {})}, **kw)

    def backup(self, *args, verify=False, want=0, env=None):
        env = dict(env or {})
        if verify:
            (self.dir / "frozen").mkdir(exist_ok=True)
            env["BDR_LIVE_VERIFY"] = str(self.dir / "frozen")
            args += ("--freeze-budget", "30000")
        r = self.bdr("--json", "backup", "--host", "h", *args, check=False, env=env)
        if r.returncode != want:
            raise Wrong(f"backup ended with {r.returncode}, not {want}: {r.stderr.strip()[-800:]}")
        return json.loads(r.stdout)

    def manifest(self, point):
        return json.loads(self.bdr("--json", "show", point).stdout)

    def recover(self, point, disk=0, name="out.raw"):
        out = self.dir / name
        out.unlink(missing_ok=True)
        self.bdr("recover", point, "--disk", str(disk), "--to", out)
        return out

    def same(self, a, b):
        """Byte for byte. ext4, XFS and btrfs trim while frozen, too: what reads as zeros afterwards may then be something else."""
        self.compared += 1
        if not (self.dir / "frozen/disturbed").exists():
            r = sh("cmp", a, b, check=False)
            need(r.returncode == 0, f"the point differs from the disk: {r.stdout.strip()}{r.stderr.strip()}")
            return
        self.trimmed += 1
        with open(a, "rb") as fa, open(b, "rb") as fb:
            need(os.fstat(fa.fileno()).st_size == os.fstat(fb.fileno()).st_size, "the sizes differ")
            at = 0
            while True:
                x, y = fa.read(1 << 20), fb.read(1 << 20)
                if not x:
                    return
                if x != y:
                    for i in range(0, len(x), 512):
                        need(x[i:i + 512] == y[i:i + 512] or not any(y[i:i + 512]), f"the point differs from the disk at {at + i}, and not by a trim")
                at += len(x)

    def usable(self, image, disk, ms):
        """The copy mounts, its acknowledged records are there, and fsck finds nothing."""
        dev = sh("losetup", "-f", "--show", image).stdout.strip()
        mnt = self.dir / "copy.mnt"
        mnt.mkdir(exist_ok=True)
        try:
            sh("mount", "-o", {"xfs": "nouuid", "vfat": "ro"}.get(disk.fs, "rw"), dev, mnt)
            try:
                r = sh(sys.executable, HERE / "load.py", "--check", mnt, disk.acks, str(ms), check=False)
                need(r.returncode == 0, r.stdout.strip() + r.stderr.strip())
                sh("mount", "-o", "remount,ro", mnt)  # a namespace made meanwhile keeps its mount, and umount would write nothing
            finally:
                sh("umount", mnt)
            check = {"ext4": ["e2fsck", "-fn"], "xfs": ["xfs_repair", "-n"], "btrfs": ["btrfs", "check", "--readonly"],
                     "vfat": ["fsck.vfat", "-n"]}[disk.fs]
            r = sh(*check, dev, check=False)
            need(r.returncode == 0, f"{' '.join(check)}: {r.returncode}\n{(r.stdout + r.stderr)[-1500:]}")
        finally:
            sh("losetup", "-d", dev)

    def end(self):
        for d in reversed(self.disks):
            d.end()
        subprocess.run([BDR, "--no-progress", "track", "stop"], env=self.env, capture_output=True)
        pins = Path(self.env["BDR_TRACK_PINS"])
        if pins.exists():
            shutil.rmtree(pins, ignore_errors=True)
        if not os.environ.get("KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)
            shutil.rmtree(self.repo.parent, ignore_errors=True)


class TrackMap:
    """The tracker's map of a disk in the kernel, to be spoilt: elements of 1024 bytes, see src/source/live/bpf/cbt.h."""

    HEAD, COUNTS, MARKS = 0, 4, 8

    def __init__(self, lab, disk):
        rdev = os.stat(disk.dev).st_rdev
        key = struct.pack("<I", os.major(rdev) << 20 | os.minor(rdev))
        self.id = struct.unpack("<I", self.bytes(self.tool("lookup", "pinned", f"{lab.env['BDR_TRACK_PINS']}/disks", "key", *self.hex(key))))[0]
        self.elems = json.loads(sh("bpftool", "-j", "map", "show", "id", self.id).stdout)["max_entries"]

    @staticmethod
    def hex(data):
        return ["hex", *(f"{b:02x}" for b in data)]

    @staticmethod
    def tool(verb, *args):
        return json.loads(sh("bpftool", "-j", "map", verb, *args).stdout or "null")

    @staticmethod
    def bytes(told):
        if "inner_map_id" in told:
            return struct.pack("<I", told["inner_map_id"])
        return bytes(int(b, 16) for b in told["value"])

    def get(self, elem):
        return bytearray(self.bytes(self.tool("lookup", "id", self.id, "key", *self.hex(struct.pack("<I", elem)))))

    def put(self, elem, data):
        self.tool("update", "id", self.id, "key", *self.hex(struct.pack("<I", elem)), "value", *self.hex(data))
