"""./dev crash --engine: kill -9 of dockerd in the middle of each step of a real rollout, and its return."""

import argparse
import pathlib
import sys
import time

sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).parents[1] / "e2e")]

from harness.dockerd import Dockerd  # noqa: E402
from harness.scene import HOST  # noqa: E402
from harness.wait import until  # noqa: E402
from rounds import settled_violations  # noqa: E402
from stopper import Stopper  # noqa: E402
from world import World  # noqa: E402

ENDS_WITHIN = 150.0  # seconds: a rollout waits about two minutes for an engine
CLEAN_WITHIN = 60.0  # the containers come back one by one, and the agent looks around every now and then
LONG_MS = 25  # a pause between two boundaries in which a step is at work without the engine: fetch, probe, drain


class EngineCrash:
    def __init__(self, restart):
        self.restart = restart
        self.world = World(with_load=False, restart=restart)
        self.dockerd = Dockerd(self.world.engine)
        self.lines = []
        self.violated = 0

    def start(self):
        self.world.start()
        # Engine 20.10 takes what it finds running after its own crash for stopped by hand, so `unless-stopped` does not bring it back.
        self.world.engine.call("POST", "/containers/nginx/update", {"RestartPolicy": {"Name": "always"}})

    def renew(self):
        self.world.close()
        self.world = World(with_load=False, restart=self.restart)
        self.start()

    def positions(self, merge):
        """(number, boundary) to kill the engine at: each request to it while it is under way, and each longer pause between
        two boundaries. With `merge` the last one of each step, which is what lies between two transactions."""
        stopper = Stopper(HOST / "stopper.report", self.world.engine)
        stopper.attach(self.world.agent.process.pid)
        push = self.world.commit("backend")
        self.world.send(push)
        ended = until(lambda: self.world.ended([push]), "the rollout to end")
        stopper.end()
        wrong = self.world.outcome_is(ended, push, ("succeeded",)) + settled_violations(self.world, 5)
        if wrong:
            raise RuntimeError(f"without any kill: {wrong}")
        boundaries, times = stopper.boundaries(), stopper.times()
        pauses = [after - before for before, after in zip(times, times[1:])] + [0]
        found, step = {}, 0
        for at, (boundary, pause) in enumerate(zip(boundaries, pauses), 1):
            step += boundary.startswith("before write") and boundary.endswith("state.db-wal")
            if boundary.startswith(("after POST", "after DELETE")) or pause >= LONG_MS:
                found[step if merge else at] = (at, boundary)
        return list(found.values())

    def round(self, at, planned):
        world, began, wrong = self.world, time.monotonic(), []
        push = world.commit("backend")
        stopper = Stopper(HOST / "stopper.report", world.engine, at, self.dockerd.pid)
        stopper.attach(world.agent.process.pid)
        world.send(push)
        until(lambda: self.dockerd.dead() or world.ended([push]), "the engine to be killed or the rollout to end", 60, 0.01)
        if not self.dockerd.dead():
            where = f"{planned} was not reached"
        else:
            self.dockerd.start()
            where = (stopper.boundaries() + [planned] * at)[at - 1]
        returned = time.monotonic()
        try:
            ended = until(lambda: world.ended([push]), "the rollout to end", ENDS_WITHIN, 0.1)
        except (TimeoutError, RuntimeError) as error:
            wrong.append(f"the rollout did not end within {ENDS_WITHIN:g} s of the engine's return: {error}")
            ended = world.rollouts_of([push]) if world.agent.process.poll() is None else []
        took = time.monotonic() - returned
        stopper.end()
        if world.agent.process.poll() is not None:
            wrong.append(f"deployd ended with {world.agent.process.returncode}")
        else:
            wrong += world.outcome_is(ended, push, ("succeeded", "rolled_back"))
            wrong += settled_violations(world, CLEAN_WITHIN)
        phase = ended[-1]["phase"] if ended else "nothing"
        if phase == "rolled_back":
            print(f"      because {ended[-1]['reason']}", flush=True)
        self.tell(at, where, phase, took, time.monotonic() - began, wrong)

    def tell(self, at, where, phase, took, seconds, wrong):
        print(f"{at:4d}  {where:<70.70}  {phase}, {took:.1f} s after the engine was back, {seconds:.1f} s", flush=True)
        self.lines.append((phase, took))
        for violation in wrong:
            print(f"      VIOLATION: {violation}", flush=True)
        if wrong:
            self.violated += 1
            print("\n        ".join(["      the last rollout and the last lines of deployd:", *self.world.told()]), flush=True)
            self.renew()

    def summary(self):
        print()
        for phase in sorted({phase for phase, _ in self.lines}):
            print(f"  {'rollouts ' + phase:<46} {sum(1 for other, _ in self.lines if other == phase)}")
        print(f"  {'rounds with a violation':<46} {self.violated} of {len(self.lines)}")
        print(f"  {'longest from its return to the end':<46} {max((took for _, took in self.lines), default=0):.1f} s", flush=True)


def main():
    parser = argparse.ArgumentParser(prog="./dev crash --engine", description=__doc__)
    parser.add_argument("--at", type=int, help="only at this boundary")
    parser.add_argument("--merge", action="store_true", help="once in each step")
    parser.add_argument("--restart", default="unless-stopped", help="the services' restart policy")
    arguments = parser.parse_args()
    crash = EngineCrash(arguments.restart)
    try:
        crash.start()
        positions = [(arguments.at, "?")] if arguments.at else crash.positions(arguments.merge)
        print(f"-- dockerd killed at {len(positions)} points of a rollout", flush=True)
        for at, boundary in positions:
            crash.round(at, boundary)
        crash.summary()
    finally:
        crash.world.close()
    return 1 if crash.violated else 0


if __name__ == "__main__":
    sys.exit(main())
