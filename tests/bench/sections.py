# SPDX-License-Identifier: Apache-2.0
"""sections - what `make bench` measures beside images: the console under 10,000 hosts, and what tracking costs a writer."""
import json
import os
import subprocess
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
# figure of bench_api's line, what it is, at most
CONSOLE = [
    (("beat", "p99_ms"), "10,000 hosts: heartbeat, p99 ms", 50.0),
    (("job", "p99_ms"), "10,000 hosts: progress of a job, p99 ms", 50.0),
    (("page", "p99_ms"), "10,000 hosts: page, p99 ms", 50.0),
    (("console_max_rss_mib",), "10,000 hosts: memory, MiB", 300.0),
    (("console_cpu_cores",), "10,000 hosts: cores", 2.0),
    (("not_200",), "10,000 hosts: calls that were refused", 0.0),
]


def row(image, what, ours, limit, value, ok):
    return {"image": image, "what": what, "ours": ours, "peer": "-", "limit": limit,
            "value": None if value is None else round(value, 3), "cpu_ratio": None,
            "verdict": "not run" if value is None else "pass" if ok else "MISSED"}


def figure(told, path):
    for key in path:
        told = told.get(key) if isinstance(told, dict) else None
    return told


def run(command, env=None):
    """Standard output, or None and why not."""
    done = subprocess.run([str(c) for c in command], cwd=TOP, env={**os.environ, **(env or {})}, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    said = done.stderr.strip().splitlines()
    return (done.stdout, None) if done.returncode == 0 else (None, said[-1] if said else f"exit {done.returncode}")


def console(verdicts, wrong, say):
    seconds, hosts = os.environ.get("BENCH_CONSOLE_SECONDS", "60"), os.environ.get("BENCH_CONSOLE_HOSTS", "10000")
    told = {}
    if hosts == "0":
        told = {"skipped": "BENCH_CONSOLE_HOSTS=0"}
    elif not (TOP / os.environ.get("BUILD", "build") / "tests/bench/bench_api").exists():
        told = {"skipped": "bench_api is not built"}
    else:
        say(f"a console with {hosts} hosts, {seconds} s")
        out, why = run(["tests/bench/api", seconds, hosts, "50", "500"])
        if why:
            wrong.append(f"console: {why}")
            told = {"failed": why}
        else:
            told = json.loads(out)
            say(f"  {out.strip()}")
    whole = hosts == "10000"  # the budget is for that many
    for path, what, most in CONSOLE if whole else []:
        value = figure(told, path)
        verdicts.append(row("site", what, "console", f"<= {most:g}", value, value is not None and value <= most))
    return told


def track(verdicts, wrong, say, out_dir):
    """What tracking costs the disk's owner: `track` as a program of its own, its disks as rows."""
    if os.environ.get("BENCH_TRACK_PAIRS") == "0":
        return {"skipped": "BENCH_TRACK_PAIRS=0"}
    say("writing to a tracked disk and an untracked one")
    bdr = TOP / os.environ.get("BUILD", "build") / "src/cli/bdr"
    env = {**os.environ, "BENCH_DIR": str(out_dir), "BDR": str(bdr)}
    env.pop("BENCH_STRICT", None)
    file = Path(out_dir) / "track.json"
    file.unlink(missing_ok=True)
    code = subprocess.run([str(TOP / "tests/bench/track")], env=env).returncode
    if code not in (0, 77):
        wrong.append(f"track: ended with {code}")
    told = json.loads(file.read_text()) if code == 0 else {"skipped": f"exit code {code}", "disks": []}
    for disk in told["disks"] or [{"disk": "memory"}]:
        least = disk.get("budget", 0.94)
        verdicts.append(row(disk["disk"], "tracked disk, 1 - share of a write's CPU", "bdr-track", f">= {least:g}",
                            disk.get("cpu_ratio"), disk.get("within_budget")))
    return told
