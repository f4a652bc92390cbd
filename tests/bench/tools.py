# SPDX-License-Identifier: Apache-2.0
"""
tools.py - what is compared: how each program makes a backup, makes another, and restores, in its own words.

Every tool gets a folder of its own. A stage it does not have is absent. All of them compress with the level they
come with; those that encrypt are marked so, and are compared with ours encrypted.

Fairness, said once: restic's second backup runs with --force, and borg's with --files-cache=disabled, because with
one big file they would otherwise look at its time stamp only; we read and hash the disk as well in that stage.
"""
import json
import os
from pathlib import Path

import measure


class Tool:
    name = ""
    encrypts = False
    once = False  # too slow to be worth more than the first round

    def __init__(self, folder, image, log):
        self.dir, self.image, self.log = Path(folder) / self.name, Path(image), log
        self.repo = self.dir / "repo"
        self.said = {}  # stage -> what the program itself reported
        measure.remove(self.dir)
        self.dir.mkdir(parents=True)
        self.prepare()

    def prepare(self):
        pass

    def env(self):
        return {}

    def run(self, *cmd, out=None, cwd=None, stdout=None):
        return measure.run(cmd, out or self.repo, env=self.env(), cwd=cwd, log=self.log, stdout=stdout)

    def stages(self):
        return [s for s in ("first", "second", "restore", "inc", "inc_tracker") if hasattr(self, s)]

    def size(self):
        return measure.tree_bytes(self.repo) if self.repo.exists() else None


class Restic(Tool):
    name, encrypts = "restic", True

    def env(self):
        return {"RESTIC_REPOSITORY": str(self.repo), "RESTIC_PASSWORD_FILE": str(self.dir / "password"),
                "RESTIC_CACHE_DIR": str(self.dir / "cache"), "TMPDIR": str(self.dir)}

    def prepare(self):
        (self.dir / "password").write_text("bench\n")
        self.run("restic", "init", out=self.dir)

    def first(self):
        return self.run("restic", "backup", self.image)

    def second(self):
        return self.run("restic", "backup", "--force", self.image)

    inc = second

    def restore(self, to):
        cost = self.run("restic", "restore", "latest", "--target", to.with_suffix(".d"), out=to.with_suffix(".d"))
        os.rename(to.with_suffix(".d") / str(self.image).lstrip("/"), to)
        measure.remove(to.with_suffix(".d"))
        return cost


class Borg(Tool):
    encrypts, compression = True, ""

    def env(self):
        return {"BORG_BASE_DIR": str(self.dir / "base"), "BORG_PASSPHRASE": "bench", "BORG_REPO": str(self.repo),
                "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes"}

    def prepare(self):
        self.made = 0
        (self.dir / "base").mkdir()
        self.run("borg", "init", "--encryption=repokey", out=self.dir)

    def first(self):
        self.made += 1
        return self.run("borg", "create", "--files-cache=disabled", f"--compression={self.compression}",
                        f"::{self.made}", self.image)

    second = inc = first

    def restore(self, to):
        folder = to.with_suffix(".d")
        folder.mkdir()
        cost = self.run("borg", "extract", "--sparse", f"::{self.made}", out=folder, cwd=folder)
        os.rename(folder / str(self.image).lstrip("/"), to)
        measure.remove(folder)
        return cost


class BorgLz4(Borg):
    name, compression = "borg-lz4", "lz4"


class BorgZstd(Borg):
    name, compression = "borg-zstd", "zstd"


class Copy(Tool):
    """A plain copy: no repository; what it writes is gone after the measurement, its size is kept."""
    command = ()

    def first(self):
        to = self.dir / "copy"
        cost = self.run(*self.command, self.image, to, out=to)
        cost["stored_bytes"] = measure.tree_bytes(to)
        measure.remove(to)
        return cost


class Cp(Copy):
    name, command = "cp", ("cp", "--sparse=auto", "--reflink=never")


class Nbdcopy(Copy):
    name, command = "nbdcopy", ("nbdcopy",)


class Qcow2(Copy):
    name, command = "qemu-img-qcow2", ("qemu-img", "convert", "-f", "raw", "-O", "qcow2")


class Qcow2Compressed(Copy):
    once = True
    name, command = "qemu-img-qcow2-c", ("qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c")


class Bdr(Tool):
    compress, init_options = "lz4", ()

    def env(self):
        return {"BDR_REPO": str(self.repo), "XDG_CACHE_HOME": str(self.dir / "cache"),
                "BDR_PASSPHRASE_FILE": str(self.dir / "passphrase") if self.encrypts else ""}

    @staticmethod
    def program():
        top = Path(__file__).resolve().parents[2]
        return top / os.environ.get("BUILD", "build") / "src/cli/bdr"

    def bdr(self, stage, *args, out=None):
        told = self.dir / "told.json"
        with open(told, "wb") as f:
            cost = self.run(self.program(), *args, "--json", out=out, stdout=f)
        text = told.read_text()
        try:
            self.said[stage] = json.loads(text)
        except ValueError:  # one object a line while it works, the summary last
            rows = [json.loads(s) for s in text.splitlines() if s.startswith("{")]
            self.said[stage] = rows[-1] if rows else {}
        return cost

    def prepare(self):
        (self.dir / "passphrase").write_text("bench\n")
        args = ["init", "--compress", self.compress, *self.init_options] + (["--encrypt"] if self.encrypts else [])
        block = os.environ.get("BENCH_BLOCK")
        self.bdr("init", *args, *(["--block-size", block] if block else []), out=self.dir)

    def first(self, stage="first"):
        return self.bdr(stage, "backup", "--host", "bench", self.image)

    def second(self):
        return self.first("second")

    def inc(self):
        return self.first("inc")

    def inc_tracker(self, extents):
        return self.bdr("inc_tracker", "backup", "--host", "bench", "--changed-extents", extents, self.image)

    def restore(self, to):
        return self.bdr("restore", "recover", "latest", "--to", to, out=to)


class BdrLz4(Bdr):
    name, encrypts, compress = "bdr-lz4", True, "lz4"


class BdrZstd(Bdr):
    name, encrypts, compress = "bdr-zstd", True, "zstd"


class BdrLz4Plain(Bdr):
    name, compress = "bdr-lz4-plain", "lz4"


class BdrZstdPlain(Bdr):
    name, compress = "bdr-zstd-plain", "zstd"


# In this order in odd rounds, reversed in even ones, so that a machine that gets slower treats all alike.
TOOLS = [BdrLz4, Restic, BdrZstd, BorgLz4, BdrLz4Plain, BorgZstd, BdrZstdPlain, Nbdcopy, Cp, Qcow2, Qcow2Compressed]
