"""What somebody changes by hand in a live container or an upstream file is told of, left as it is, and put back by a rollout."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness.backend import SERVICE, BackendCase  # noqa: E402
from harness.repos import release  # noqa: E402
from harness.scene import NETWORK  # noqa: E402
from harness.wait import until  # noqa: E402

MEMORY = 256 << 20


class Drift(BackendCase):
    settings = {**SERVICE, "container": {**SERVICE["container"], "mem_limit": "256m", "cpus": 0.5}}

    def drift(self):
        return self.scene.agent.view("status")["drift"]

    def live(self):
        return self.scene.agent.view("status")["services"][0]["live"]["revision"]

    def container(self):
        (name,) = self.scene.own_containers()
        return name

    def told(self, what, name):
        return f"the container {name} was changed by hand: {what}; make a new one with: deployctl rollback backend --to {self.live()}"

    def expect(self, *sentences):
        until(lambda: self.drift() == list(sentences), f"drift to be {sentences}", 60, 0.5)

    def roll(self):
        done = self.scene.agent.ctl("rollout", "backend")
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_changed_containers_are_told_of_and_made_anew_by_a_rollout(self):
        engine, ctl = self.scene.engine, self.scene.agent.ctl
        name = self.container()
        self.assertEqual(self.drift(), [])
        engine.call("POST", f"/containers/{name}/update", {"Memory": MEMORY // 2, "MemorySwap": MEMORY, "RestartPolicy": {"Name": "always"}})
        limits = f"its memory limit is {MEMORY // 2}, and not {MEMORY}, its restart policy is always, and not unless-stopped"
        self.expect(self.told(limits, name))
        self.assertIn("\ndrift: " + self.told(limits, name) + "\n", ctl("status").stdout)
        planned = ctl("plan", "backend")
        self.assertEqual(planned.returncode, 10, planned.stderr)
        self.assertIn(self.told(limits, name), planned.stdout)

        engine.call("POST", f"/containers/{name}/rename", name="mine")
        identifier = engine.inspect("mine")["Id"]
        engine.call("POST", f"/networks/{NETWORK}/disconnect", {"Container": identifier})
        self.expect(self.told(f"its name is mine, and not {name}, {limits}, it is not on the network {NETWORK} any more", name))
        # It serves on as it is.
        self.assertEqual(engine.inspect("mine")["State"]["Status"], "running")
        self.assertIn("v1", self.scene.get("/api/info"))

        self.assertIn("succeeded", self.roll())
        self.expect()
        fresh = engine.inspect(self.container())
        self.assertNotEqual(fresh["Id"], identifier)
        self.assertEqual((fresh["HostConfig"]["Memory"], fresh["HostConfig"]["RestartPolicy"]["Name"]), (MEMORY, "unless-stopped"))
        self.assertIn("unchanged", self.roll())
        self.assertEqual(ctl("plan").returncode, 0)

    def test_a_restart_by_hand_is_no_drift(self):
        engine = self.scene.engine
        engine.call("POST", f"/containers/{self.container()}/restart", t="1")
        self.scene.edit_service("backend", lambda text: text)  # deployd looks at everything when it starts
        until(lambda: self.scene.agent.view("status")["notes"] == [], "nothing to be in the way", 60)
        self.assertEqual(self.drift(), [])
        self.assertIn("unchanged", self.roll())

    def test_an_edited_upstream_file_stays_until_the_next_switch_and_its_text_is_kept(self):
        file = self.scene.nginx.upstreams / "backend.conf"
        edited = file.read_text().replace("upstream backend {\n", "upstream backend {\n    keepalive 7;\n")
        self.assertIn("keepalive 7;", edited)
        file.write_text(edited)
        self.expect(f"{file} was changed by hand; the next switch writes deployd's own text again, and keeps this one beside it as {file}.edited")
        self.assertEqual(file.read_text(), edited)
        release(self.scene.repos["backend"], "v2")
        told = self.scene.agent.ctl("rollout", "backend").stderr
        self.assertNotIn("keepalive 7;", file.read_text())
        kept = file.with_name("backend.conf.edited")
        self.assertEqual(kept.read_text(), edited)
        self.expect()
        self.assertIn(f"{file} was changed by hand; it has deployd's own text again, and what was there is in {kept}", told)
        # One that sends requests elsewhere, or is not there any more, is written again at once.
        own = file.read_text()
        file.write_text(own.replace("server ", "server 10.255.0.1:8080; # "))
        until(lambda: file.read_text().splitlines()[:5] == own.splitlines()[:5], "the file to be back", 60, 0.5)
        self.assertIn("10.255.0.1", file.with_name("backend.conf.edited-2").read_text())
        file.unlink()
        until(file.exists, "the file to be back", 60, 0.5)
        self.assertIn("v2", self.scene.get("/api/info"))


if __name__ == "__main__":
    unittest.main()
