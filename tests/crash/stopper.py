"""stopper.cpp from the tests: kills deployd at one exact boundary, or counts the boundaries of what it does."""

import os
import re
import signal
import subprocess

from harness import RELEASE
from harness.wait import until

PROGRAM = RELEASE / "stopper"


class Stopper:
    """Follows one deployd. `at` 0 only counts; `victim` is the process to kill in place of deployd."""

    def __init__(self, report, engine, at=0, victim=0):
        self.report = report
        self.report.unlink(missing_ok=True)
        self.arguments = [PROGRAM, "--report", report, "--engine", engine.path, "--at", str(at), "--victim", str(victim)]
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
        return [normalised(line.split("\t")[1]) for line in self._lines() if "\t" in line]

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


def normalised(boundary):
    """Without what differs from one rollout to the next: hashes, ids, versions and temporary names."""
    text = re.sub(r"\?\S*", "", boundary.replace("/run/demo/", ""))
    text = text.replace("POST /v1.41", "POST ").replace("DELETE /v1.41", "DELETE ")
    text = re.sub(r"(pack_git2_)[0-9a-f]+?(idx)?\b", r"\1…", text)
    text = re.sub(r"[0-9a-f]{12,}", "…", text)
    text = re.sub(r"(backend|llm)-[0-9a-f]{7}-[0-9a-f]{6}", r"\1-…", text)
    return re.sub(r"rollout-\d+", "rollout-…", text)
