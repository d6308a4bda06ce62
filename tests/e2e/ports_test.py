"""A service that publishes a port of the host cannot run twice: it is recreated without being told so; and what runs before a stop."""

import pathlib
import sys
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness.backend import SERVICE, BackendCase  # noqa: E402
from harness.repos import release  # noqa: E402


class Ports(BackendCase):
    settings = {**SERVICE, "container": {"ports": ["127.0.0.1:18080:8080"], "pre_stop": ["node", "-e", "console.log('bye')"]}}

    def direct(self):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open("http://127.0.0.1:18080/api/info", timeout=10) as answer:
            return answer.read().decode()

    def test_recreated(self):
        self.assertIn("v1", self.direct())
        release(self.scene.repos["backend"], "v2")
        done = self.scene.agent.ctl("rollout", "backend")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("the strategy is recreate", done.stderr)
        self.assertIn("v2", self.direct())
        self.assertIn("v2", self.scene.get("/api/info"))
        last = self.scene.agent.view("history", "--limit", "1")["rollouts"][0]
        log = self.scene.agent.ctl("logs", str(last["id"])).stdout
        self.assertRegex(log, r"backend-\S+: pre_stop exited with 0\n")


if __name__ == "__main__":
    unittest.main()
