"""Health checks that are not HTTP, on a real engine: a port that accepts connections, a command in the container."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness.backend import SERVICE  # noqa: E402
from harness.scene import Scene  # noqa: E402

TIMES = {"interval": "100ms", "deadline": "6s"}


class Health(unittest.TestCase):
    def rollout(self, check):
        scene = Scene(services={"backend": {**SERVICE, "health": {**TIMES, **check}}})
        self.addCleanup(scene.close)
        scene.start()
        done = scene.agent.ctl("rollout", "backend")
        last = scene.agent.view("history", "--limit", "1")["rollouts"][0]
        return done.returncode, last["reason"]

    def test_a_port_that_is_open(self):
        self.assertEqual(self.rollout({"tcp": 8080}), (0, ""))

    def test_a_port_that_is_not(self):
        status, reason = self.rollout({"tcp": 9999})
        self.assertEqual(status, 1)
        self.assertRegex(
            reason, r"^backend-\S+ is not healthy: not healthy within 6 s: a connection to port 9999: connection refused: nothing listens on "
                    r"port 9999 of the container's network address; does the app use another port, or 127\.0\.0\.1 in place of 0\.0\.0\.0\?$")

    def test_a_command_that_works(self):
        self.assertEqual(self.rollout({"exec": ["node", "-e", "process.exit(0)"], "min_healthy": "1s"}), (0, ""))

    def test_a_command_that_does_not(self):
        status, reason = self.rollout({"exec": ["node", "-e", "console.log('db is down'); process.exit(4)"]})
        self.assertEqual(status, 1)
        self.assertRegex(reason, r'^backend-\S+ is not healthy: not healthy within 6 s: node exited with 4: "db is down"$')


if __name__ == "__main__":
    unittest.main()
