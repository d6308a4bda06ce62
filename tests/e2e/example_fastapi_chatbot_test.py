"""fastapi-chatbot: one app on a port of the host, no Nginx, and a database whose tables a script makes before the app starts."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness.example import Example  # noqa: E402
from harness.scene import HOST  # noqa: E402

APP = "http://127.0.0.1:8000"
POSTGRES = "fastapi-chatbot-postgres-1"


class FastapiChatbot(unittest.TestCase):
    maxDiff = None

    def sql(self, statement):
        return self.host.psql(POSTGRES, "postgres", "conversations", statement)

    def test_adopted_rolled_out_and_back(self):
        host = self.host = Example("fastapi-chatbot", {"app": ("fastapi-chatbot/app", "app")})
        self.addCleanup(host.close)
        host.compose("up", "-d", "--build")
        host.answers(APP)
        host.listens(POSTGRES)
        host.compose("exec", "-T", "app", "python3", "scripts/setup_database.py")
        self.sql("INSERT INTO conversations (id, title) VALUES ('1', 'kept')")
        host.answers(f"{APP}/health/database", '"conversations": 1')
        host.adopt()
        secret = host.config.parent / "webhook-secret"
        secret.write_text("a-secret-of-at-least-thirty-two-bytes\n")
        secret.chmod(0o600)
        host.webhook = "127.0.0.1:9010"
        host.start_agent(webhook={"listen": host.webhook, "secrets": [{"file": str(secret)}]})
        untouched = host.identities(POSTGRES, "fastapi-chatbot-redis-1")

        host.release("app", "v2")
        host.deliver("app")
        rollout, = host.settled(1)
        self.assertEqual(rollout["phase"], "succeeded", rollout)
        self.assertIn("v2", host.get(APP)[1])
        # The tables are made before the old version stops; where that fails, nobody notices.
        before = host.live_containers()
        host.release("app", "v3 broken")
        host.deliver("app")
        failed = host.settled(2)[-1]
        self.assertEqual(failed["phase"], "rolled_back", failed)
        shown = host.agent.ctl("show", str(failed["id"])).stdout
        self.assertIn('column "title" of relation "conversations" already exists', shown)
        self.assertEqual(host.live_containers(), before)
        back = host.agent.ctl("rollback", "app")
        self.assertEqual(back.returncode, 0, back.stderr)
        self.assertIn("v1", host.get(APP)[1])
        self.assertEqual(len(list((HOST / "state" / "backups").glob("app-*.sql"))), 2)
        host.compose("up", "-d")
        host.prune_images()
        host.answers(f"{APP}/health/database", '"conversations": 1')
        self.assertEqual(host.identities(POSTGRES, "fastapi-chatbot-redis-1"), untouched)
        host.restart(f"{APP}/health/database", "redis", "postgres")
        host.answers(f"{APP}/health/database", '"conversations": 1')


if __name__ == "__main__":
    unittest.main()
