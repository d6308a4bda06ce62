"""What users get wrong: each ends with a message that names it, the old version serving, and nothing left behind."""

import json
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness.repos import release  # noqa: E402
from harness.scene import HOST, Scene  # noqa: E402

SERVICE = {
    "service": "frontend",
    "on": "push",
    "repo": "demo/frontend",
    "source": {"git": {"url": f"file://{HOST}/git/frontend.git"}},
    "proxy": {"upstream": "frontend", "port": 3000},
    "health": {"http": "/health", "interval": "100ms", "deadline": "4s"},
    "drain": "1s",
}


class BadInput(unittest.TestCase):
    """Starts from version v1 in traffic."""

    @classmethod
    def setUpClass(cls):
        cls.scene = Scene(services={"frontend": SERVICE})
        cls.addClassCleanup(cls.scene.close)
        cls.scene.start()
        cls.agent = cls.scene.agent
        cls.repo = cls.scene.repos["frontend"]
        done = cls.agent.ctl("rollout", "frontend")
        if done.returncode != 0:
            raise RuntimeError(f"v1 was not deployed:\n{done.stderr}\n{cls.agent.log_text()[-3000:]}")

    def setUp(self):
        self.containers = self.scene.own_containers()
        self.upstream = (self.scene.nginx.upstreams / "frontend.conf").read_text()

    def with_settings(self, **changes):
        """Runs the rest of this test with another frontend.yaml."""
        before = self.scene.edit_service("frontend", lambda _: json.dumps({**SERVICE, **changes}))
        self.addCleanup(self.scene.edit_service, "frontend", lambda _: before)

    def assert_rolled_back(self, *parts, shown=()):
        """A rollout by hand fails and says so, and all is as it was. `shown` are parts of what `show` prints as log lines."""
        done = self.agent.ctl("rollout", "frontend")
        rollout = self.agent.rollouts()[-1]
        self.assertEqual((done.returncode, rollout["phase"]), (1, "rolled_back"), f"{done.stderr}\n{rollout['reason']}")
        for part in parts:
            self.assertIn(part, rollout["reason"])
            self.assertIn(part, done.stderr + done.stdout)
        log = "\n".join(self.agent.view("show", str(rollout["id"]))["log"])
        for part in shown:
            self.assertIn(part, log)
        self.assertEqual(self.scene.own_containers(), self.containers)
        self.assertEqual((self.scene.nginx.upstreams / "frontend.conf").read_text(), self.upstream)
        self.assertIn("frontend v1", self.scene.get("/"))

    def test_a_missing_dockerfile(self):
        dockerfile = (self.repo.work / "Dockerfile").read_text()
        self.repo.git("rm", "--quiet", "Dockerfile")
        self.repo.commit("Remove the Dockerfile")
        self.addCleanup(self.repo.write, "Dockerfile", dockerfile)
        self.assert_rolled_back("Dockerfile")

    def test_a_build_that_fails(self):
        dockerfile = (self.repo.work / "Dockerfile").read_text()
        self.repo.write("Dockerfile", "FROM busybox:local\nRUN echo the compiler is out of breath; exit 7\n")
        self.repo.commit("Break the build")
        self.addCleanup(self.repo.write, "Dockerfile", dockerfile)
        self.assert_rolled_back("exit code: 7", shown=["the compiler is out of breath"])

    def test_a_container_that_exits_at_once(self):
        release(self.repo, "v2 crash")
        self.assert_rolled_back("3", shown=["the database schema is newer than this version"])

    def test_a_port_that_nobody_listens_on(self):
        release(self.repo, "v2 deaf")
        self.assert_rolled_back("3000")

    def test_a_version_that_is_never_healthy(self):
        release(self.repo, "v2 unhealthy")
        self.assert_rolled_back("503", shown=["the connection pool is exhausted"])

    def test_a_git_remote_that_does_not_exist(self):
        self.with_settings(source={"git": {"url": f"file://{HOST}/git/nowhere.git"}})
        self.assert_rolled_back("nowhere.git")

    def test_a_registry_that_does_not_answer(self):
        self.with_settings(source={"image": "127.0.0.1:1/demo/frontend:latest"})
        self.assert_rolled_back("127.0.0.1:1")

    def test_an_image_that_does_not_exist(self):
        self.with_settings(source={"image": f"{self.scene.registry.address}/demo/nothing:latest"})
        self.assert_rolled_back("demo/nothing")

    def test_a_missing_nginx_container(self):
        release(self.repo, "v2")
        self.scene.engine.call("POST", "/containers/nginx/rename", name="not-nginx")
        self.addCleanup(self.scene.engine.call, "POST", "/containers/not-nginx/rename", name="nginx")
        self.scene.nginx.name = "not-nginx"
        self.addCleanup(setattr, self.scene.nginx, "name", "nginx")
        self.assert_rolled_back("nginx")

    def test_an_nginx_configuration_that_was_broken_before(self):
        release(self.repo, "v2")
        broken = self.scene.nginx.upstreams / "users.conf"
        broken.write_text("a_directive_nobody_knows on;\n")
        self.addCleanup(broken.unlink)
        self.assert_rolled_back("a_directive_nobody_knows")

    def test_a_configuration_with_errors_is_refused_before_anything_is_touched(self):
        folder = HOST / "broken"
        (folder / "deploy.d").mkdir(parents=True)
        settings = json.loads(self.agent.config.read_text())
        (folder / "agent.yaml").write_text(json.dumps({**settings, "sokcet": {}}))
        (folder / "deploy.d" / "web.yaml").write_text("service: web\non: manual\nsource: { image: web }\ndepends_on: [wbe]\n")
        done = subprocess.run([self.agent.programs / "deployd", "--config", folder / "agent.yaml"], capture_output=True, text=True,
                              timeout=20)
        self.assertEqual(done.returncode, 2, done.stderr)
        for part in ("sokcet", "web.yaml:4:", "wbe"):
            self.assertIn(part, done.stderr)


if __name__ == "__main__":
    unittest.main()
