"""An Nginx that is not there, or that was broken before we came."""

import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness.bad_input import SERVICE, BadInputCase  # noqa: E402
from harness.client import StrictClient  # noqa: E402
from harness.repos import release  # noqa: E402
from harness.scene import Scene  # noqa: E402
from harness.wait import until  # noqa: E402

BROKEN = "a_directive_nobody_knows on;\n"


class BadNginx(BadInputCase):
    def await_order(self):
        """The next test begins once deployd has seen that Nginx is there again."""
        until(lambda: not self.agent.view("status")["notes"], "deployd to see Nginx again", 40)

    def test_a_missing_nginx_container(self):
        self.addCleanup(self.await_order)
        release(self.repo, "v2")
        self.scene.engine.call("POST", "/containers/nginx/rename", name="not-nginx")
        self.addCleanup(self.scene.engine.call, "POST", "/containers/not-nginx/rename", name="nginx")
        self.scene.nginx.name = "not-nginx"
        self.addCleanup(setattr, self.scene.nginx, "name", "nginx")
        self.assert_rolled_back("there is no Nginx container called nginx; start it, or correct proxy.nginx.container in agent.yaml")

    def test_an_nginx_container_that_is_stopped(self):
        self.addCleanup(self.await_order)
        release(self.repo, "v2")
        self.scene.engine.call("POST", "/containers/nginx/stop", t="1")
        self.addCleanup(self.start_nginx)
        # The list of containers of a newer engine learns of it a moment later.
        until(lambda: not self.scene.engine.call("GET", "/containers/json", filters='{"name": ["^/nginx$"]}'), "Nginx to be listed as stopped")
        self.assert_rolled_back("the Nginx container nginx is exited, not running; start it with: docker start nginx; "
                                "if it ends again, docker logs nginx says why", serving=False)
        self.start_nginx()
        self.assertIn(self.serving, self.scene.get("/"))

    def start_nginx(self):
        self.scene.engine.call("POST", "/containers/nginx/start")
        until(self.scene.nginx.listening, "Nginx to listen")

    def test_an_nginx_configuration_that_was_broken_before(self):
        release(self.repo, "v2")
        broken = self.scene.nginx.upstreams / "users.conf"
        broken.write_text(BROKEN)
        self.addCleanup(broken.unlink)
        self.assert_rolled_back(
            "the configuration of Nginx in container nginx was broken before this change, and nothing was switched; repair it "
            'until nginx -t accepts it: DATE [emerg] PID: unknown directive "a_directive_nobody_knows" in '
            "/etc/nginx/upstreams/users.conf:1\nnginx: configuration file /etc/nginx/main/nginx.conf test failed")
        self.assertEqual(broken.read_text(), BROKEN)

    def test_an_upstream_that_is_the_users_own(self):
        self.with_settings(proxy={"upstream": "backend", "port": 3000})
        release(self.repo, "v2")
        self.assert_rolled_back(
            "/run/demo/nginx/upstreams/backend.conf was not written by deployctl and is left alone; move its settings to the "
            "service's file in deploy.d and remove it; the previous upstream files are back")


class RenamedUpstream(unittest.TestCase):
    def setUp(self):
        self.scene = Scene(services={"frontend": SERVICE})
        self.addCleanup(self.scene.close)
        self.scene.start()
        self.deploy()

    def deploy(self, version=None):
        if version:
            release(self.scene.repos["frontend"], version)
        done = self.scene.agent.ctl("rollout", "frontend")
        self.assertEqual(done.returncode, 0, f"{done.stderr}\n{self.scene.agent.log_text()[-3000:]}")

    def files(self):
        return sorted(file.name for file in self.scene.nginx.upstreams.glob("*.conf"))

    def test_an_upstream_that_was_renamed_here_and_not_in_nginx(self):
        """Nginx's own configuration still sends requests to the old name: they must find the service's targets there."""
        scene, nginx = self.scene, self.scene.nginx
        client = StrictClient(nginx.address, "/")
        client.start()
        self.addCleanup(client.stop)
        scene.edit_service("frontend", lambda _: json.dumps({**SERVICE, "proxy": {"upstream": "shop", "port": 3000}}))
        self.deploy("v2")
        self.assertIn("frontend v2", scene.get("/"))
        self.assertEqual(self.files(), ["backend.conf", "deployctl.conf", "frontend.conf", "shop.conf"])
        self.deploy("v3")
        self.assertIn("frontend v3", scene.get("/"))

        nginx.main.write_text(nginx.main.read_text().replace("http://frontend", "http://shop"))
        nginx.reload()
        self.deploy("v4")
        self.assertIn("frontend v4", scene.get("/"))
        # Nothing names the old upstream any more: it goes at the next start's first change.
        scene.edit_service("frontend", lambda text: text)
        self.deploy("v5")
        self.assertIn("frontend v5", scene.get("/"))
        self.assertEqual(self.files(), ["backend.conf", "deployctl.conf", "shop.conf"])
        client.stop()
        self.assertEqual(client.failures, [])
        self.assertGreater(client.answered, 100)


if __name__ == "__main__":
    unittest.main()
