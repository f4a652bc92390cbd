#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
log_writes - was this image ever what a disk held? By what dm-log-writes recorded of every write to the disk.

    log_writes.py whole LOG DISK                 the whole log, replayed, is the disk
    log_writes.py exact LOG IMAGE FROM TO        the image is the log replayed up to one entry between two marks, byte for byte
    log_writes.py crash LOG IMAGE FROM TO        the image is what a power cut between the marks could have left

A disk that was empty when the log began. `crash`: there is a flush F so that every sector is what it was at F or what one of the
writes until the second flush behind it made of it. The log has writes in the order in which they were completed, but those
that wait for a flush behind the ones that don't (FUA), and what was completed while a flush was under way behind
that flush: hence the second. Nothing older than F and nothing newer may be in the image.

Format: Linux, Documentation/admin-guide/device-mapper/log-writes.rst and drivers/md/dm-log-writes.c. A super block (magic,
version, number of entries, size of a sector), then entries of one sector each, followed by what was written; the text of
a mark is in the entry's own sector. All little-endian; lengths and places are in sectors of that size.
Exit code 1: it is not, and how close it came.
"""
import struct
import sys

MAGIC, VERSION = 0x6a736677736872, 1
SUPER, ENTRY = struct.Struct("<QQQL"), struct.Struct("<QQQQ")
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8


class Bad(Exception):
    pass


class Entry:
    def __init__(self, sector, sectors, flags, at, text):
        self.sector, self.sectors, self.flags, self.at, self.text = sector, sectors, flags, at, text


class Log:
    def __init__(self, path):
        self.f = open(path, "rb")
        magic, version, n, self.unit = SUPER.unpack(self.f.read(SUPER.size))
        if magic != MAGIC or version != VERSION or self.unit not in (512, 4096):
            raise Bad(f"{path} is not a log of version {VERSION}")
        self.entries, at = [], self.unit
        for i in range(n):
            self.f.seek(at)
            raw = self.f.read(self.unit)
            sector, sectors, flags, length = ENTRY.unpack(raw[:ENTRY.size])
            if length > self.unit - ENTRY.size or flags >> 5:
                raise Bad(f"entry {i} of {n} at byte {at} is damaged")
            text = raw[ENTRY.size:ENTRY.size + length].rstrip(b"\0").decode() if flags & MARK else ""
            at += self.unit
            self.entries.append(Entry(sector, sectors, flags, at, text))
            if not flags & (DISCARD | MARK):
                at += sectors * self.unit

    def data(self, e):
        if e.flags & DISCARD:
            return bytes(e.sectors * self.unit)
        self.f.seek(e.at)
        data = self.f.read(e.sectors * self.unit)
        if len(data) != e.sectors * self.unit:
            raise Bad(f"the log ends within what was written to sector {e.sector}")
        return data

    def mark(self, name):
        for i, e in enumerate(self.entries):
            if e.flags & MARK and e.text == name:
                return i
        raise Bad(f"no mark '{name}' in {len(self.entries)} entries")


class Replay:
    """A disk that is made by the log, and which of its sectors are not those of the image."""

    def __init__(self, log, image):
        self.log, self.unit = log, log.unit
        with open(image, "rb") as f:
            self.image = f.read()
        self.disk = bytearray(len(self.image))
        empty = bytes(self.unit)
        self.differ = {s for s in range(len(self.image) // self.unit) if self.want(s) != empty}

    def want(self, s):
        return self.image[s * self.unit:(s + 1) * self.unit]

    def apply(self, e):
        if e.flags & MARK or not e.sectors:
            return
        data, begin = self.log.data(e), e.sector * self.unit
        if begin + len(data) > len(self.disk):
            raise Bad(f"a write to sector {e.sector} is past the end of the disk")
        self.disk[begin:begin + len(data)] = data
        for i in range(e.sectors):
            if data[i * self.unit:(i + 1) * self.unit] == self.want(e.sector + i):
                self.differ.discard(e.sector + i)
            else:
                self.differ.add(e.sector + i)


def whole(log, disk):
    r = Replay(log, disk)
    for e in log.entries:
        r.apply(e)
    if r.differ:
        raise Bad(f"{len(r.differ)} sectors of the disk are not what the log says, the first is {min(r.differ)}")
    print(f"{len(log.entries)} entries, replayed, are the disk")


def between(log, image, first, last):
    """The replay at every entry from one mark to the other."""
    begin, end = log.mark(first), log.mark(last)
    if begin >= end:
        raise Bad(f"mark '{last}' is not behind '{first}'")
    r = Replay(log, image)
    for e in log.entries[:begin + 1]:
        r.apply(e)
    for i in range(begin, end):
        if i > begin:
            r.apply(log.entries[i])
        yield i, end, r


def exact(log, image, first, last):
    best = None
    for i, end, r in between(log, image, first, last):
        best = len(r.differ) if best is None else min(best, len(r.differ))
        if not r.differ:
            print(f"the image is the log up to entry {i} of {len(log.entries)}, {end - i} before the mark '{last}'")
            return
    raise Bad(f"the image is none of the states between '{first}' and '{last}': at best {best} sectors differ")


def reachable(log, r, i):
    """Which of the sectors that differ at flush i no write until the second flush behind it explains."""
    left, flushes = set(r.differ), 0
    for e in log.entries[i + 1:]:
        if not left or flushes == 2:
            break
        if not e.flags & MARK and e.sectors and any(e.sector <= s < e.sector + e.sectors for s in left):
            data = log.data(e)
            left -= {s for s in left if e.sector <= s < e.sector + e.sectors and
                     data[(s - e.sector) * r.unit:(s - e.sector + 1) * r.unit] == r.want(s)}
        flushes += bool(e.flags & FLUSH)
    return left


def crash(log, image, first, last):
    best = None
    for i, end, r in between(log, image, first, last):
        if log.entries[i].flags & FLUSH or log.entries[i].flags & MARK:
            left = reachable(log, r, i)
            best = len(left) if best is None else min(best, len(left))
            if not left:
                print(f"the image is the log up to entry {i} of {len(log.entries)} and some of the writes behind it "
                      f"({len(r.differ)} sectors), {end - i} before the mark '{last}'")
                return
    raise Bad(f"no power cut between '{first}' and '{last}' leaves this image: at best {best} sectors are inexplicable")


def main():
    if len(sys.argv) < 4 or sys.argv[1] not in ("whole", "exact", "crash") or len(sys.argv) != (4 if sys.argv[1] == "whole" else 6):
        sys.exit(__doc__.strip())
    try:
        {"whole": whole, "exact": exact, "crash": crash}[sys.argv[1]](Log(sys.argv[2]), *sys.argv[3:])
    except Bad as why:
        print(f"log_writes: {why}")
        sys.exit(1)


if __name__ == "__main__":
    main()
