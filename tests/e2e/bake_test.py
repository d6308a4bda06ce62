"""Blue-green with a bake: the old version stays warm and gets the traffic back, by itself or on command, without a failed request."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness.backend import SERVICE, BackendCase  # noqa: E402
from harness.repos import release  # noqa: E402
from harness.scene import HOST  # noqa: E402
from harness.load import OutsideLoad  # noqa: E402
from harness.wait import until  # noqa: E402


class Bake(BackendCase):
    settings = {**SERVICE, "strategy": "blue-green", "bake": "60s"}

    def setUp(self):
        super().setUp()
        self.old = next(iter(self.scene.own_containers()))
        self.started = self.scene.engine.inspect(self.old)["State"]["StartedAt"]
        self.load = OutsideLoad("outside", HOST / "load", [
            "--target", f"{self.scene.nginx.address}:80", "--host", "demo.example", "--rate", "200", "--connections", "8",
            "--kinds", "keepalive-get,new-get", "--get-paths", "/api/info"])
        self.load.start()
        self.addCleanup(self.load.end)

    def bake(self, version):
        """Rolls out a version until it bakes; returns its container's name."""
        release(self.scene.repos["backend"], version)
        done = self.scene.agent.ctl("rollout", "backend", "--detach")
        self.assertEqual(done.returncode, 0, done.stderr)
        until(lambda: self.now().endswith("bake"), "the new version to bake", 60)
        self.assertIn("v2", self.scene.get("/api/info"))
        self.assertEqual(self.scene.own_containers()[self.old], "running")
        return next(name for name in self.scene.own_containers() if name != self.old)

    def now(self):
        rollout = self.scene.agent.view("status")["services"][0]["rollout"]
        return f"{rollout['phase']} {rollout['step']}" if rollout else ""

    def last(self):
        return self.scene.agent.view("history", "--limit", "1")["rollouts"][0]

    def check_back(self):
        self.assertIn("v1", self.scene.get("/api/info"))
        self.assertEqual(self.scene.own_containers(), {self.old: "running"})
        self.assertEqual(self.scene.engine.inspect(self.old)["State"]["StartedAt"], self.started)
        report = self.load.stop()
        self.assertGreater(report["requests"], 100)
        self.assertEqual(report["failed"], 0, report)

    def test_a_version_that_falls_ill(self):
        new = self.bake("v2")
        self.assertEqual(self.scene.engine.exec(new, "touch", "/tmp/ill"), 0)
        until(lambda: self.now() == "", "the rollout to end", 60)
        last = self.last()
        self.assertEqual(last["phase"], "rolled_back")
        self.assertRegex(last["reason"], r"^backend-\S+ is not healthy: healthy for \d+(\.\d+)? s only, not for 60 s: GET /api/health on port 8080 "
                                         r'answered 503: "\{"status":"DOWN"\}"$')
        self.assertTrue(any("connection pool is exhausted" in line for line in last["log"]), last["log"])
        self.check_back()

    def test_a_version_that_exits(self):
        self.bake("v2 dies")
        until(lambda: self.now() == "", "the rollout to end", 60)
        last = self.last()
        self.assertEqual(last["phase"], "rolled_back")
        self.assertRegex(last["reason"], r"^backend-\S+ is not healthy: (the container exited with code 4 after|the container ended after|"
                                         r"healthy for \d+(\.\d+)? s only)")
        self.assertIn("v1", self.scene.get("/api/info"))
        self.assertEqual(self.scene.engine.inspect(self.old)["State"]["StartedAt"], self.started)

    def test_a_rollback(self):
        self.bake("v2")
        done = self.scene.agent.ctl("rollback", "backend")
        self.assertEqual(done.returncode, 0, done.stderr)
        rollback, taken_back = self.scene.agent.view("history", "--limit", "2")["rollouts"]
        self.assertEqual((rollback["kind"], rollback["phase"]), ("rollback", "unchanged"))
        self.assertEqual(taken_back["phase"], "cancelled")
        self.assertRegex(taken_back["reason"], r"^taken back with deployctl rollback to backend-\S+ by \S+$")
        self.check_back()


if __name__ == "__main__":
    unittest.main()
