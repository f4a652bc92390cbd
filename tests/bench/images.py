# SPDX-License-Identifier: Apache-2.0
"""
images.py - the disk images that the benchmarks copy, made of this machine's own files.

usr    one ext4, filled as far as the machine has different files: /usr first, then tool chains. No content goes in
       twice on purpose: files of equal size, head and tail are left out, else deduplication would flatter.
mixed  a quarter ext4 half full, a quarter hole, an eighth written zeros, a quarter random, an eighth log text.

An image is kept with a .json of what is in it and made again only when its recipe changed.
"""
import hashlib
import json
import os
import random
import shutil
import subprocess
from pathlib import Path

MIB, GIB = 1 << 20, 1 << 30
RECIPE = 4
SMALL = 64 * 1024  # smaller files are not compared with each other


def trees():
    if os.environ.get("BENCH_TREES"):
        return os.environ["BENCH_TREES"].split(":")
    home = Path.home()
    return ["/usr", "/opt", *(str(home / d) for d in (".rustup", ".cargo/registry", ".cargo/bin", ".pyenv", ".nvm",
                                                      "go", ".local/lib"))]


def mark(path, size):
    with open(path, "rb") as f:
        head = f.read(32768)
        f.seek(max(0, size - 32768))
        return hashlib.sha256(head + f.read(32768)).digest() + size.to_bytes(8, "little")


def stage(folder, budget, salt=""):
    """
    Gathers files worth `budget` bytes of file system below `folder`: hard links where that works, else copies.
    Trees in their order, files of one tree in the order of a hash of their name, so that a small budget is a fair
    sample. Returns (bytes, files, names of the trees used, bytes left out as the same content).
    """
    used, count, same, used_trees, seen, inodes = 0, 0, 0, [], set(), set()
    for tree in trees():
        found = []
        for root, dirs, names in os.walk(tree):
            dirs[:] = [d for d in dirs if not os.path.ismount(os.path.join(root, d))]
            found += [os.path.join(root, n) for n in names]
        found.sort(key=lambda p: hashlib.sha1((salt + p).encode("utf-8", "surrogateescape")).digest())
        before = used
        for path in found:
            try:
                st = os.lstat(path)
            except OSError:
                continue
            link, cost = os.path.islink(path), (st.st_size + 4095) // 4096 * 4096 + 256
            if not (link or os.path.isfile(path)) or (st.st_dev, st.st_ino) in inodes or not os.access(path, os.R_OK):
                continue
            if used + (0 if link else cost) > budget:
                continue
            if not link and st.st_size >= SMALL:
                try:
                    key = mark(path, st.st_size)
                except OSError:
                    continue
                if key in seen:
                    same += st.st_size
                    continue
                seen.add(key)
            to = os.path.join(folder, path.lstrip("/"))
            if not os.path.isdir(os.path.dirname(to)):
                os.makedirs(os.path.dirname(to))
                used += 8192  # a folder costs a block, its parents perhaps too
            try:
                os.link(path, to, follow_symlinks=False)
            except OSError:
                shutil.copy2(path, to, follow_symlinks=False)
            inodes.add((st.st_dev, st.st_ino))
            used, count = used + (0 if link else cost), count + 1
        if used > before:
            used_trees.append(tree)
        if used >= budget * 0.99:
            break
    return used, count, used_trees, same


def ext4(path, offset, size, fill, scratch, salt=""):
    """An ext4 of `size` bytes at `offset` of the file `path`, `fill` of it filled."""
    folder = Path(scratch) / "stage"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    journal = max(16 * MIB, size // 64)
    try:
        used, count, used_trees, same = stage(folder, int((size - journal) * fill), salt)
        inodes = sum(len(d) + len(f) for _, d, f in os.walk(folder)) + 2048
        subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-N", str(inodes), "-U",
                        "6f70656e-6264-7200-0000-000000000001", "-d", str(folder), "-E", f"offset={offset}",
                        str(path), str(size // 1024) + "k"], check=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {"files": count, "file_bytes": used, "full_pct": round(100 * used / size, 1), "trees": used_trees,
            "left_out_as_same_bytes": same}


def log_text(f, size, rng):
    """Lines as a service writes them, `size` bytes of them."""
    hosts = [f"web-{i:02d}" for i in range(24)]
    paths = ["/api/v1/orders", "/api/v1/users", "/static/app.js", "/login", "/healthz", "/api/v1/search"]
    now, left = 1_700_000_000_000, size
    while left > 0:
        lines = []
        for _ in range(20000):
            now += rng.randrange(40)
            r = rng.getrandbits(64)
            lines.append(f"{now // 1000}.{now % 1000:03d} {hosts[r % 24]} INFO http GET {paths[r % 6]}/{r >> 40:x} "
                         f"status={200 if r & 15 else 404} bytes={r % 65521} ms={r % 977} id={r:016x}\n")
        data = "".join(lines).encode()[:left]
        f.write(data)
        left -= len(data)


def make_usr(path, gib, scratch):
    size = gib * GIB
    with open(path, "wb") as f:
        f.truncate(size)
    return ext4(path, 0, size, 0.95, scratch)


def make_mixed(path, gib, scratch):
    size, rng = gib * GIB, random.Random(20240601)
    eighth = size // 8
    with open(path, "wb") as f:
        f.truncate(size)
    info = ext4(path, 0, 2 * eighth, 0.5, scratch, salt="mixed")
    with open(path, "r+b") as f:
        f.seek(4 * eighth)
        for _ in range(eighth // MIB):
            f.write(bytes(MIB))
        for _ in range(2 * eighth // MIB):
            f.write(rng.randbytes(MIB))
        log_text(f, eighth, rng)
    info["parts"] = {"ext4": 2 * eighth, "hole": 2 * eighth, "zeros": eighth, "random": 2 * eighth, "text": eighth}
    return info


MAKERS = {"usr": make_usr, "mixed": make_mixed}


def make(name, gib, folder):
    """The path of image `name` and what is known of it."""
    path = Path(folder) / f"{name}-{gib}g.raw"
    notes = path.with_suffix(".json")
    if path.exists() and notes.exists():
        info = json.loads(notes.read_text())
        if info.get("recipe") == RECIPE and path.stat().st_size == info["size_bytes"]:
            return path, info
    path.unlink(missing_ok=True)
    info = MAKERS[name](path, gib, folder)
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    info.update(recipe=RECIPE, size_bytes=path.stat().st_size, allocated_bytes=path.stat().st_blocks * 512)
    notes.write_text(json.dumps(info, indent=1) + "\n")
    return path, info


class Changes:
    """
    Rewrites `pct` per cent of an image in extents of `extent` bytes at random places, and can take it back.
    New content: data from elsewhere in the image, XORed with a byte: new to everybody, as compressible as before.
    """

    def __init__(self, path, pct, extent, seed):
        self.path, self.saved = Path(path), []
        size, rng = self.path.stat().st_size, random.Random(seed)
        slots = size // extent
        chosen = sorted(rng.sample(range(slots), max(1, int(slots * pct / 100))))
        self.extents = [(i * extent, extent) for i in chosen]
        self.sources = [(rng.randrange(slots) * extent, rng.randrange(1, 256)) for _ in chosen]

    @property
    def bytes(self):
        return sum(n for _, n in self.extents)

    def write(self):
        with open(self.path, "r+b") as f:
            for (off, n), (src, key) in zip(self.extents, self.sources):
                f.seek(src)
                new = f.read(n).translate(bytes(i ^ key for i in range(256)))
                f.seek(off)
                self.saved.append(f.read(n))
                f.seek(off)
                f.write(new)
            f.flush()
            os.fsync(f.fileno())

    def take_back(self):
        with open(self.path, "r+b") as f:
            for (off, _), old in zip(self.extents, self.saved):
                f.seek(off)
                f.write(old)
            f.flush()
            os.fsync(f.fileno())
        self.saved = []

    def list_to(self, path):
        Path(path).write_text("".join(f"{off} {n}\n" for off, n in self.extents))
