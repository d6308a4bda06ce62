"""behindy: the apps are started by workflows with `docker run`, from images of a registry; Compose has the infrastructure."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness.example import Example  # noqa: E402
from harness.github import workflow_run  # noqa: E402
from harness.repos import Repo  # noqa: E402
from harness.scene import HOST  # noqa: E402

APPS = {"llmserver": ("behindy3359/behindy-story", None), "backend": ("behindy3359/behindy-back", None),
        "frontend": ("behindy3359/behindy-front", None)}
IMAGES = {"llmserver": "behindy/behindy-story", "backend": "behindy/behindy-backend", "frontend": "behindy/behindy-front"}
BACKEND = {"SPRING_DATASOURCE_URL": "jdbc:postgresql://postgres:5432/behindy", "SPRING_DATASOURCE_USERNAME": "behindy",
           "SPRING_DATASOURCE_PASSWORD": "behindy-db-password", "SPRING_DATA_REDIS_HOST": "redis",
           "SPRING_DATA_REDIS_PASSWORD": "behindy-redis-password", "JWT_SECRET": "a-long-secret-that-signs-tokens",
           "AI_SERVER_URL": "http://llmserver:8000", "TZ": "Asia/Seoul"}
UNTOUCHED = ("behindy-postgres", "behindy-redis", "behindy-nginx")


class Behindy(unittest.TestCase):
    maxDiff = None

    def today(self):
        """The ops repository's Compose, and then what each repository's workflow does."""
        host = self.host
        self.ops = Repo(HOST / "git", "behindy3359/behindy-ops", host.home)
        self.ops.commit("Infrastructure")
        host.registry.start()
        host.compose("up", "-d")
        for app in APPS:
            host.publish(app, IMAGES[app])
            environment = [f"--env={name}={value}" for name, value in (BACKEND if app == "backend" else {"TZ": "Asia/Seoul"}).items()]
            host.docker("run", "--detach", "--name", app, "--network", "behindy-ops_internal", "--restart", "always",
                        "--volume", "/etc/localtime:/etc/localtime:ro", "--log-opt", "max-size=10m", "--log-opt", "max-file=3",
                        *environment, f"{host.registry.address}/{IMAGES[app]}:latest")
        host.docker("restart", "behindy-nginx")  # as they do when names were missing at its start
        host.answers("http://127.0.0.1/api/ai-stories/health", "true")

    def ship(self, app, version):
        self.host.release(app, version)
        self.host.publish(app, IMAGES[app])

    def sql(self, statement):
        return self.host.psql("behindy-postgres", "behindy", "behindy", statement)

    def test_adopted_rolled_out_and_back(self):
        host = self.host = Example("behindy", APPS, "behindy-ops")
        self.addCleanup(host.close)
        self.today()
        self.sql("CREATE TABLE posts (text text); INSERT INTO posts VALUES ('kept')")
        host.keep_idle_connections()
        shown = host.adopt()
        self.assertRegex(shown.stdout, r'SPRING_DATASOURCE_PASSWORD: "?\$\{DB_PASS\}"?\n')
        self.assertNotIn("behindy-db-password", shown.stdout + shown.stderr)
        host.start_agent(disk={"keep_free": "0"})
        untouched = host.identities(*UNTOUCHED)

        outside = host.load("outside", "--rate", "100", "--connections", "8", "--kinds", "keepalive-get,new-get",
                            "--get-paths", "/,/api/posts")
        chats = host.load("chats", "--rate", "2", "--connections", "8", "--kinds", "websocket", "--socket-paths", "/ws/chat?ms=3000")
        chain = host.load("chain", "--rate", "100", "--connections", "8", "--kinds", "keepalive-post,new-post",
                          "--post-paths", "/api/ai-stories", "--post-body", '{"prompt": "지하철"}')
        for app in APPS:
            self.ship(app, "v2")
        self.assertEqual(host.deliver_all(APPS, workflow_run), ["llmserver", "backend", "frontend"])
        self.assertIn('"version":"v2"', host.get("http://127.0.0.1/api/posts")[1])
        dump, = (HOST / "state" / "backups").glob("backend-*.sql")
        self.assertIn("kept", dump.read_text())

        self.ship("backend", "v3 unhealthy")
        host.deliver("backend", workflow_run)
        self.assertEqual(host.settled(4)[-1]["phase"], "rolled_back")
        # Its schema may have moved on when it started.
        asked = host.agent.ctl("rollback", "backend")
        self.assertEqual(asked.returncode, 2, asked.stderr)
        self.assertIn("--yes", asked.stderr)
        back = host.agent.ctl("rollback", "backend", "--yes")
        self.assertEqual(back.returncode, 0, back.stderr)
        self.habits()
        for running in (outside, chain, chats):
            report = running.stop()
            self.assertEqual(report["failed"], 0, report)
        self.assertEqual(host.identities(*UNTOUCHED), untouched)
        self.assertEqual(self.sql("SELECT text FROM posts"), "kept")
        # The container that was started as "llmserver" got no calls any more once its successor was live.
        first = next(rollout for rollout in host.agent.rollouts()[host.taken_up:] if rollout["service"] == "llmserver")
        drain, = (step for step in host.agent.view("show", str(first["id"]))["steps"] if step["kind"] == "drain")
        self.assertRegex(drain["detail"], "^idle after ")
        self.cutting_habits()

    def habits(self):
        host = self.host
        before = host.live_containers()
        host.compose("up", "-d")
        host.prune_images()
        self.assertEqual(host.live_containers(), before)
        # The workflow of a repository that nobody has changed yet still runs today's job.
        host.docker("run", "--detach", "--name", "backend", "--network", "behindy-ops_internal", "node:local", "sleep", "60")
        self.ship("llmserver", "v4")
        host.deliver("llmserver", workflow_run)
        self.assertEqual(host.settled(6)[-1]["phase"], "succeeded")

    def cutting_habits(self):
        """Those that cut requests by themselves: what they start again knows where everything is."""
        host = self.host
        # The ops repository: what init changed is committed, and what somebody pushed from elsewhere is pulled.
        self.ops.git("add", "--all")
        self.ops.git("commit", "--quiet", "--message", "As deployctl init wrote it")
        self.ops.git("push", "--quiet", "origin", "HEAD:main")
        elsewhere = HOST / "elsewhere"
        self.ops.git("clone", "--quiet", str(self.ops.bare), str(elsewhere))
        conf = elsewhere / "nginx" / "nginx.conf"
        conf.write_text(conf.read_text() + "# 2026\n")
        self.ops.git("-C", str(elsewhere), "commit", "--quiet", "--all", "--message", "A comment")
        self.ops.git("-C", str(elsewhere), "push", "--quiet", "origin", "HEAD:main")
        self.ops.git("pull", "--quiet", "--ff-only", "origin", "main")
        host.docker("exec", "behindy-nginx", "nginx", "-t")
        host.docker("kill", "--signal", "HUP", "behindy-nginx")
        host.answers("http://127.0.0.1/api/ai-stories/health", "true")
        host.compose("restart", "nginx", "redis")
        host.answers("http://127.0.0.1/api/ai-stories/health", "true")
        self.ship("frontend", "v5")
        host.deliver("frontend", workflow_run)
        self.assertEqual(host.settled(7)[-1]["phase"], "succeeded")
        host.answers("http://127.0.0.1/", "v5")


if __name__ == "__main__":
    unittest.main()
