"""A real Slurm, of Debian's packages, on hosts in namespaces: one that controls, and nodes of two CPUs each."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache

from tests import hosts
from tests.drivers import wait_until
from tests.hosts import ROOT, Host, Network, network, told_by

SCRIPT = ROOT / "docker" / "slurm" / "job.sbatch"
_PROGRAMS = ("slurmctld", "slurmd", "sbatch", "scontrol", "munged")
# Slurm follows the processes of a step by the kernel's freezer. Each host sees a part of its own, and no other groups.
_GROUPS = "/sys/fs/cgroup"
_FREEZER = f"""
mount -t tmpfs tmpfs {_GROUPS}
mkdir {_GROUPS}/all {_GROUPS}/freezer
mount -t cgroup -o freezer freezer {_GROUPS}/all
mkdir -p "{_GROUPS}/all/$(basename "$2")/$1"
mount --bind "{_GROUPS}/all/$(basename "$2")/$1" {_GROUPS}/freezer
"""
SIGNAL = "SlurmctldParameters=preempt_send_user_signal"
"""What the administrator has to set."""
_CONFIG = """
ClusterName=tests
SlurmctldHost=control
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=10
StateSaveLocation={folder}/state
SlurmctldPidFile=/tmp/slurmctld.pid
SlurmdPidFile=/tmp/slurmd.pid
SlurmdSpoolDir=/tmp/slurmd
SlurmctldLogFile={folder}/slurmctld.txt
SlurmdLogFile={folder}/slurmd-%n.txt
ProctrackType=proctrack/cgroup
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=5,bf_interval=5
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=30
ReturnToService=2
{setting}
NodeName={nodes} CPUs=2 RealMemory=4000 State=UNKNOWN
PartitionName=low Nodes={nodes} Default=YES PriorityTier=1 GraceTime=60 PreemptMode=REQUEUE OverSubscribe=NO
PartitionName=high Nodes={nodes} PriorityTier=10 PreemptMode=OFF
"""


@cache
def why_not() -> str | None:
    """Why there can be no Slurm here; None where there can."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    if missing := [name for name in _PROGRAMS if shutil.which(name, path=path) is None]:
        return f"needs {', '.join(missing)} (Debian's packages slurm-wlm and munge)"
    if (reason := hosts.why_not()) is not None:
        return reason
    mount = f"mount -t tmpfs tmpfs {_GROUPS} && mount -t cgroup -o freezer freezer {_GROUPS}"
    command = ["unshare", "-m", "--propagation", "private", "sh", "-c", mount]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return None if done.returncode == 0 else f"the kernel has no freezer for Slurm: {done.stderr.strip()}"


class Slurm:
    """A Slurm that runs. Its jobs are submitted in `folder`, which all hosts share."""

    def __init__(self, made: Network, nodes: Sequence[str]) -> None:
        self.network, self.nodes, self.folder = made, nodes, made.folder
        self.control = made["control"]
        for name in ("munge", "state"):
            (self.folder / name).mkdir(mode=0o700)
        self.folder.chmod(0o755)
        self.configure(SIGNAL)
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        key = self.folder / "munge" / "key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        (self.folder / "munge").chmod(0o711)
        files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        options = [f"--{option}={self.folder}/munge/{name}" for option, name in files.items()]
        self._daemon(self.control, "munged", "--foreground", "--force", *options)
        self._daemon(self.control, "slurmctld", "-D")
        for name in nodes:
            self._daemon(made[name], "slurmd", "-D", "-N", name)
        self.wait_for(
            lambda: self.told("sinfo", "-h", "-o", "%T", "-N").split() == ["idle"] * len(nodes) * 2, "nodes", 90
        )

    def configure(self, setting: str) -> None:
        """Write its configuration; one that runs reads it again with `scontrol reconfigure`."""
        values = {"folder": self.folder, "nodes": ",".join(self.nodes), "setting": setting}
        (self.folder / "slurm.conf").write_text(_CONFIG.format(**values))

    def _daemon(self, host: Host, *command: str) -> None:
        host.start(*command, output=self.folder / f"daemon-{host.name}-{command[0]}.txt")

    def told(self, *command: str) -> str:
        """What a command says that must go well."""
        done = self.control.run(*command, timeout=60)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def submit(self, *arguments: str) -> str:
        """Submit by `sbatch ARGUMENTS`; the job's number."""
        return self.told("sbatch", "--parsable", *arguments).strip()

    def state(self, job: str) -> str:
        """Of a job, such as RUNNING."""
        (found,) = re.findall(r" JobState=(\w+)", self.shown(job))
        return str(found)

    def restarts(self, job: str) -> int:
        """How often it was queued again."""
        (found,) = re.findall(r" Restarts=(\d+)", self.shown(job))
        return int(found)

    def seconds(self, job: str) -> int:
        """For how long a job has been running."""
        ((days, hours, minutes, seconds),) = re.findall(r" RunTime=(?:(\d+)-)?(\d+):(\d+):(\d+)", self.shown(job))
        return ((int(days or 0) * 24 + int(hours)) * 60 + int(minutes)) * 60 + int(seconds)

    def shown(self, job: str) -> str:
        """What Slurm knows of a job, in a line."""
        return self.told("scontrol", "show", "job", job, "--oneliner")

    def output(self, job: str) -> str:
        """What a job has written so far."""
        path = self.folder / f"tune_lpc-{job}.txt"
        return path.read_text(errors="replace") if path.exists() else ""

    def wait_for(self, happened: Callable[[], bool], what: str, patience: float = 600.0) -> None:
        """Wait; what every daemon and job has told is in the error, should it take too long."""
        deadline = time.monotonic() + patience
        while not happened():
            assert time.monotonic() < deadline, f"waited {patience:.0f} s for {what}\n{told_by(self.folder)}"
            time.sleep(0.5)

    def wait_for_state(self, job: str, *states: str) -> None:
        """Wait until a job is in one of these states; it must not fail instead."""
        failures = {"FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "CANCELLED", "COMPLETED"} - set(states)

        def happened() -> bool:
            state = self.state(job)
            assert state not in failures, f"{state}\n{told_by(self.folder)}"
            return state in states

        self.wait_for(happened, f"job {job} to be {' or '.join(states)}")

    def left_on_nodes(self) -> list[str]:
        """Command lines of what runs on the nodes besides Slurm's daemon; folders of Ray's files there too."""
        found = []
        for name in self.nodes:
            node = self.network[name]
            lines = [" ".join(each.cmdline()) for each in node.processes()]
            found += [line for line in lines if not line.startswith(("slurmd ", "slurmstepd: ", "nsenter "))]
            found += node.run("sh", "-c", "ls -d /tmp/tune_lpc-* /tmp/ray 2>/dev/null").stdout.split()
        return found

    def wait_until_nothing_is_left(self) -> None:
        """Wait for what may take a moment to end; the test fails on what stays."""
        wait_until(lambda: not self.left_on_nodes(), "an end of what jobs left on the nodes", every=0.5)


@contextmanager
def slurm(nodes: Sequence[str] = ("s1", "s2")) -> Iterator[Slurm]:
    """A Slurm with these nodes, until the context ends."""
    with network(["control", *nodes], setup=_FREEZER) as made:
        made.environment["SLURM_CONF"] = str(made.folder / "slurm.conf")
        made.environment["OMP_NUM_THREADS"] = "1"
        try:
            yield Slurm(made, nodes)
        finally:
            for name in nodes:
                made[name].kill()
            groups = f"{_GROUPS}/all/{made.folder.name}"
            made["control"].run("find", groups, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";")
