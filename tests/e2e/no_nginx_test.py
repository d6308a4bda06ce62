"""A host without Nginx: an app on a port of the host is recreated, and one that others find by name is not."""

import json
import pathlib
import sys
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness.backend import SERVICE  # noqa: E402
from harness.repos import release  # noqa: E402
from harness.scene import NETWORK, Scene  # noqa: E402
from harness.wait import until  # noqa: E402

HEALTH = SERVICE["health"]
ASK = "fetch('http://backend:8080/api/info').then((answer) => answer.text()).then(console.log)"


class NoNginx(unittest.TestCase):
    services = {
        "llm": {**SERVICE, "service": "llm", "repo": "demo/llm", "container": {"ports": ["127.0.0.1:18000:8000"]},
                "source": {"git": {"url": SERVICE["source"]["git"]["url"].replace("backend", "llm")}},
                "health": {**HEALTH, "http": "/health"}, "proxy": {"port": 8000}},
        "backend": {**SERVICE, "proxy": {"port": 8080, "route": "dns"}},
    }

    def setUp(self):
        self.scene = Scene(services=self.services)
        self.addCleanup(self.scene.close)
        settings = json.loads(self.scene.agent.config.read_text())
        del settings["proxy"]
        self.scene.agent.config.write_text(json.dumps(settings))
        self.scene.agent.start()
        self.rollout("llm", "backend")

    def rollout(self, *services):
        done = self.scene.agent.ctl("rollout", *services)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stderr

    def from_outside(self):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open("http://127.0.0.1:18000/health", timeout=10) as answer:
            return answer.read().decode()

    def by_name(self):
        engine = self.scene.engine
        engine.run("asks", "node:local", NETWORK, ["node", "-e", ASK])
        self.assertEqual(engine.wait_exit("asks"), 0)
        answer = engine.logs("asks")
        engine.remove("asks")
        return answer

    def test_both_are_rolled_out_and_back(self):
        self.assertIn("v1", self.from_outside())
        self.assertIn("v1", self.by_name())
        release(self.scene.repos["llm"], "v2")
        said = self.rollout("llm")
        self.assertIn("the strategy is recreate", said)
        self.assertIn("the name llm moved in", said)
        self.assertIn("v2", self.from_outside())
        release(self.scene.repos["backend"], "v2")
        said = self.rollout("backend")
        self.assertRegex(said, r"switch: the name backend moved in \d+(\.\d+)? m?s")
        self.assertNotIn("proved", said)
        self.assertIn("v2", self.by_name())
        self.assertEqual(sorted(self.scene.own_containers()), ["backend", "llm"])

        release(self.scene.repos["llm"], "v3 unhealthy")
        self.assertEqual(self.scene.agent.ctl("rollout", "llm").returncode, 1)
        self.assertIn("v2", self.from_outside())
        back = self.scene.agent.ctl("rollback", "llm")
        self.assertEqual(back.returncode, 0, back.stderr)
        self.assertIn("v1", self.from_outside())
        self.assertEqual(sorted(self.scene.own_containers()), ["backend", "llm"])

        # A lost state folder: who has a name is live again.
        self.scene.agent.stop()
        for file in pathlib.Path(json.loads(self.scene.agent.config.read_text())["state"]).glob("state.db*"):
            file.unlink()
        self.scene.agent.start()
        until(lambda: all(self.scene.agent.live().values()), "who has a name to be live again")
        release(self.scene.repos["llm"], "v4")
        self.rollout("llm", "backend")
        self.assertIn("v4", self.from_outside())
        self.assertEqual(sorted(self.scene.own_containers()), ["backend", "llm"])
        doctor = self.scene.agent.ctl("doctor", "--config", str(self.scene.agent.config))
        self.assertEqual(doctor.returncode, 0, doctor.stdout)
        self.assertIn("there is no Nginx, so the old version of llm stops before the new one starts", doctor.stdout)


if __name__ == "__main__":
    unittest.main()
