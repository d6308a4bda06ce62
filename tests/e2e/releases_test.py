"""Releases of three services: taken back together, by themselves where they are atomic, or on command."""

import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import github  # noqa: E402
from harness.repos import release  # noqa: E402
from harness.scene import SERVICES, Scene  # noqa: E402
from harness.wait import until  # noqa: E402


class Releases(unittest.TestCase):
    def start(self, atomic=False):
        self.scene = Scene()
        self.addCleanup(self.scene.close)
        settings = json.loads(self.scene.agent.config.read_text())
        settings["release"]["atomic"] = atomic
        self.scene.agent.config.write_text(json.dumps(settings))
        self.scene.start()
        self.assertEqual(self.push({}), {service: "succeeded" for service in SERVICES})
        self.first = self.live()

    def push(self, versions):
        """Pushes to all three at once; {service: phase} of the release that comes of it."""
        last = max((rollout["id"] for rollout in self.scene.agent.rollouts()), default=0)
        for service in SERVICES:
            if service in versions:
                release(self.scene.repos[service], versions[service])
            status, text = self.scene.github.send(*github.push(self.scene.repos[service]))
            self.assertEqual(status, 202, text)

        def ended():
            fresh = [rollout for rollout in self.scene.agent.rollouts() if rollout["id"] > last]
            of_release = [rollout for rollout in fresh if rollout["release"] == min(other["release"] for other in fresh)] if fresh else []
            return of_release if len(of_release) == 3 and all(rollout["finished"] for rollout in of_release) else None
        rollouts = until(ended, "the release to end", 180, 0.2)
        self.release = rollouts[0]["release"]
        return {rollout["service"]: rollout["phase"] for rollout in rollouts}

    def live(self):
        return {service: live["revision"] for service, live in self.scene.agent.live().items()}

    def of_release(self):
        """{service: rollout} of the release that push() made."""
        return {rollout["service"]: rollout for rollout in self.scene.agent.rollouts() if rollout["release"] == self.release}

    def quiet(self):
        return all(not view["rollout"] for view in self.scene.agent.view("status")["services"])

    def test_without_atomic_what_went_live_stays_and_goes_back_on_command(self):
        self.start()
        ended = self.push({"llm": "v2", "backend": "v2", "frontend": "v2 unhealthy"})
        self.assertEqual(ended, {"llm": "succeeded", "backend": "succeeded", "frontend": "rolled_back"})
        self.assertIn("v2", self.scene.get("/api/info"))
        done = self.scene.agent.ctl("rollback", "--release", str(self.release))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.live(), self.first)
        self.assertIn("v1", self.scene.get("/api/info"))
        back = sorted(self.scene.agent.rollouts(), key=self.scene.agent.let_in)[-2:]
        self.assertEqual([rollout["service"] for rollout in back], ["backend", "llm"])
        again = self.scene.agent.ctl("rollback", "--release", str(self.release))
        self.assertEqual(again.returncode, 2)
        self.assertIn(f"nothing of release {self.release} can be taken back: llm has another revision by now", again.stderr)

    def test_an_atomic_release_that_fails_is_taken_back(self):
        self.start(atomic=True)
        ended = self.push({"llm": "v2", "backend": "v2", "frontend": "v2 crash"})
        self.assertEqual(ended, {"llm": "succeeded", "backend": "succeeded", "frontend": "rolled_back"})
        until(lambda: self.live() == self.first and self.quiet(), "llm and backend to be back", 120, 0.2)
        back = sorted(self.scene.agent.rollouts(), key=self.scene.agent.let_in)[-2:]
        self.assertEqual([(rollout["service"], rollout["phase"]) for rollout in back], [("backend", "succeeded"), ("llm", "succeeded")])
        self.assertRegex(back[0]["cause"], rf"^release {self.release} is atomic, and frontend failed in it \(rollout \d+\)$")

    def test_a_failing_first_holds_the_others_back_and_they_say_why(self):
        self.start(atomic=True)
        ended = self.push({"llm": "v2 unhealthy", "backend": "v2", "frontend": "v2"})
        self.assertEqual(ended, {"llm": "rolled_back", "backend": "cancelled", "frontend": "cancelled"})
        self.assertEqual(self.live(), self.first)
        rollouts = self.of_release()
        for service, first in (("backend", "llm"), ("frontend", "llm")):
            self.assertEqual(rollouts[service]["reason"],
                             f"{first}, which {service} depends on, was not rolled out (rollout {rollouts[first]['id']})")

    def test_a_failing_backend_without_atomic_leaves_llm_and_holds_frontend_back(self):
        self.start()
        ended = self.push({"llm": "v2", "backend": "v2 unhealthy", "frontend": "v2"})
        self.assertEqual(ended, {"llm": "succeeded", "backend": "rolled_back", "frontend": "cancelled"})
        until(self.quiet, "everything to be quiet", 60, 0.2)
        live = self.live()
        self.assertNotEqual(live["llm"], self.first["llm"])
        self.assertEqual((live["backend"], live["frontend"]), (self.first["backend"], self.first["frontend"]))
        rollouts = self.of_release()
        self.assertEqual(rollouts["frontend"]["reason"],
                         f"backend, which frontend depends on, was not rolled out (rollout {rollouts['backend']['id']})")
        self.assertIn("v1", self.scene.get("/api/info"))

    def test_a_failing_backend_with_atomic_takes_llm_back(self):
        self.start(atomic=True)
        ended = self.push({"llm": "v2", "backend": "v2 unhealthy", "frontend": "v2"})
        self.assertEqual(ended, {"llm": "succeeded", "backend": "rolled_back", "frontend": "cancelled"})
        until(lambda: self.live() == self.first and self.quiet(), "llm to be back", 120, 0.2)
        back = self.scene.agent.rollouts()[-1]
        self.assertEqual((back["service"], back["kind"], back["phase"]), ("llm", "rollback", "succeeded"))
        self.assertEqual(back["cause"],
                         f"release {self.release} is atomic, and backend failed in it (rollout {self.of_release()['backend']['id']})")


if __name__ == "__main__":
    unittest.main()
