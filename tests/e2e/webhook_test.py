"""What GitHub's events lead to, from the delivery to the traffic."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import github  # noqa: E402
from harness.repos import release  # noqa: E402
from harness.scene import SERVICES, Scene  # noqa: E402
from harness.wait import until  # noqa: E402

FINAL = {"succeeded", "unchanged", "rolled_back", "cancelled", "superseded", "needs_operator"}


class Webhook(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scene = Scene()
        cls.addClassCleanup(cls.scene.close)
        cls.scene.start()
        cls.agent = cls.scene.agent

    def rollouts_after(self, last, number):
        def ended():
            fresh = [rollout for rollout in self.agent.rollouts() if rollout["id"] > last]
            return fresh if len(fresh) >= number and all(r["phase"] in FINAL for r in fresh) else None
        return until(ended, f"{number} rollouts to end", 120, 0.2)

    def last_rollout(self):
        return max((rollout["id"] for rollout in self.agent.rollouts()), default=0)

    def test_1_pushes_that_arrive_together_go_out_in_order(self):
        for service in reversed(SERVICES):
            status, text = self.scene.github.send(*github.push(self.scene.repos[service]))
            self.assertEqual(status, 202, text)
        rollouts = sorted(self.rollouts_after(0, 3), key=self.agent.let_in)
        self.assertEqual([(r["service"], r["phase"]) for r in rollouts], [(service, "succeeded") for service in SERVICES])
        self.assertEqual(len({r["release"] for r in rollouts}), 1)
        for first, second in zip(rollouts, rollouts[1:]):
            promoted = [step["finished"] for step in self.agent.view("show", str(first["id"]))["steps"] if step["kind"] == "promote"]
            self.assertLessEqual(promoted, [self.agent.let_in(second)])
        self.assertIn("frontend v1", self.scene.get("/"))
        self.assertIn('"v1"', self.scene.get("/api/info"))

    def test_2_a_wrong_signature_leaves_nothing(self):
        last = self.last_rollout()
        release(self.scene.repos["backend"], "v2")
        event, payload = github.push(self.scene.repos["backend"])
        status, _ = self.scene.github.send(event, payload, signature="sha256=" + "0" * 64)
        self.assertEqual(status, 401)
        # What is sent next is what is deployed next: nothing of the refused delivery waits before it.
        status, text = self.scene.github.send(event, payload)
        self.assertEqual(status, 202, text)
        rollouts = self.rollouts_after(last, 1)
        self.assertEqual([(r["service"], r["phase"]) for r in rollouts], [("backend", "succeeded")])
        self.assertIn('"v2"', self.scene.get("/api/info"))

    def test_3_what_deploys_nothing_is_answered_with_the_reason(self):
        last = self.last_rollout()
        repo = self.scene.repos["backend"]
        status, text = self.scene.github.send(*github.push(repo, branch="feature"))
        self.assertEqual((status // 100, '"feature"' in text.replace("\\", "")), (2, True), text)
        event, payload = github.push(repo)
        status, text = self.scene.github.send(event, {**payload, "after": "0" * 40, "deleted": True, "head_commit": None})
        self.assertEqual(status // 100, 2, text)
        status, text = self.scene.github.send("ping", {"zen": "Keep it simple.", "hook_id": 1})
        self.assertEqual(status // 100, 2, text)
        self.assertEqual(self.last_rollout(), last)

    def test_4_a_kill_in_the_middle_of_a_rollout_converges(self):
        last = self.last_rollout()
        release(self.scene.repos["backend"], "v3")
        self.assertEqual(self.scene.github.send(*github.push(self.scene.repos["backend"]))[0], 202)
        until(lambda: self.agent.rollouts()[-1]["id"] > last and self.agent.rollouts()[-1]["phase"] == "running",
              "the rollout to start")
        self.agent.kill()
        self.assertIn('"v', self.scene.get("/api/info"))
        self.agent.start()
        rollouts = self.rollouts_after(last, 1)
        self.assertEqual([r["phase"] for r in rollouts], ["succeeded"], rollouts)
        self.assertIn('"v3"', self.scene.get("/api/info"))
        backends = [name for name in self.scene.own_containers() if name.startswith("backend")]
        self.assertEqual(len(backends), 1, backends)


if __name__ == "__main__":
    unittest.main()
