"""The private engine as a process: it can be stopped, killed and started again. Its containers run below a containerd of its own."""

import os
import pathlib
import signal
import subprocess

from .wait import until

PID_FILE = pathlib.Path("/run/docker.pid")
CONTAINERD_PID_FILE = pathlib.Path("/run/docker/containerd/containerd.pid")


def _gone(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


class Dockerd:
    def __init__(self, engine):
        self.engine = engine
        command = pathlib.Path(f"/proc/{self.pid}/cmdline").read_bytes()
        self.command = [part.decode() for part in command.rstrip(b"\0").split(b"\0")]
        self.log = pathlib.Path(os.environ["DEPLOYCTL_SANDBOX"]) / "dockerd.log"
        self.process = None  # the first one is the sandbox's own

    @property
    def pid(self):
        return int(PID_FILE.read_text())

    def start(self):
        if self.process:
            self.process.wait(60)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def answers():
            if self.process.poll() is not None:
                raise RuntimeError("the engine did not start again:\n" + self.log.read_text(errors="replace")[-2000:])
            try:
                return self.engine.call("GET", "/_ping") == b"OK"
            except OSError:
                return False

        until(answers, "the engine to answer again", 60)

    def stop(self):
        """SIGTERM, as at a shutdown: its containers are stopped, too."""
        pid = self.pid
        os.kill(pid, signal.SIGTERM)
        until(lambda: _gone(pid), "the engine to stop", 60)

    def dead(self):
        return _gone(self.pid)

    def power_cut(self):
        """Everything of it at once: the engine, containerd, and each container with what watches it."""
        running = [container["Id"] for container in self.engine.call("GET", "/containers/json")]
        pids = [self.pid, int(CONTAINERD_PID_FILE.read_text()), *_shims()]
        pids += [self.engine.inspect(identifier)["State"]["Pid"] for identifier in running]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            until(lambda pid=pid: _gone(pid), f"process {pid} of the engine to be gone")


def _shims():
    """What containerd leaves beside each container. A sandbox sees those of a sandbox within it, too, which are not its own."""
    found, own = [], os.readlink("/proc/self/ns/pid")
    for folder in pathlib.Path("/proc").iterdir():
        try:
            if not folder.name.isdigit() or b"containerd-shim" not in (folder / "cmdline").read_bytes().split(b"\0")[0]:
                continue
            if os.readlink(folder / "ns/pid") == own:
                found.append(int(folder.name))
        except OSError:
            continue
    return found
