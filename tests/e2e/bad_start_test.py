"""A host that is not ready when deployd starts: it answers, says what it waits for, and goes on when that is there."""

import json
import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import github  # noqa: E402
from harness.bad_input import SERVICE  # noqa: E402
from harness.scene import HOST, Scene  # noqa: E402
from harness.wait import until  # noqa: E402


class BadStart(unittest.TestCase):
    maxDiff = None

    def scene_with(self, **settings):
        """Everything but deployd runs, and agent.yaml has these settings in place of its own."""
        scene = Scene(services={"frontend": SERVICE})
        self.addCleanup(scene.close)
        scene.registry.start()
        scene.nginx.start()
        config = scene.agent.config
        config.write_text(json.dumps({**json.loads(config.read_text()), **settings}))
        return scene

    def assert_waits_and_goes_on(self, scene, problem, mend):
        """A webhook, a question and a command are answered while deployd waits; what they asked for happens when `mend` was
        called, with no restart."""
        agent = scene.agent
        agent.start()
        status, text = scene.github.send(*github.push(scene.repos["frontend"]))
        self.assertEqual(status, 202, text)
        until(lambda: agent.view("status")["notes"], "the reason in the status")
        self.assertEqual(agent.view("status")["notes"], [problem])
        self.assertTrue(agent.ctl("status").stdout.endswith(f"\nnote: {problem}\n"), agent.ctl("status").stdout)
        self.assertIn(f"error no rollout can start yet: {problem}\n", agent.log_text())
        waited = agent.ctl("rollout", "frontend", "--timeout", "1s")
        self.assertEqual(waited.returncode, 5, waited.stderr)
        rollout = agent.rollouts()[-1]
        self.assertEqual((rollout["phase"], waited.stdout), ("queued", ""))
        self.assertEqual(re.sub(r"^\d\d:\d\d:\d\d ", "TIME ", waited.stderr, flags=re.MULTILINE),
                         f"frontend: queued as rollout {rollout['id']}\n"
                         f"note: {problem}\n"
                         "TIME frontend: queued: deployctl rollout by root\n"
                         "deployctl: stopped waiting after 1s; the rollout goes on in the agent. Look at it with:\n"
                         f"  deployctl show {rollout['id']}\n")
        self.assertEqual(scene.own_containers(), {})

        mend()
        ended = until(lambda: (agent.live()["frontend"] or {}).get("revision"), "the queued rollout", 90, 0.2)
        self.assertTrue(ended.startswith("frontend-"), ended)
        until(lambda: agent.view("show", str(rollout["id"]))["phase"] != "running", "the rollout to end")
        self.assertEqual(agent.view("status")["notes"], [])
        self.assertIn("frontend v1", scene.get("/"))
        self.assertEqual(agent.stop(), 0)

    def test_an_engine_that_does_not_run_yet(self):
        path = HOST / "docker.sock"
        scene = self.scene_with(engine=f"unix://{path}")
        self.assert_waits_and_goes_on(
            scene,
            f"the Docker Engine at unix://{path} does not answer: cannot connect to {path}: No such file or directory; is it "
            "running, and may this user open the socket?",
            lambda: path.symlink_to(scene.engine.path))

    def test_a_shared_network_that_does_not_exist_yet(self):
        scene = self.scene_with(network="shop_default")
        self.assert_waits_and_goes_on(
            scene,
            'there is no Docker network "shop_default"; set `network` in agent.yaml to the network your containers share '
            "(`docker network ls` lists them; Compose puts its project's name in front)",
            lambda: scene.engine.create_network("shop_default"))

    def test_deployd_stops_while_it_waits(self):
        scene = self.scene_with(engine=f"unix://{HOST}/docker.sock")
        scene.agent.start()
        until(lambda: scene.agent.view("status")["notes"], "the reason in the status")
        self.assertEqual(scene.agent.stop(), 0)
        self.assertFalse(scene.agent.socket.exists())

    def test_deployd_stops_while_nginx_does_not_take_its_files(self):
        scene = self.scene_with()
        (scene.nginx.upstreams / "frontend.conf").write_text("upstream frontend { server 127.0.0.1:1 down; }\n")
        scene.agent.start()
        until(lambda: scene.agent.view("status")["notes"], "the reason in the status")
        self.assertEqual(scene.agent.view("status")["notes"], [
            f"{scene.nginx.upstreams}/frontend.conf was not written by deployctl and is left alone; move its settings to the "
            "service's file in deploy.d and remove it; the previous upstream files are back"])
        self.assertEqual(scene.agent.stop(10), 0)


if __name__ == "__main__":
    unittest.main()
