"""cowrite: four apps with ports of the host that browsers call by themselves, WebSockets, and a database on the host itself."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness.example import Example  # noqa: E402

APPS = {"ai-service": ("cowrite/ai-service", "backend/ai"), "core-api": ("cowrite/core-api", "backend/core"),
        "sync-service": ("cowrite/sync-service", "backend/sync"), "frontend": ("cowrite/frontend", "frontend")}
PORTS = {"frontend": "3100/", "core-api": "8100/health", "ai-service": "8101/health", "sync-service": "8102/health"}


class Cowrite(unittest.TestCase):
    maxDiff = None

    def ports_answer(self):
        for address in PORTS.values():
            self.host.answers(f"http://127.0.0.1:{address}")

    def test_adopted_rolled_out_and_back(self):
        host = self.host = Example("cowrite", APPS)
        self.addCleanup(host.close)
        host.docker("run", "--detach", "--name", "on-the-host", "--network", "host", "--env", "POSTGRES_USER=cowrite",
                    "--env", "POSTGRES_PASSWORD=your_secure_password", "--env", "POSTGRES_DB=cowrite", "postgres:15")
        host.compose("up", "-d", "--build")
        host.answers("http://127.0.0.1:8100/health", "ok")
        self.ports_answer()
        host.docker("exec", "cowrite-redis", "redis-cli", "set", "draft", "kept")
        host.keep_idle_connections()
        host.adopt()
        host.start_agent()
        self.ports_answer()
        for app in APPS:
            host.release(app, "v2")
            host.deliver(app)
        rollouts = host.settled(4)
        self.assertEqual({rollout["phase"] for rollout in rollouts}, {"succeeded"}, rollouts)
        self.assertEqual(sorted(rollouts, key=host.agent.let_in)[-1]["service"], "frontend")
        # Now the ports of the host are nobody's, and Nginx can have them.
        done = host.init(host.home, "--write", "--recreate-nginx")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.ports_answer()
        untouched = host.identities("cowrite-redis", "cowrite-nginx", "on-the-host")

        load = host.load("outside", "--rate", "150", "--connections", "12", "--kinds", "keepalive-get,keepalive-post,new-get",
                         "--get-paths", "/,/api/version,/health", "--post-paths", "/api/documents,/ai/complete",
                         "--post-body", '{"title": "글", "text": "글"}')
        streams = host.load("streams", "--rate", "3", "--connections", "12", "--kinds", "new-get,websocket",
                            "--get-paths", "/ai/stream?ms=3000", "--socket-paths", "/ws/document?ms=3000")
        browser = host.load("browser", "--rate", "2", "--connections", "8", "--kinds", "websocket",
                            "--socket-paths", "/document?ms=3000", port=8102)
        for app in APPS:
            host.release(app, "v3")
            host.deliver(app)
        rollouts = host.settled(8)[4:]
        self.assertEqual({rollout["phase"] for rollout in rollouts}, {"succeeded"}, rollouts)
        back = host.agent.ctl("rollback", "sync-service")
        self.assertEqual(back.returncode, 0, back.stderr)
        before = host.live_containers()
        host.compose("up", "-d")
        host.prune_images()
        self.assertEqual(host.live_containers(), before)
        for running in (load, streams, browser):
            report = running.stop()
            self.assertEqual(report["failed"], 0, report)
            self.assertGreater(report["requests"], 20)
        self.ports_answer()
        self.assertEqual(host.identities("cowrite-redis", "cowrite-nginx", "on-the-host"), untouched)
        self.assertEqual(host.docker("exec", "cowrite-redis", "redis-cli", "get", "draft"), "kept")


if __name__ == "__main__":
    unittest.main()
