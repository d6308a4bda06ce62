"""basechat: four apps in a row, pulled from a registry, behind an Nginx without upstream blocks, with TLS."""

import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness.example import Example  # noqa: E402
from harness.github import workflow_run  # noqa: E402

ORDER = ["mcp-server", "llm-agent", "main-backend", "frontend"]
APPS = {app: (f"basechat/{app}", None) for app in ORDER}
UNTOUCHED = ("basechat_postgres", "basechat_redis", "basechat-nginx-1")


class Basechat(unittest.TestCase):
    maxDiff = None

    def ship(self, app, version):
        self.host.release(app, version)
        self.host.publish(app, f"basechat/{app}")

    def sql(self, statement):
        return self.host.psql("basechat_postgres", "basechat_user", "basechat", statement)

    def test_adopted_rolled_out_and_back(self):
        host = self.host = Example("basechat", APPS)
        self.addCleanup(host.close)
        host.registry.start()
        (host.home / "nginx" / "ssl").mkdir()
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=basechat.example",
                        "-keyout", host.home / "nginx/ssl/key.pem", "-out", host.home / "nginx/ssl/cert.pem"],
                       check=True, capture_output=True)
        for app in APPS:
            host.publish(app, f"basechat/{app}")
        host.compose("up", "-d")
        host.answers("http://127.0.0.1/api/health", "healthy")
        self.sql("CREATE TABLE chats (text text); INSERT INTO chats VALUES ('kept')")
        host.keep_idle_connections()
        host.adopt()
        host.start_agent()
        untouched = host.identities(*UNTOUCHED)

        outside = host.load("outside", "--rate", "100", "--connections", "8", "--kinds", "keepalive-get,new-get",
                            "--get-paths", "/,/api/version,/mcp/health")
        streams = host.load("streams", "--rate", "2", "--connections", "8", "--kinds", "new-get", "--get-paths", "/llm/stream?ms=3000")
        chain = host.load("chain", "--rate", "80", "--connections", "8", "--kinds", "keepalive-post,new-post",
                          "--post-paths", "/api/chat", "--post-body", '{"message": "안녕"}')
        for app in APPS:
            self.ship(app, "v2")
        self.assertEqual(host.deliver_all(ORDER, workflow_run), ORDER)
        for app in ("mcp-server", "llm-agent"):
            self.ship(app, "v2.1")
        for app in ("mcp-server", "llm-agent"):
            host.deliver(app, workflow_run)
        self.assertEqual({rollout["phase"] for rollout in host.settled(6)}, {"succeeded"})
        self.ship("llm-agent", "v3 unhealthy")
        self.ship("main-backend", "v3")
        for app in ("llm-agent", "main-backend"):
            host.deliver(app, workflow_run)
        phases = {rollout["service"]: rollout["phase"] for rollout in host.settled(8)[6:]}
        self.assertEqual(phases, {"llm-agent": "rolled_back", "main-backend": "cancelled"})
        host.namesake("llm-agent", "basechat_default")
        back = host.agent.ctl("rollback", "main-backend")
        self.assertEqual(back.returncode, 0, back.stderr)
        self.assertIn('"version":"v1"', host.get("http://127.0.0.1/api/version")[1])
        before = host.live_containers()
        host.compose("up", "-d")
        host.prune_images()
        self.assertEqual(host.live_containers(), before)
        for running in (outside, chain, streams):
            report = running.stop()
            self.assertEqual(report["failed"], 0, report)
        self.assertEqual(host.identities(*UNTOUCHED), untouched)
        self.assertEqual(self.sql("SELECT text FROM chats"), "kept")
        host.restart("http://127.0.0.1/api/health", "nginx")
        self.assertEqual(host.get("http://127.0.0.1/api/version")[0], 200)


if __name__ == "__main__":
    unittest.main()
