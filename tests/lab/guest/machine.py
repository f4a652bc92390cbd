# SPDX-License-Identifier: Apache-2.0
"""
machine.py - one QEMU guest, emulated (TCG): started, watched on its serial console, and surely ended.

KVM is not used on purpose: where guests of this lab run, /dev/kvm may open and still not run a stock kernel, and a
test that is fast on one machine and fails on the next helps nobody.
"""
import os
import resource
import select
import shutil
import subprocess
import time

QEMU = "qemu-system-x86_64"


class GuestFailed(Exception):
    pass


def missing():
    """Why no guest can run here, or None."""
    for tool in (QEMU, "setpriv"):
        if not shutil.which(tool):
            return f"no {tool}; tools/deps guest"
    return None


class Machine:
    """
    with Machine(["-drive", "..."], log="serial.log") as m:
        line = m.wait_for("login:", 120)

    The console's output goes to `log`, which stays. Leaving the block ends QEMU; so does the end of this process.
    """

    def __init__(self, args, log, memory_mib=256, cpus=1, fds=()):
        self.log_path = log
        # qemu64: what `max` adds is emulated so slowly that a backup in the guest takes 4 times as long. -no-reboot with panic=-1 in the guest's command line: a panic ends QEMU at once
        self.cmd = ["setpriv", "--pdeathsig", "KILL", QEMU, "-machine", "pc", "-accel", "tcg,thread=multi", "-cpu", "qemu64",
                    "-m", str(memory_mib), "-smp", str(cpus), "-nodefaults", "-display", "none", "-no-reboot",
                    "-serial", "stdio", *args]
        self.text = b""
        self.proc = None
        self.fds = fds  # that QEMU inherits

    def __enter__(self):
        self.log = open(self.log_path, "wb")
        self.begun = time.monotonic()
        self.proc = subprocess.Popen(self.cmd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                     pass_fds=self.fds)
        return self

    def __exit__(self, *_):
        self.kill()
        self.log.close()

    @property
    def seconds(self):
        return time.monotonic() - self.begun

    def kill(self):
        """As a power cut: nothing in the guest is told."""
        if self.proc and self.proc.poll() is None:
            self.proc.kill()
        if self.proc:
            self.proc.wait()

    def read(self, seconds):
        """Takes in what the console says, waiting so long for more; False at its end, when QEMU is gone."""
        if not select.select([self.proc.stdout], [], [], max(0, seconds))[0]:
            return True
        said = os.read(self.proc.stdout.fileno(), 1 << 16)
        self.log.write(said)
        self.log.flush()
        self.text += said
        return bool(said)

    def fail(self, why):
        tail = self.text[-2000:].decode("utf-8", "replace").replace("\r", "")
        raise GuestFailed(f"{why} after {self.seconds:.0f} s; the console is in {self.log_path} and ends in:\n{tail}")

    def wait_for(self, sign, timeout_s):
        """The console's line in which `sign` stands first, as soon as it is whole."""
        sign = sign.encode()
        alive = True
        while True:
            at = self.text.find(sign)
            end = self.text.find(b"\n", at)
            if at >= 0 and end >= 0:
                return self.text[at:end].decode("utf-8", "replace").strip()
            if not alive:
                self.fail(f"QEMU ended (exit code {self.proc.wait()}) before '{sign.decode()}'")
            if self.seconds > timeout_s:
                self.fail(f"no '{sign.decode()}' in {timeout_s} s")
            alive = self.read(min(0.5, timeout_s - self.seconds))

    def wait_end(self, timeout_s):
        """Until the guest has powered itself off."""
        until = self.seconds + timeout_s
        while self.read(0.5):
            if self.seconds > until:
                self.fail(f"not powered off in {timeout_s} s")
        if self.proc.wait() != 0:
            self.fail(f"QEMU: exit code {self.proc.returncode}")


def boot(drive, log, sign="bdr-guest: ", timeout_s=240):
    """Boots `drive` (a raw file or an NBD URI) to its sign of life and until it is off: (line, seconds, cpu seconds)."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    drive = str(drive).replace(",", ",,")
    with Machine(["-drive", f"file={drive},format=raw,if=virtio"], log) as m:
        line = m.wait_for(sign, timeout_s)
        seconds = m.seconds
        m.wait_end(60)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return line, seconds, cpu
