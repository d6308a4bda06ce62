"""The short form of `./dev bench switch`: 50,000 requests over 10 rollouts and more, and not one of them fails."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness.switching import Switching  # noqa: E402

REQUESTS, ROLLOUTS = 50_000, 10


class Switch(unittest.TestCase):
    def test_no_request_fails(self):
        switching = Switching()
        self.addCleanup(switching.scene.close)
        switching.start(600, 600)
        for number, _ in enumerate(switching.rollouts(), 1):
            if number >= ROLLOUTS and switching.requests() >= REQUESTS:
                break
        for name, report in switching.stop().items():
            self.assertEqual(report["failed"], 0, f"{name}: {report}")


if __name__ == "__main__":
    unittest.main()
