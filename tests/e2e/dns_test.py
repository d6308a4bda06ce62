"""A service that others find by its container's name, because Nginx cannot carry what they say to it."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness.backend import SERVICE, BackendCase  # noqa: E402
from harness.repos import release  # noqa: E402
from harness.scene import NETWORK  # noqa: E402

ASK = "fetch('http://backend:8080/api/info').then((answer) => answer.text()).then(console.log)"


class Dns(BackendCase):
    settings = {**SERVICE, "proxy": {"upstream": "backend", "port": 8080, "route": "dns"}}

    def asked_by_a_container(self):
        """What one answers that is on the users' network alone."""
        engine = self.scene.engine
        engine.run("asks", "node:local", NETWORK, ["node", "-e", ASK])
        self.assertEqual(engine.wait_exit("asks"), 0)
        answer = engine.logs("asks")
        engine.remove("asks")
        return answer

    def test_the_name_follows_the_live_container(self):
        self.assertIn("v1", self.asked_by_a_container())
        release(self.scene.repos["backend"], "v2")
        done = self.scene.agent.ctl("rollout", "backend")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, r"the name backend moved in \d+(\.\d+)? m?s")
        self.assertIn("v2", self.asked_by_a_container())
        self.assertIn("v2", self.scene.get("/api/info"))
        self.assertEqual(list(self.scene.own_containers()), ["backend"])
        release(self.scene.repos["backend"], "v3 unhealthy")
        self.assertEqual(self.scene.agent.ctl("rollout", "backend").returncode, 1)
        self.assertIn("v2", self.asked_by_a_container())


if __name__ == "__main__":
    unittest.main()
