"""cowrite: four apps with ports of the host that browsers call by themselves, WebSockets, and a database on the host itself."""

import pathlib
import subprocess
import sys
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import RELEASE  # noqa: E402
from harness.example import Example  # noqa: E402
from harness.scene import HOST  # noqa: E402
from harness.wait import until  # noqa: E402

APPS = {"ai-service": ("cowrite/ai-service", "backend/ai"), "core-api": ("cowrite/core-api", "backend/core"),
        "sync-service": ("cowrite/sync-service", "backend/sync"), "frontend": ("cowrite/frontend", "frontend")}
PORTS = {"frontend": "3100/", "core-api": "8100/health", "ai-service": "8101/health", "sync-service": "8102/health"}
OLD = {"cowrite-frontend": 3100, "cowrite-core": 8100, "cowrite-ai": 8101, "cowrite-sync": 8102}


class Cowrite(unittest.TestCase):
    maxDiff = None

    def ports_answer(self):
        for address in PORTS.values():
            self.host.answers(f"http://127.0.0.1:{address}")

    @staticmethod
    def versions():
        """{service: the version that answers on its port of the host}"""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        answered = {}
        for service, address in PORTS.items():
            with opener.open(f"http://127.0.0.1:{address}", timeout=10) as answer:
                answered[service] = answer.headers["X-Version"]
        return answered

    def old_ones_answer(self):
        """After the first rollouts: with the version from before, which status and the rollouts' notes say."""
        host = self.host
        self.assertEqual(self.versions(), {service: "v1" for service in PORTS})
        self.assertIn("v2", host.get("http://127.0.0.1/api/version")[1])
        lines = [f"port {port} of this host is still answered by {name}, with the version from before the first rollout: run "
                 "`deployctl init DIR --write`" for name, port in OLD.items()]
        until(lambda: all(line in host.agent.ctl("status").stderr + host.agent.ctl("status").stdout for line in lines),
              "status to name who still answers", 60)
        networks = {name: set(host.engine.inspect(name)["NetworkSettings"]["Networks"]) for name in OLD}
        self.assertEqual(networks, {name: {"cowrite_cowrite-network", "deployctl"} for name in OLD})

    def hand_over(self):
        """Nginx gets the ports; not without being asked for it."""
        host = self.host
        before = host.identities("cowrite-nginx", *OLD)
        declined = host.init(host.home, "--write")
        self.assertEqual(declined.returncode, 2, declined.stderr)
        self.assertIn("deployctl: right before that, what still answers on these ports with the version from before is stopped, and "
                      "removed afterwards: cowrite-ai (port 8101), cowrite-core (port 8100), cowrite-frontend (port 3100), "
                      "cowrite-sync (port 8102); nobody answers there for up to 10 s more\n", declined.stderr)
        self.assertEqual(host.identities("cowrite-nginx", *OLD), before)
        self.assertEqual(self.versions(), {service: "v1" for service in PORTS})
        self.killed_while_they_stop()
        done = host.init(host.home, "--write", "--recreate-nginx")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("deployctl: removed cowrite-ai, cowrite-core, cowrite-frontend, cowrite-sync, on whose ports Nginx answers now\n",
                      done.stderr)
        self.ports_answer()
        self.assertEqual(self.versions(), {service: "v2" for service in PORTS})
        containers = {name for container in host.engine.call("GET", "/containers/json", all="true") for name in container["Names"]}
        self.assertFalse(containers & {f"/{name}" for name in OLD}, containers)

    def killed_while_they_stop(self):
        """The engine goes on with the stops; the next `init` starts again what was stopped."""
        host, report = self.host, HOST / "stopper.report"
        subprocess.run([RELEASE / "stopper", "--report", report, "--engine", host.engine.path, "--boundary", "after POST /containers/…/stop",
                        "--nth", "1", "--", *host.init_command(host.home, "--write", "--recreate-nginx")],
                       stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)
        self.assertEqual(report.read_text().splitlines()[-1], "killed", report.read_text())
        again = host.init(host.home)
        self.assertEqual(again.returncode, 10, again.stderr)
        self.assertIn("deployctl: cowrite-nginx, cowrite-ai, cowrite-core, cowrite-frontend, cowrite-sync run as before, after ", again.stderr)
        self.ports_answer()
        self.assertEqual(self.versions(), {service: "v1" for service in PORTS})

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
        callers = host.load("callers", "--rate", "20", "--connections", "2", "--kinds", "new-get", "--get-paths", "/health", port=8100)
        for app in APPS:
            host.release(app, "v2")
            host.deliver(app)
        rollouts = host.settled(4)
        self.assertEqual({rollout["phase"] for rollout in rollouts}, {"succeeded"}, rollouts)
        self.assertEqual(sorted(rollouts, key=host.agent.let_in)[-1]["service"], "frontend")
        self.old_ones_answer()
        report = callers.stop()
        self.assertEqual(report["failed"], 0, report)
        self.assertGreater(report["requests"], 100)
        self.hand_over()
        untouched = host.identities("cowrite-redis", "cowrite-nginx", "on-the-host")

        load = host.load("outside", "--rate", "150", "--connections", "12", "--kinds", "keepalive-get,keepalive-post,new-get",
                         "--get-paths", "/,/api/version,/health", "--post-paths", "/api/documents,/ai/complete",
                         "--post-body", '{"title": "글", "text": "글"}')
        streams = host.load("streams", "--rate", "3", "--connections", "12", "--kinds", "new-get,websocket",
                            "--get-paths", "/ai/stream?ms=3000", "--socket-paths", "/ws/document?ms=3000")
        browser = host.load("browser", "--rate", "2", "--connections", "8", "--kinds", "websocket",
                            "--socket-paths", "/document?ms=3000", port=8102)
        host.namesake("core-api", "cowrite_cowrite-network")
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
        host.restart("http://127.0.0.1:8100/health", "nginx", "redis")
        self.ports_answer()


if __name__ == "__main__":
    unittest.main()
