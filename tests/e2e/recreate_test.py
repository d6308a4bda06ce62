"""A service that cannot run twice: the old version stops before the new one starts, and comes back where that one fails."""

import pathlib
import re
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness.backend import SERVICE, BackendCase  # noqa: E402
from harness.repos import release  # noqa: E402


class MostRunning:
    """How many containers of ours ran at once, as often as the engine can be asked."""

    def __init__(self, scene):
        self.scene = scene
        self.most = 0
        self.ends = threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.ends.is_set():
            self.most = max(self.most, list(self.scene.own_containers().values()).count("running"))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ends.set()
        self.thread.join()


class Recreate(BackendCase):
    settings = {**SERVICE, "strategy": "recreate"}

    def rollout(self, version):
        release(self.scene.repos["backend"], version)
        with MostRunning(self.scene) as running:
            done = self.scene.agent.ctl("rollout", "backend")
        self.assertEqual(running.most, 1)
        last = self.scene.agent.view("history", "--limit", "1")["rollouts"][0]["id"]
        return done, self.scene.agent.view("show", str(last))

    def test_never_two_at_once(self):
        done, shown = self.rollout("v2")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("v2", self.scene.get("/api/info"))
        self.assertIn("the strategy is recreate, so backend answers nothing from the stop of the old version until the new one is healthy",
                      done.stderr)
        switches = [step["detail"] for step in shown["steps"] if step["kind"] == "switch"]
        self.assertRegex(switches[0], r": no target has the traffic from here on$")
        self.assertRegex(switches[1], r": no target had the traffic for \d+(\.\d+)? m?s$")

    def test_the_old_one_comes_back(self):
        done, shown = self.rollout("v2 unhealthy")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(shown["phase"], "rolled_back")
        self.assertTrue(re.search("is not healthy", shown["reason"]), shown["reason"])
        self.assertIn("v1", self.scene.get("/api/info"))
        self.assertEqual(list(self.scene.own_containers().values()), ["running"])


if __name__ == "__main__":
    unittest.main()
