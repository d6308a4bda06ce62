"""dongyang: the whole stack is built on the host from three repositories, by Compose. From today's way to deployctl and back to the habits."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness.example import Example  # noqa: E402
from harness.scene import HOST  # noqa: E402

APPS = {app: (f"dongyang/{app}", f"services/{app}") for app in ("ai", "backend", "frontend")}
POSTGRES = "dongyang-postgres-1"
UNTOUCHED = (POSTGRES, "dongyang-nginx-1")


class Dongyang(unittest.TestCase):
    maxDiff = None

    def sql(self, statement):
        return self.host.psql(POSTGRES, "chatbot_user", "chatbot", statement)

    def test_adopted_rolled_out_and_back(self):
        host = self.host = Example("dongyang", APPS)
        self.addCleanup(host.close)
        host.compose("up", "-d", "--build")
        host.answers("http://127.0.0.1/api/health", "UP")
        self.sql("CREATE TABLE chats (text text); INSERT INTO chats VALUES ('kept')")
        host.docker("exec", "dongyang-ai-1", "touch", "/app/vector_store/document")

        host.keep_idle_connections()
        host.adopt()
        host.start_agent()
        untouched = host.identities(*UNTOUCHED)

        outside = host.load("outside", "--rate", "100", "--connections", "8", "--kinds", "keepalive-get,new-get",
                            "--get-paths", "/,/api/version")
        chain = host.load("chain", "--rate", "100", "--connections", "8", "--kinds", "keepalive-post,new-post",
                          "--post-paths", "/api/chat", "--post-body", '{"message": "보험"}')
        for app in APPS:
            host.release(app, "v2")
        self.assertEqual(host.deliver_all(APPS), ["ai", "backend", "frontend"])
        self.assertIn('"version":"v2"', host.get("http://127.0.0.1/api/version")[1])
        dump, = (HOST / "state" / "backups").glob("backend-*.sql")
        self.assertIn("kept", dump.read_text())

        host.release("ai", "v2.1")
        host.deliver("ai")
        self.assertEqual(host.settled(4)[-1]["phase"], "succeeded")
        # One that is not healthy, and one that is taken back.
        host.release("ai", "v3 unhealthy")
        host.deliver("ai")
        self.assertEqual(host.settled(5)[-1]["phase"], "rolled_back")
        back = host.agent.ctl("rollback", "backend")
        self.assertEqual(back.returncode, 0, back.stderr)
        self.assertIn('"version":"v1"', host.get("http://127.0.0.1/api/version")[1])
        self.habits()
        self.a_namesake()
        for load in (outside, chain):
            report = load.stop()
            self.assertEqual(report["failed"], 0, report)
            self.assertGreater(report["requests"], 500)

        self.assertEqual(host.identities(*UNTOUCHED), untouched)
        self.assertEqual(self.sql("SELECT text FROM chats"), "kept")
        host.restart("http://127.0.0.1/api/health", "nginx", "postgres")
        ai = next(name for name in host.live_containers() if name.startswith("ai-"))
        self.assertEqual(host.docker("exec", ai, "ls", "/app/vector_store"), "document")

    def habits(self):
        """What its owners type today."""
        host = self.host
        before = host.live_containers()
        host.compose("up", "-d")
        host.prune_images()
        self.assertEqual(host.live_containers(), before)
        self.assertEqual(sorted(host.compose("ps", "--services").split()), ["nginx", "postgres"])

    def a_namesake(self):
        """A container of somebody else takes a service's name on the shared network: the services go on finding each other."""
        host = self.host
        host.namesake("ai", "dongyang_chatbot-network")
        doctor = host.agent.ctl("doctor", "--config", str(host.config))
        self.assertIn("the container ai has the name ai on dongyang_chatbot-network, so calls to ai from containers that deployctl did not make",
                      doctor.stdout + doctor.stderr)
        for app, count in (("backend", 7), ("ai", 8)):
            host.release(app, "v4")
            host.deliver(app)
            self.assertEqual(host.settled(count)[-1]["phase"], "succeeded")
        self.assertIn('"version":"v4"', host.get("http://127.0.0.1/api/version")[1])
        host.docker("rm", "--force", "ai")


if __name__ == "__main__":
    unittest.main()
