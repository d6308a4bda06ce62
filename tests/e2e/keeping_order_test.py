"""Rollouts that are stopped, and what is live between rollouts: on a real engine and a real Nginx."""

import pathlib
import shutil
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import github  # noqa: E402
from harness.bad_input import SERVICE  # noqa: E402
from harness.repos import release  # noqa: E402
from harness.scene import HOST, Scene  # noqa: E402
from harness.wait import until  # noqa: E402


class KeepingOrder(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scene = Scene(settle="100ms", services={"frontend": SERVICE})
        cls.addClassCleanup(cls.scene.close)
        cls.scene.start()
        cls.agent, cls.repo = cls.scene.agent, cls.scene.repos["frontend"]
        cls.dockerfile = (cls.repo.work / "Dockerfile").read_text()
        done = cls.agent.ctl("rollout", "frontend")
        assert done.returncode == 0, done.stderr

    def serves(self, version):
        try:
            return f"frontend {version}" in self.scene.get("/")
        except OSError:
            return False

    def rollout_in(self, step):
        """The number of the rollout that is in this step."""
        def found():
            active = self.agent.view("status")["services"][0]["rollout"]
            return active["id"] if active and active["step"] == step else None
        return until(found, f"a rollout in its step {step}", 60, 0.05)

    def begin_long_build(self, seconds):
        """A push whose build runs `sleep` for so long, which the name of the process tells."""
        self.repo.write("Dockerfile", self.dockerfile + f"\nRUN sleep {seconds}\n")
        self.repo.commit("Take long to build")
        self.addCleanup(self.repo.write, "Dockerfile", self.dockerfile)
        status, text = self.scene.github.send(*github.push(self.repo))
        self.assertEqual(status, 202, text)
        number = self.rollout_in("build")
        until(lambda: self.running(seconds), "the build's command to run", 60, 0.1)
        return number

    @staticmethod
    def running(seconds):
        return subprocess.run(["pgrep", "-fx", f"sleep {seconds}"], stdout=subprocess.DEVNULL).returncode == 0

    def test_1_cancel_stops_a_build_in_the_engine_and_undoes_it(self):
        before = self.scene.own_containers()
        number = self.begin_long_build(1001)
        done = self.agent.ctl("cancel", "frontend")
        self.assertEqual(done.returncode, 0, done.stderr)
        view = self.agent.view("show", str(number))
        self.assertEqual((view["phase"], view["reason"]), ("cancelled", "cancelled by root"))
        until(lambda: not self.running(1001), "the engine to end the build's command", 20)
        self.assertEqual(self.scene.own_containers(), before)
        self.assertTrue(self.serves("v1"))
        again = self.agent.ctl("cancel", str(number))
        self.assertEqual((again.returncode, again.stderr),
                         (2, f"deployctl: rollout {number} of frontend has ended already: cancelled\n"))

    def test_2_a_newer_commit_takes_the_place_of_a_build(self):
        number = self.begin_long_build(1002)
        self.repo.write("Dockerfile", self.dockerfile)
        release(self.repo, "v2")
        status, text = self.scene.github.send(*github.push(self.repo))
        self.assertEqual(status, 202, text)
        until(lambda: self.serves("v2"), "the newer version", 60, 0.2)
        self.assertEqual(self.agent.view("show", str(number))["phase"], "superseded")
        self.assertFalse(self.running(1002))

    def test_3_a_paused_service_waits_over_a_restart(self):
        paused = self.agent.ctl("pause", "frontend", "--reason", "the fair")
        self.assertEqual((paused.returncode, paused.stdout),
                         (0, "no rollout of frontend begins until: deployctl resume frontend\n"))
        release(self.repo, "v3")
        status, text = self.scene.github.send(*github.push(self.repo))
        self.assertEqual(status, 202, text)
        until(lambda: self.agent.view("status")["services"][0]["rollout"], "the queued rollout")
        self.assertEqual(self.agent.stop(), 0)
        self.agent.start()
        self.assertRegex(self.agent.ctl("status").stdout,
                         r"(?m)^paused: frontend since .* by root \(the fair\); resume with: deployctl resume frontend$")
        self.assertTrue(self.serves("v2"))
        self.assertEqual(self.agent.ctl("resume", "frontend").returncode, 0)
        # Until its end: a switch is undone where Nginx goes away before it is proved.
        until(lambda: self.agent.rollouts()[-1]["phase"] == "succeeded", "the version that waited", 60, 0.2)
        self.assertTrue(self.serves("v3"))

    def test_4_an_nginx_that_is_made_anew_has_its_routes_and_networks_again(self):
        self.scene.engine.remove("nginx")
        self.scene.nginx.start()
        until(lambda: self.serves("v3"), "the new Nginx to route", 60, 0.2)
        networks = self.scene.engine.inspect("nginx")["NetworkSettings"]["Networks"]
        self.assertIn("frontend", networks["deployctl"]["Aliases"])
        until(lambda: not self.agent.view("status")["notes"], "the status to be clean again", 60, 0.2)

    def test_5_a_live_container_that_is_stopped_by_hand_comes_back(self):
        name = next(iter(self.scene.own_containers()))
        self.scene.engine.call("POST", f"/containers/{name}/stop", t="1")
        until(lambda: self.serves("v3"), "the container to run again", 60, 0.2)
        self.assertIn(f"started {name} again, which was exited", self.agent.log_text())

    def test_6_with_a_lost_state_folder_what_is_live_is_taken_up_again(self):
        live = self.scene.own_containers()
        self.assertEqual(self.agent.stop(), 0)
        shutil.rmtree(HOST / "state")
        failures = []
        stop = threading.Event()

        def watch():
            while not stop.is_set():
                if not self.serves("v3"):
                    failures.append("no answer of v3")
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            self.agent.start()
            until(lambda: self.agent.live()["frontend"], "the live version to be known again", 60, 0.2)
        finally:
            stop.set()
            watcher.join()
        self.assertEqual(failures, [])
        self.assertEqual(self.scene.own_containers(), live)
        self.assertEqual([(r["phase"], r["cause"]) for r in self.agent.rollouts()],
                         [("succeeded", "containers found by their labels, not in the state of deployd")])
        release(self.repo, "v4")
        done = self.agent.ctl("rollout", "frontend")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(self.serves("v4"))
        until(lambda: len(self.scene.own_containers()) == 1, "the replaced container to go")


if __name__ == "__main__":
    unittest.main()
