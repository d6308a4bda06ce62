"""GitHub's events by way of Nginx to a unix socket: what docs/adopting-by-hand.md tells to do where Nginx runs in a container."""

import json
import pathlib
import sys
import unittest
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import ROOT, github  # noqa: E402
from harness.agent import SECRET  # noqa: E402
from harness.bad_input import SERVICE  # noqa: E402
from harness.repos import release  # noqa: E402
from harness.scene import HOST, Scene  # noqa: E402
from harness.wait import until  # noqa: E402

LOCATION = "location = /hooks/github { proxy_pass http://unix:/etc/nginx/hooks/deployd.sock; client_max_body_size 25m; }"
HOOKS = HOST / "nginx" / "hooks"


class WebhookSocket(unittest.TestCase):
    def setUp(self):
        self.scene = scene = Scene(services={"frontend": SERVICE})
        self.addCleanup(scene.close)
        self.agent = scene.agent
        HOOKS.mkdir()
        scene.nginx.binds.append(f"{HOOKS}:/etc/nginx/hooks")
        main = scene.nginx.main
        main.write_text(main.read_text().replace("location / {", f"{LOCATION}\n    location / {{"))
        settings = json.loads(self.agent.config.read_text())
        settings["webhook"]["listen"] = f"unix:{HOOKS}/deployd.sock"
        self.agent.config.write_text(json.dumps(settings))
        scene.start()
        self.versions = 0  # that were deployed
        self.github = github.GitHub(f"http://{scene.nginx.address}/hooks/github", SECRET)

    def push(self, version, **how):
        """Sends the push of a new version through Nginx; returns the status."""
        if version:
            release(self.scene.repos["frontend"], version)
        return self.github.send(*github.push(self.scene.repos["frontend"]), **how)[0]

    def assert_deployed(self, version):
        self.versions += 1
        until(lambda: sum(bool(rollout["finished"]) for rollout in self.agent.rollouts()) == self.versions,
              f"rollout {self.versions} to end", 60, 0.2)
        self.assertEqual({rollout["phase"] for rollout in self.agent.rollouts()}, {"succeeded"})
        self.assertIn(f"frontend {version}", self.scene.get("/"))

    def test_events_through_nginx(self):
        self.assertIn(LOCATION, (ROOT / "docs" / "adopting-by-hand.md").read_text())
        self.assertEqual(self.push(None, signature="sha256=" + "0" * 64), 401)
        self.assertEqual(self.agent.rollouts(), [])
        self.assertEqual(self.push(None), 202)
        self.assert_deployed("v1")

        # While nobody listens GitHub is told so, and sends again when somebody asks it to.
        # Each start makes another socket, which Nginx finds without being told: the folder is mounted, not the socket.
        for end, version in ((self.agent.stop, "v2"), (self.agent.kill, "v3")):
            end()
            delivery = str(uuid.uuid4())
            self.assertEqual(self.push(version, delivery=delivery), 502)
            self.agent.start()
            self.assertEqual(self.push(None, delivery=delivery), 202)
            self.assert_deployed(version)


if __name__ == "__main__":
    unittest.main()
