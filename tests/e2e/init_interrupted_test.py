"""`deployctl init --write` is killed (kill -9) at one point after the other; the next run leaves all of it, or nothing."""

import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import RELEASE  # noqa: E402
from harness.behindy import HOST, Behindy  # noqa: E402

STEP = 2  # of every two boundaries that follow each other, one: most differ in nothing that a later run sees


class InitInterrupted(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.host = Behindy()
        self.addCleanup(self.host.close)
        self.host.start()

    def killed_at(self, boundary):
        """Whether it was killed there, and did not end before."""
        report = HOST / "stopper.report"
        report.unlink(missing_ok=True)
        subprocess.run([RELEASE / "stopper", "--report", report, "--engine", self.host.engine.path, "--at", str(boundary), "--",
                        *self.host.init_command("--write")], stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)
        return report.read_text().splitlines()[-1] == "killed"

    def files(self):
        """Without the copies that are kept."""
        return {path: text for path, text in self.host.files().items() if "/init-copies/" not in path}

    def test_all_or_nothing(self):
        before = self.files()
        boundary, undone = 1, 0
        while self.killed_at(boundary):
            again = self.host.init()
            self.assertEqual(self.host.status("/api/health"), 200)
            if again.returncode == 0:
                break  # it was killed when all was done
            self.assertEqual((again.returncode, self.files()), (10, before), f"killed at {boundary}: {again.stderr}")
            undone += "was cut short, and is undone first" in again.stderr
            boundary += STEP
        self.assertGreater(undone, 5)
        self.assertEqual(self.host.init("--write").returncode, 0)
        self.assertNotEqual(self.files(), before)


if __name__ == "__main__":
    unittest.main()
