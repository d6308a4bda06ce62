"""Health checks that are not HTTP, on a real engine: a port, a command, a line of the log, a warm-up, and several of them."""

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

    def test_several_at_once(self):
        self.assertEqual(self.rollout({"log": "backend v1 listens on 8080", "tcp": 8080, "http": "/api/health",
                                       "warm_up": {"http": "/api/info", "timeout": "20s"}}), (0, ""))

    def test_a_line_that_does_not_come(self):
        status, reason = self.rollout({"log": "listens on 9999", "http": "/api/health"})
        self.assertEqual(status, 1)
        self.assertRegex(reason, r'^backend-\S+ is not healthy: not healthy within 6 s: its log does not say "listens on 9999"$')

    def test_a_target_that_never_warms_up(self):
        status, reason = self.rollout({"tcp": 8080, "port": 8080, "warm_up": {"http": "/api/nowhere", "timeout": "2s"}})
        self.assertEqual(status, 1)
        self.assertRegex(reason, r"^backend-\S+ is not healthy: not warm within 2 s: the warm-up GET /api/nowhere on port 8080 answered 404: "
                                 r'"\{"error":"not found"\}"$')

    def test_a_command_that_works(self):
        self.assertEqual(self.rollout({"exec": ["node", "-e", "process.exit(0)"], "min_healthy": "1s"}), (0, ""))

    def test_a_command_that_does_not(self):
        status, reason = self.rollout({"exec": ["node", "-e", "console.log('db is down'); process.exit(4)"]})
        self.assertEqual(status, 1)
        self.assertRegex(reason, r'^backend-\S+ is not healthy: not healthy within 6 s: node exited with 4: "db is down"$')


if __name__ == "__main__":
    unittest.main()
