"""Steady load by tests/bench/load.cpp: from the sandbox (outside), or from a container as one service calls another."""

import json
import os
import signal
import subprocess

from . import RELEASE
from .wait import until

PROGRAM = RELEASE / "load"


class Load:
    """`arguments` are those of the load program but --report."""

    def __init__(self, name, folder, arguments):
        self.name = name
        self.folder = folder / name
        self.folder.mkdir(parents=True)
        self.report_file = self.folder / "report.json"
        self.arguments = list(arguments)
        self.process = None  # of a container, the engine has it

    def snapshot(self):
        """The report so far."""
        before = self._stamp()
        self._signal(signal.SIGUSR1)
        until(lambda: self._stamp() != before, f"a report of the load {self.name}", 10, 0.01)
        return json.loads(self.report_file.read_text())

    def end(self):
        """Ends it without a report, where it runs."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def _stamp(self):
        try:
            status = os.stat(self.report_file)
            return status.st_ino, status.st_mtime_ns
        except FileNotFoundError:
            return None


class OutsideLoad(Load):
    def start(self):
        self.process = subprocess.Popen([PROGRAM, *self.arguments, "--report", self.report_file])

    def stop(self):
        """Ends it; the whole report."""
        self._signal(signal.SIGTERM)
        if self.process.wait(30) != 0:
            raise RuntimeError(f"the load {self.name} ended with {self.process.returncode}")
        return json.loads(self.report_file.read_text())

    def _signal(self, number):
        self.process.send_signal(number)


class ServiceLoad(Load):
    """Runs in a container on the same networks as a service and calls other services by their names, as it does."""

    def __init__(self, name, folder, arguments, engine, networks):
        super().__init__(name, folder, arguments)
        self.engine = engine
        self.networks = networks

    def start(self):
        binds = [f"{PROGRAM}:/load:ro", f"{self.folder}:/report"]
        command = ["/load", *self.arguments, "--report", "/report/report.json"]
        self.engine.run(f"load-{self.name}", "node:local", self.networks[0], command, binds, also=self.networks[1:])

    def stop(self):
        """Ends it; the whole report."""
        self._signal(signal.SIGTERM)
        status = self.engine.wait_exit(f"load-{self.name}")
        if status != 0:
            raise RuntimeError(f"the load {self.name} ended with {status}: {self.engine.logs(f'load-{self.name}')}")
        self.engine.remove(f"load-{self.name}")
        return json.loads(self.report_file.read_text())

    def _signal(self, number):
        self.engine.signal(f"load-{self.name}", signal.Signals(number).name)
