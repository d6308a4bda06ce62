"""Pushes to one, to two and to all three of the services' repositories: what was pushed goes out, in order, and nothing else."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import github  # noqa: E402
from harness.repos import release  # noqa: E402
from harness.scene import SERVICES, Scene  # noqa: E402
from harness.wait import until  # noqa: E402


class Pushes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scene = Scene()
        cls.addClassCleanup(cls.scene.close)
        cls.scene.start()
        cls.agent = cls.scene.agent
        done = cls.agent.ctl("rollout", *SERVICES)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)

    def revisions(self):
        return {service: live["revision"] for service, live in self.agent.live().items()}

    def push(self, version, *services):
        """The rollouts that pushes to these lead to, by when each was let in; all are of one release, and every other
        service stays as it is."""
        before, last = self.revisions(), len(self.agent.rollouts())
        for service in reversed(services):
            release(self.scene.repos[service], version)
            status, text = self.scene.github.send(*github.push(self.scene.repos[service]))
            self.assertEqual(status, 202, text)

        def ended():
            fresh = self.agent.rollouts()[last:]
            return fresh if len(fresh) == len(services) and all(rollout["finished"] for rollout in fresh) else None
        rollouts = sorted(until(ended, "the rollouts to end", 120, 0.2), key=self.agent.let_in)
        self.assertEqual([(rollout["service"], rollout["phase"]) for rollout in rollouts], [(service, "succeeded") for service in services])
        self.assertEqual(len({rollout["release"] for rollout in rollouts}), 1)
        for first, second in zip(rollouts, rollouts[1:]):
            promoted = [step["finished"] for step in self.agent.view("show", str(first["id"]))["steps"] if step["kind"] == "promote"]
            self.assertLessEqual(promoted, [self.agent.let_in(second)])
        after = self.revisions()
        for service in SERVICES:
            check = self.assertNotEqual if service in services else self.assertEqual
            check(after[service], before[service])

    def test_1_to_one(self):
        self.push("v2", "backend")
        self.assertIn('"v2"', self.scene.get("/api/info"))
        self.assertIn("frontend v1", self.scene.get("/"))

    def test_2_to_two(self):
        self.push("v3", "llm", "frontend")
        self.assertIn('"v2"', self.scene.get("/api/info"))
        self.assertIn("frontend v3", self.scene.get("/"))

    def test_3_to_all_three(self):
        self.push("v4", *SERVICES)
        self.assertIn('"v4"', self.scene.get("/api/info"))
        self.assertIn("frontend v4", self.scene.get("/"))


if __name__ == "__main__":
    unittest.main()
