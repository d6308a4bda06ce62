"""Pushes that no webhook told of are found by looking: at the start of deployd, and at each interval."""

import json
import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness.backend import SERVICE  # noqa: E402
from harness.github import WORKFLOW  # noqa: E402
from harness.github_api import GitHubApi  # noqa: E402
from harness.repos import release  # noqa: E402
from harness.scene import HOST, Scene  # noqa: E402
from harness.wait import until  # noqa: E402

# A pass looks at backend first, in the order of the files' names.
LLM = {**SERVICE, "service": "llm", "repo": "demo/llm", "source": {"git": {"url": f"file://{HOST}/git/llm.git"}},
       "health": {**SERVICE["health"], "http": "/health"}, "proxy": {"upstream": "llm", "port": 8000}}


class Poll(unittest.TestCase):
    def start(self, poll):
        self.scene = Scene(settle="100ms", services={"backend": SERVICE, "llm": LLM}, poll=poll)
        self.addCleanup(self.scene.close)
        self.agent = self.scene.agent
        self.scene.start()
        done = self.agent.ctl("rollout", "backend", "llm")
        self.assertEqual(done.returncode, 0, done.stderr)

    def release(self, service, version):
        """A commit that nobody is told of; returns the rollout that it leads to, once that has ended."""
        commit = release(self.scene.repos[service], version)
        return until(lambda: next((rollout for rollout in self.agent.rollouts() if rollout["commit"] == commit and rollout["finished"]), None),
                     f"polling to find {version} of {service}", 60, 0.2)

    def rollouts_of(self, service):
        return [(rollout["kind"], rollout["phase"]) for rollout in self.agent.rollouts() if rollout["service"] == service]

    def look_again(self, version):
        """Returns after another whole pass, which the new version of llm shows."""
        self.assertEqual(self.release("llm", version)["phase"], "succeeded")

    def test_a_missed_push_is_found_by_the_interval_and_what_was_tried_is_left_alone(self):
        self.start("1s")
        found = self.release("backend", "v2")
        self.assertEqual((found["phase"], found["cause"]),
                         ("succeeded", f"poll: main of demo/backend is at {self.scene.repos['backend'].head[:7]}"))
        self.assertIn('"v2"', self.scene.get("/api/info"))

        self.assertEqual(self.release("backend", "v3 crash")["phase"], "rolled_back")
        self.look_again("v2")
        self.assertEqual(self.rollouts_of("backend"), [("deploy", "succeeded"), ("deploy", "succeeded"), ("deploy", "rolled_back")])

        done = self.agent.ctl("rollback", "backend")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn('"v1"', self.scene.get("/api/info"))
        self.look_again("v3")
        self.look_again("v4")
        self.assertEqual(self.rollouts_of("backend")[3:], [("rollback", "succeeded")])
        self.assertIn('"v1"', self.scene.get("/api/info"))

        self.assertEqual(self.release("backend", "v4")["phase"], "succeeded")
        self.assertIn('"v4"', self.scene.get("/api/info"))
        self.assertEqual(self.agent.view("status")["notes"], [])

    def test_what_came_while_deployd_was_away_is_found_at_its_start(self):
        self.start("1d")
        self.assertEqual(self.agent.stop(), 0)
        commits = {service: release(self.scene.repos[service], "v2") for service in ("backend", "llm")}
        self.agent.start()

        def ended():
            fresh = self.agent.rollouts()[2:]
            return fresh if len(fresh) == 2 and all(rollout["finished"] for rollout in fresh) else None
        found = until(ended, "both rollouts to end", 60, 0.2)
        self.assertEqual({rollout["service"]: (rollout["phase"], rollout["commit"]) for rollout in found},
                         {service: ("succeeded", commit) for service, commit in commits.items()})
        self.assertEqual(len({rollout["release"] for rollout in found}), 1)

    def test_a_remote_that_is_away_is_a_note_until_it_is_back(self):
        self.start("1s")
        bare = self.scene.repos["backend"].bare
        away = bare.with_suffix(".away")
        bare.rename(away)
        note = (f"polling: cannot fetch file://{bare}: there is no repository that can be read; check the path and its permissions "
                f"(failed to resolve path '{bare}': No such file or directory)")
        until(lambda: self.agent.view("status")["notes"], "the note", 20, 0.2)
        self.assertEqual(self.agent.view("status")["notes"], [note])
        self.look_again("v2")
        self.assertEqual(self.agent.log_text().count("cannot fetch"), 1)
        away.rename(bare)
        until(lambda: not self.agent.view("status")["notes"], "the note to go", 20, 0.2)

    def test_a_workflow_is_waited_for_and_without_a_token_its_tip_is_not_known_to_be_green(self):
        self.start("1s")
        self.scene.edit_service("llm", lambda text: text.replace('"on": "push"', f'"on": "workflow_run", "workflows": ["{WORKFLOW}"]'))
        commit = release(self.scene.repos["llm"], "v2")
        note = (f"llm: {commit[:7]}, the tip of main of demo/llm, is not known to be green: asking GitHub for its workflow runs needs a token; "
                "name one in agent.yaml under github.token, or roll it out: deployctl rollout llm")
        until(lambda: self.agent.view("status")["notes"] == [note], "the note", 20, 0.2)

        api = GitHubApi(HOST / "github", "e2e-token")
        self.addCleanup(api.close)
        os.environ.update({"E2E_GITHUB_TOKEN": "e2e-token", "SSL_CERT_FILE": str(api.certificate)})
        self.addCleanup(os.environ.pop, "E2E_GITHUB_TOKEN")
        self.addCleanup(os.environ.pop, "SSL_CERT_FILE")
        settings = json.loads(self.agent.config.read_text())
        self.agent.config.write_text(json.dumps({**settings, "github": {"api": api.url, "token": {"env": "E2E_GITHUB_TOKEN"}}}))
        self.assertEqual(self.agent.stop(), 0)
        api.add_run(self.scene.repos["llm"], ".github/workflows/lint.yml")
        self.agent.start()
        until(lambda: len(api.asked) > 1, "GitHub to be asked", 20, 0.2)
        self.assertEqual((self.rollouts_of("llm"), self.agent.view("status")["notes"]), ([("deploy", "succeeded")], []))
        api.add_run(self.scene.repos["llm"], WORKFLOW)
        until(lambda: self.rollouts_of("llm")[1:] == [("deploy", "succeeded")], "the green tip to be live", 60, 0.2)
        self.assertEqual(self.agent.live()["llm"]["revision"].split("-")[1], commit[:7])
        self.assertEqual(set(api.asked), {"/repos/demo/llm/actions/runs"})
        self.assertNotIn("e2e-token", self.agent.log_text())

    def test_a_tag_that_moves_is_rolled_out_by_its_digest(self):
        self.start("1s")
        image = f"{self.scene.registry.address}/demo/backend"
        work = self.scene.repos["backend"].work

        def publish(version):
            (work / "VERSION").write_text(version + "\n")
            self.scene.engine.build(work, f"{image}:stable")
            self.scene.engine.push(image, "stable")
            self.scene.engine.remove_image(f"{image}:stable")

        publish("v2")
        self.scene.edit_service("backend", lambda text: json.dumps({**json.loads(text), "source": {"image": f"{image}:stable"}}))
        until(lambda: '"v2"' in self.scene.get("/api/info"), "the tag's image to be live", 60, 0.2)
        publish("v3")
        until(lambda: '"v3"' in self.scene.get("/api/info"), "the image that the tag has moved to", 60, 0.2)
        found = self.agent.rollouts()[-1]
        self.assertRegex(found["cause"], rf"^poll: {image}:stable is at sha256:[0-9a-f]{{7}}$")
        self.assertRegex(self.agent.live()["backend"]["image"], rf"^{image}@sha256:[0-9a-f]{{64}}$")
        self.look_again("v2")
        self.assertEqual(len(self.rollouts_of("backend")), 3)


if __name__ == "__main__":
    unittest.main()
