"""Two services in one repository: a push rolls out those whose files it changed."""

import pathlib
import shutil
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import APPS, github  # noqa: E402
from harness.backend import SERVICE  # noqa: E402
from harness.repos import Repo  # noqa: E402
from harness.scene import HOST, Scene  # noqa: E402
from harness.wait import until  # noqa: E402


def settings(name, port):
    return {**SERVICE, "service": name, "repo": "demo/mono", "paths": [name],
            "source": {"git": {"url": f"file://{HOST}/git/mono.git", "context": name}},
            "health": {"tcp": port, "interval": "100ms", "deadline": "10s"}, "proxy": {"port": port, "upstream": name}}


class Paths(unittest.TestCase):
    def setUp(self):
        self.scene = Scene(services={"llm": settings("llm", 8000), "backend": settings("backend", 8080)})
        self.addCleanup(self.scene.close)
        self.repo = Repo(HOST / "git", "mono")
        for service in ("llm", "backend"):
            shutil.copytree(APPS / service, self.repo.work / service)
            shutil.copy(APPS / "serve.js", self.repo.work / service)
            self.repo.write(f"{service}/SERVICE", service + "\n")
            self.repo.write(f"{service}/VERSION", "v1\n")
        self.repo.commit("both at v1")
        self.scene.start()

    def push(self):
        """{service: phase} of what a push of the repository's head leads to."""
        last = max((rollout["id"] for rollout in self.scene.agent.rollouts()), default=0)
        status, text = self.scene.github.send(*github.push(self.repo))
        self.assertEqual(status, 202, text)

        def ended():
            fresh = [rollout for rollout in self.scene.agent.rollouts() if rollout["id"] > last]
            return fresh if len(fresh) == 2 and all(rollout["finished"] for rollout in fresh) else None
        return {rollout["service"]: rollout["phase"] for rollout in until(ended, "both rollouts to end", 120, 0.2)}

    def test_a_push_rolls_out_what_it_changed(self):
        self.assertEqual(self.push(), {"llm": "succeeded", "backend": "succeeded"})
        self.repo.write("backend/VERSION", "v2\n")
        self.repo.commit("backend v2")
        self.assertEqual(self.push(), {"llm": "unchanged", "backend": "succeeded"})
        self.assertIn("v2", self.scene.get("/api/info"))
        self.repo.write("README.md", "notes\n")
        self.repo.commit("notes")
        self.assertEqual(self.push(), {"llm": "unchanged", "backend": "unchanged"})


if __name__ == "__main__":
    unittest.main()
