"""stopper.cpp from the tests: kills deployd at one exact boundary, or counts the boundaries of what it does."""

import os
import signal
import subprocess

from harness import RELEASE
from harness.wait import until

PROGRAM = RELEASE / "stopper"


class Stopper:
    """Follows one deployd. `at`: the number of the boundary to kill at, or (boundary, how often it has come by then); 0 only
    counts. `victim`: the process to kill in place of deployd."""

    def __init__(self, report, engine, at=0, victim=0):
        self.report = report
        self.report.unlink(missing_ok=True)
        place = ["--at", str(at)] if isinstance(at, int) else ["--boundary", at[0], "--nth", str(at[1])]
        self.arguments = [PROGRAM, "--report", report, "--engine", engine.path, *place, "--victim", str(victim)]
        self.process = None

    def attach(self, pid):
        """From now on it follows the deployd `pid`."""
        self.process = subprocess.Popen([*self.arguments, "--pid", str(pid)])
        until(self._lines, "the stopper to follow deployd", 10, 0.002)

    def launcher(self):
        """What stands before deployd's own arguments for it to be followed from its first step."""
        return [*self.arguments, "--"]

    def boundaries(self):
        """Those that were passed, in order; the last one is where deployd died if it was killed."""
        return [line.split("\t")[1] for line in self._lines() if "\t" in line]

    def times(self):
        """Of the same boundaries, in milliseconds."""
        return [int(line.split("\t")[0]) for line in self._lines() if "\t" in line]

    def killed(self):
        return "killed" in self._lines()

    def end(self):
        """Lets go of a deployd that lives."""
        lines = until(self._lines, "the stopper to have started", 10, 0.002)
        if not {"killed", "ended"} & set(lines):
            try:
                os.kill(int(lines[0].split()[1]), signal.SIGTERM)
            except ProcessLookupError:
                pass
        until(lambda: {"killed", "ended"} & set(self._lines()), "the stopper to end", 10, 0.002)
        if self.process:
            self.process.wait(10)

    def _lines(self):
        try:
            text = self.report.read_text()
        except FileNotFoundError:
            return []
        return text[:text.rfind("\n") + 1].splitlines()  # whole lines only
