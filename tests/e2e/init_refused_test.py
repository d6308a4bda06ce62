"""`deployctl init` meets what it cannot use: it says where, and nothing is half-changed."""

import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness.behindy import NGINX, Behindy  # noqa: E402
from harness.wait import until  # noqa: E402

LAST = "deployctl: nothing was changed; once that is done, run this again\n"


class InitRefused(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.host = Behindy()
        cls.addClassCleanup(cls.host.close)
        cls.host.start()

    def assert_refused(self, said, status=2, arguments=("--write",)):
        host = self.host
        files, containers = host.files(), host.containers()
        done = host.init(*arguments)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertTrue(done.stderr.endswith(said), done.stderr)
        self.assertEqual((host.files(), host.containers()), (files, containers))
        self.assertEqual(host.status("/api/health"), 200)

    def with_file(self, path, text):
        before = path.read_text() if path.exists() else None
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self.addCleanup(lambda: path.unlink() if before is None else path.write_text(before))

    def test_a_configuration_that_nginx_could_not_read(self):
        self.with_file(self.host.conf, NGINX.replace("keepalive 32;\n    }\n    upstream", "keepalive 32\n    }\n    upstream", 1))
        self.assert_refused(LAST)
        self.assertIn("/etc/nginx/main/nginx.conf:12:9: error: `keepalive 32` does not end with `;`", self.host.init().stderr)

    def test_two_upstreams_of_one_name(self):
        self.with_file(self.host.conf, NGINX.replace("upstream backend", "upstream frontend"))
        self.assert_refused(LAST)
        self.assertIn("/etc/nginx/main/nginx.conf:14:5: error: ", self.host.init().stderr)

    def test_an_env_file_that_is_not_there(self):
        compose = self.host.ops.work / "docker-compose.yml"
        self.with_file(compose, "services:\n  cache:\n    image: busybox:local\n    env_file: [missing.env]\n")
        self.assert_refused(LAST)
        self.assertIn("missing.env", self.host.init().stderr)

    def test_a_variable_that_is_not_set(self):
        compose = self.host.ops.work / "docker-compose.yml"
        self.with_file(compose, "services:\n  cache:\n    image: busybox:local\n    command: [echo, \"${NOT_THERE}\"]\n")
        self.assert_refused(f'deployctl: {compose}: The "NOT_THERE" variable is not set. Defaulting to a blank string.; set it, or give '
                            f"it a default there\n{LAST}")

    def test_a_file_that_cannot_be_written(self):
        conf = self.host.conf
        subprocess.run(["mount", "--bind", conf, conf], check=True)
        self.addCleanup(subprocess.run, ["umount", conf], check=True)
        subprocess.run(["mount", "-o", "remount,ro,bind", conf], check=True)
        self.assert_refused(f"deployctl: nothing was changed: cannot write {conf}: Read-only file system; mount the file system for "
                            "writing\n", 1)

    def test_what_nginx_refuses_is_undone(self):
        self.with_file(self.host.conf.parent / "upstreams" / "theirs.conf", "no directive of Nginx's;\n")
        files = self.host.files()
        done = self.host.init("--write")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("nginx -t in container behindy-nginx refuses the changed files: ", done.stderr)
        self.assertIn('unknown directive "no" in /etc/nginx/main/upstreams/theirs.conf:1', done.stderr)
        self.assertTrue(done.stderr.endswith("; every file is as it was before\n"), done.stderr)
        self.assertEqual(self.host.files(), files)
        self.assertEqual(self.host.status("/api/health"), 200)

    def test_an_nginx_that_does_not_run(self):
        """Proposed as on a host without one, everything would lose its requests."""
        host, compose = self.host, self.host.ops.work / "docker-compose.yml"
        self.with_file(compose, 'services:\n  nginx:\n    image: nginx:local\n    ports: ["80:80"]\n')
        host.engine.call("POST", "/containers/behindy-nginx/stop")
        self.addCleanup(until, lambda: host.status("/api/health") == 200, "Nginx to answer again")
        self.addCleanup(host.engine.call, "POST", "/containers/behindy-nginx/start")
        files = host.files()
        done = host.init("--write")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertTrue(done.stderr.endswith(f"deployctl: the service nginx of {compose} is an Nginx that does not run; start it with "
                                             f"docker compose up -d nginx, and run this again\n{LAST}"), done.stderr)
        self.assertEqual(host.files(), files)

    def test_a_service_that_is_not_there(self):
        self.assert_refused(f"deployctl: there is no container of worker that runs; start it, or leave out --service worker\n{LAST}",
                            arguments=("--service", "worker"))

    def test_a_folder_that_is_none(self):
        done = self.host.init("--not", "llm", "/run/demo/nowhere")
        self.assertEqual((done.returncode, done.stderr), (2, "deployctl: /run/demo/nowhere is no folder; name folders of Compose projects "
                                                          "and repositories\n"))

    def test_a_patch_for_the_repository(self):
        host = self.host
        done = host.init("--patch")
        self.assertEqual(done.returncode, 0, done.stderr)
        patch = host.ops.work / "init.patch"
        self.with_file(patch, done.stdout)
        host.ops.git("apply", "--check", "init.patch")
        self.assertIn("+    include /etc/nginx/main/upstreams/*.conf;\n", done.stdout)
        self.assertNotIn("agent.yaml", done.stdout)


if __name__ == "__main__":
    unittest.main()
