# SPDX-License-Identifier: Apache-2.0
"""
boot.py - how long a guest takes to boot from a recovery point over NBD, against the same disk as a raw file.

The guest is that of tests/lab/guest/boot-disk: GRUB, Debian's kernel, and an init that reads and checks some 100 MB.
Both boot BENCH_BOOT times, in turns, under emulation; each raw boot has a fresh copy, each boot of the point an
unwritten overlay. Time ends at the guest's line on the serial console; starting `bdr serve` is told apart.
"""
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import measure
import tools

TOP = Path(__file__).resolve().parents[2]
GUEST = TOP / "tests/lab/guest"
sys.path.insert(0, str(GUEST))
import machine  # noqa: E402

LIMIT = 1.3


def bdr(env, *args):
    subprocess.run([tools.Bdr.program(), "--no-progress", "-q", *args], env=env, check=True, stdout=subprocess.DEVNULL)


def serve(env, out, sock):
    """`bdr serve`, once it listens, and the seconds until then."""
    begun = time.monotonic()
    proc = subprocess.Popen([tools.Bdr.program(), "--no-progress", "serve", "latest", "--listen", sock, "--writable",
                             "--cow-dir", out], env=env, stderr=subprocess.DEVNULL)
    while not sock.exists():
        if proc.poll() is not None or time.monotonic() - begun > 60:
            proc.kill()
            raise measure.Failed("bdr serve does not listen")
        time.sleep(0.02)
    return proc, time.monotonic() - begun


def run(out, rounds, say):
    """The section's results, or {"skipped": why}."""
    why = machine.missing()
    if why or not tools.Bdr.program().exists():
        return {"skipped": why or "bdr is not built"}
    made = subprocess.run([GUEST / "boot-disk"], text=True, stdout=subprocess.PIPE)
    if made.returncode:
        return {"skipped": f"no guest: {made.stdout.strip()}"}
    disk, work = made.stdout.strip(), out / "boot"
    measure.remove(work)
    work.mkdir(parents=True)
    (work / "passphrase").write_text("bench\n")
    env = {**os.environ, "BDR_REPO": str(work / "repo"), "XDG_CACHE_HOME": str(work / "cache"),
           "BDR_PASSPHRASE_FILE": str(work / "passphrase")}
    seen = {"raw": [], "point": []}  # (seconds, cpu seconds of QEMU)
    ready = []
    try:
        bdr(env, "init", "--encrypt")
        bdr(env, "backup", "--host", "guest", disk)
        for rnd in range(1, rounds + 1):
            for kind in ("raw", "point") if rnd % 2 else ("point", "raw"):
                server = None
                if kind == "raw":
                    drive = work / "copy.raw"
                    subprocess.run(["cp", "--sparse=always", disk, drive], check=True)
                else:
                    server, seconds = serve(env, work, work / "point.sock")
                    ready.append(seconds)
                    drive = f"nbd+unix:///?socket={work / 'point.sock'}"
                try:
                    line, seconds, cpu = machine.boot(drive, work / f"{kind}.log")
                finally:
                    if server:
                        server.terminate()
                        server.wait()
                if "alive" not in line:
                    raise measure.Failed(f"the guest from the {kind} says: {line}")
                seen[kind].append((seconds, cpu))
                say(f"  {kind:5} round {rnd}: {seconds:6.2f} s to the sign of life, cpu of QEMU {cpu:6.2f} s")
    except (measure.Failed, machine.GuestFailed, subprocess.CalledProcessError) as err:
        return {"failed": str(err)}
    finally:
        measure.remove(work)
    median = {k: [statistics.median(x) for x in zip(*runs)] for k, runs in seen.items()}
    return {"rounds": rounds, "raw_s": round(median["raw"][0], 2), "point_s": round(median["point"][0], 2),
            "ratio": median["point"][0] / median["raw"][0], "cpu_ratio": median["point"][1] / median["raw"][1],
            "serve_ready_s": round(statistics.median(ready), 2), "runs": seen}
