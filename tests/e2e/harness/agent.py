"""deployd and deployctl as a user runs them."""

import json
import os
import pathlib
import signal
import subprocess

from . import RELEASE
from .wait import until

SECRET = "e2e-secret-e2e-secret-e2e-secret-e2e"


class Agent:
    """One deployd with a configuration folder of its own. `settings` becomes agent.yaml (JSON is YAML), or is `written` there already."""

    def __init__(self, folder, settings, programs=RELEASE, written=False):
        self.folder = folder
        self.config = folder / "agent.yaml"
        self.services = folder / settings["services"]
        self.socket = pathlib.Path(settings["socket"]["path"])
        self.log = folder / "deployd.log"
        self.programs = programs
        self.process = None
        self.services.mkdir(parents=True, exist_ok=True)
        if not written:
            self.config.write_text(json.dumps(settings, indent=2) + "\n")

    def start(self, seconds=20, launcher=()):
        """`launcher` stands before deployd's own arguments and becomes deployd."""
        environment = {**os.environ, "GITHUB_WEBHOOK_SECRET": SECRET}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([*launcher, self.programs / "deployd", "--config", self.config],
                                            env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until(self._answers, "deployd to answer on its socket", seconds)

    def stop(self, seconds=30):
        """Asks it to end and returns its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def rss_kb(self):
        for line in open(f"/proc/{self.process.pid}/status", encoding="ascii"):
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise RuntimeError("deployd has no VmRSS")

    def log_text(self):
        return self.log.read_text(errors="replace")

    def ctl(self, *arguments, seconds=180):
        """Runs deployctl; the result has returncode, stdout and stderr."""
        return subprocess.run([self.programs / "deployctl", "--socket", self.socket, *arguments], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=seconds)

    def view(self, *arguments):
        """The JSON that deployctl prints for a command that only reads."""
        done = self.ctl(*arguments, "-o", "json")
        if done.returncode != 0:
            raise RuntimeError(f"deployctl {' '.join(arguments)} ended with {done.returncode}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def rollouts(self):
        """Every rollout, oldest first."""
        return sorted(self.view("history")["rollouts"], key=lambda rollout: rollout["id"])

    def let_in(self, rollout):
        """When it began to touch its service's targets; where it only got its image, when it began with that."""
        steps = self.view("show", str(rollout["id"]))["steps"]
        times = [step["started"] for step in steps if step["kind"] not in ("fetch", "build", "pull", "image") and step["started"]]
        return min(times, default=rollout["started"] or "")

    def live(self):
        """{service: live view or None}"""
        return {entry["service"]: entry["live"] for entry in self.view("status")["services"]}

    def _answers(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"deployd ended with {self.process.returncode} at start:\n{self.log_text()[-3000:]}")
        return self.socket.exists() and self.ctl("version").returncode == 0
