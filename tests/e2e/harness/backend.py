"""What tests of one service share: a backend alone, at v1 in traffic."""

import unittest

from .scene import HOST, Scene

SERVICE = {
    "service": "backend",
    "on": "push",
    "repo": "demo/backend",
    "source": {"git": {"url": f"file://{HOST}/git/backend.git"}},
    "health": {"http": "/api/health", "interval": "100ms", "timeout": "2s", "deadline": "10s"},
    "drain": "500ms",
    "proxy": {"upstream": "backend", "port": 8080},
    "container": {"environment": {"AI_SERVER_URL": "http://llm:8000"}},
}


class BackendCase(unittest.TestCase):
    settings = SERVICE

    def setUp(self):
        self.scene = Scene(services={"backend": self.settings})
        self.addCleanup(self.scene.close)
        self.scene.start()
        done = self.scene.agent.ctl("rollout", "backend")
        self.assertEqual(done.returncode, 0, done.stderr)
