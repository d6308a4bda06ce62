"""`deployctl plan`: what a rollout would do, and how the configuration differs from what runs."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness.backend import BackendCase  # noqa: E402


class Plan(BackendCase):
    def test_it_shows_differences_and_does_nothing(self):
        ctl = self.scene.agent.ctl
        same = ctl("plan")
        self.assertEqual(same.returncode, 0, same.stderr)
        self.assertRegex(same.stdout, r"^1\. backend \(rolling\): backend-\w+-\w+ is live\n   what runs is as configured")
        self.scene.edit_service("backend", lambda text: text.replace('"AI_SERVER_URL": "http://llm:8000"', '"AI_SERVER_URL": "http://llm:8001", "NEW": "secret"'))
        before = self.scene.own_containers()
        changed = ctl("plan", "backend")
        self.assertEqual(changed.returncode, 10, changed.stderr)
        self.assertIn("   container.environment.AI_SERVER_URL: changed\n   container.environment.NEW: new\n", changed.stdout)
        self.assertNotIn("secret", changed.stdout)
        self.assertIn("   steps: fetch > build > create new 1 > start new 1 > probe new 1 > switch new 1 > promote new 1 > drain old 1 > stop old 1 > "
                      "remove old 1 > prune\n", changed.stdout)
        self.assertEqual(self.scene.own_containers(), before)
        self.assertEqual(ctl("rollout", "backend").returncode, 0)
        self.assertEqual(ctl("plan").returncode, 0)
        # And back: the plan of a rollback does nothing, either.
        live = self.scene.own_containers()
        back = ctl("rollback", "backend", "--plan")
        self.assertEqual(back.returncode, 10, back.stderr)
        self.assertRegex(back.stdout, r"^1\. backend \(rolling\): backend-\w+-\w+ is live, back to backend-\w+-\w+\n")
        self.assertIn("   container.environment.AI_SERVER_URL: changed\n   container.environment.NEW: removed\n   steps: image > create new 1 > ", back.stdout)
        self.assertNotIn("secret", back.stdout)
        revision = back.stdout.split(" is live")[0].split()[-1]
        there = ctl("rollback", "backend", "--to", revision, "--plan")
        self.assertEqual(there.returncode, 0, there.stderr)
        self.assertIn("   note: it is live already: nothing is done", there.stdout)
        release = self.scene.agent.view("history")["rollouts"][0]["release"]
        whole = ctl("rollback", "--release", str(release), "--plan")
        self.assertEqual((whole.returncode, whole.stdout), (10, back.stdout))
        self.assertEqual(self.scene.own_containers(), live)
        unknown = ctl("plan", "nobody")
        self.assertEqual(unknown.returncode, 2)
        self.assertIn("there is no service", unknown.stderr)


if __name__ == "__main__":
    unittest.main()
