"""One round: a push, a kill -9 of deployd at one boundary of what follows, a restart, and what must hold then."""

import dataclasses
import datetime
import signal
import time

from harness.scene import HOST
from harness.wait import until
from stopper import Stopper
from world import World

MOVES_WITHIN = 30.0  # seconds from a restart to the first step that is begun, ended or tried again
ENDS_WITHIN = 120.0  # seconds: many times what these rollouts take, for a machine that has other things to do


CLEAN_WITHIN = 40.0  # seconds: what could not be cleared away at once waits for the agent's next look around


class Scenario:
    """What is pushed and how that must end. `newer`: while the first is being rolled out, a newer version is pushed."""

    def __init__(self, name, title, services, phase, fault="", break_nginx=False, newer=False):
        self.name = name
        self.title = title
        self.services = services
        self.phase = phase
        self.fault = fault
        self.break_nginx = break_nginx
        self.newer = newer

    def phases(self, push, pushes):
        """How that push may end. What a newer one finds running before its switch gives way; after it, it ends first."""
        is_newest = push is [other for other in pushes if other.service == push.service][-1]
        return (self.phase,) if is_newest else ("superseded", "succeeded")

    def prepare(self, world):
        if self.break_nginx:
            file = world.scene.nginx.conf / "nginx.conf"
            file.write_text(file.read_text() + "nonsense;\n")

    def mend(self, world):
        if self.break_nginx:
            file = world.scene.nginx.conf / "nginx.conf"
            file.write_text(file.read_text().replace("nonsense;\n", ""))
            # At its start deployd looks at Nginx at once; else some seconds later.
            if world.agent.process.poll() is None:
                world.agent.stop()
                world.agent.start()


WORKS = Scenario("works", "a version that works", ["backend"], "succeeded")
CRASHES = Scenario("crashes", "a version that exits at once", ["backend"], "rolled_back", fault="crash")
REFUSED = Scenario("refused", "an Nginx that refuses the switch", ["backend"], "rolled_back", break_nginx=True)
TWO = Scenario("two", "two services in order", ["llm", "backend"], "succeeded")
LLM = Scenario("llm", "a service that only others call", ["llm"], "succeeded")
UNHEALTHY = Scenario("unhealthy", "a version that is never healthy", ["backend"], "rolled_back", fault="unhealthy")
NEWER = Scenario("newer", "a newer version during the rollout", ["backend"], "succeeded", newer=True)
ALL = {scenario.name: scenario for scenario in (WORKS, CRASHES, REFUSED, TWO, LLM, UNHEALTHY, NEWER)}


@dataclasses.dataclass
class Round:
    scenario: Scenario
    boundaries: list = dataclasses.field(default_factory=list)  # passed before the kill, the last one is where it died
    recovery: list = dataclasses.field(default_factory=list)  # the same of a restarted deployd that was killed, too
    died: bool = False
    seconds: float = 0.0
    recovered: float = 0.0  # from the last restart to the end
    violations: list = dataclasses.field(default_factory=list)
    failed: int = 0


class Host:
    """The world that rounds run in; a new one after a violation, so that a round never pays for an earlier one."""

    def __init__(self):
        self.world = None
        self.requests = 0

    def get(self):
        if self.world is None:
            self.world = World()
            self.world.start()
        return self.world

    def renew(self):
        self.close()
        self.world = None

    def close(self):
        if self.world is None:
            return
        try:
            self.requests += self.world.requests()
        finally:
            self.world.close()


def run_round(world, scenario, at, second=0):
    """at: the boundary to die at (see Stopper), 0: none. second: the boundary of the restarted deployd to die at, too."""
    result = Round(scenario)
    began = time.monotonic()
    pushes = [world.commit(service, scenario.fault) for service in scenario.services]
    scenario.prepare(world)
    try:
        _kill_and_restart(world, scenario, result, pushes, at, second)
        ended = _wait_for_the_end(world, result, pushes)
    finally:
        scenario.mend(world)
    for push in pushes:
        result.violations += world.outcome_is(ended, push, scenario.phases(push, pushes))
    result.violations += settled_violations(world, CLEAN_WITHIN)
    result.failed, told = world.failures()
    result.violations += told
    result.seconds = time.monotonic() - began
    return result


def settled_violations(world, seconds):
    """What is still not as it must be after some seconds: the last clearing away may come after the rollout's end."""
    deadline = time.monotonic() + seconds
    while (wrong := world.violations()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return wrong


def _kill_and_restart(world, scenario, result, pushes, at, second):
    agent = world.agent
    stopper = Stopper(HOST / "stopper.report", world.engine, at)
    stopper.attach(agent.process.pid)
    unanswered = [push for push in pushes if not world.send(push)]
    if scenario.newer:
        until(lambda: _gone(agent) or _looked(lambda: _begun(world, pushes)), "the first rollout to begin", 60, 0.01)
        pushes.append(world.commit(pushes[0].service))
        unanswered += [pushes[-1]] if not world.send(pushes[-1]) else []
    result.died = _died(world, pushes)
    stopper.end()
    result.boundaries = stopper.boundaries()
    if not result.died:
        return
    if agent.process.returncode != -signal.SIGKILL:
        result.violations.append(f"deployd was not killed, but ended by itself with {agent.process.returncode}")
    if second:
        unanswered = _kill_again(world, result, pushes, unanswered, second)
    if _gone(agent):
        agent.start()
    result.recovered = -time.monotonic()
    for push in unanswered:  # GitHub does not know: somebody presses "redeliver"
        if not world.send(push):
            raise RuntimeError(f"the push of {push.service} was not answered by a deployd that runs")


def _kill_again(world, result, pushes, unanswered, second):
    """Returns the pushes that are still not answered."""
    agent = world.agent
    stopper = Stopper(HOST / "stopper-recovery.report", world.engine, second)
    try:
        agent.start(launcher=stopper.launcher())
    except RuntimeError:
        if not _gone(agent):
            raise
    if not _gone(agent):
        unanswered = [push for push in unanswered if not world.send(push)]
    died = unanswered or _died(world, pushes)
    if died:
        until(lambda: _gone(agent), "deployd to be dead")
    stopper.end()
    result.recovery = stopper.boundaries() if died else []
    return unanswered


def _gone(agent):
    return agent.process.poll() is not None


def _looked(look):
    """What a look at deployd's answers says; it may die while it is asked."""
    try:
        return look()
    except RuntimeError:
        return None


def _begun(world, pushes):
    return any(rollout["phase"] != "queued" for rollout in world.rollouts_of(pushes))


def _died(world, pushes):
    """Waits until deployd was killed, or everything has ended without that."""
    looked = time.monotonic()

    def over():
        nonlocal looked
        if _gone(world.agent):
            return "died"
        if time.monotonic() - looked < 0.5:
            return None
        looked = time.monotonic()
        return "ended" if _looked(lambda: world.ended(pushes)) and not _gone(world.agent) else None

    return until(over, "deployd to die or the rollout to end", 60, 0.01) == "died"


def _wait_for_the_end(world, result, pushes):
    restarted, moved = datetime.datetime.now(datetime.timezone.utc), False
    began = time.monotonic()

    def over():
        nonlocal moved
        ended = world.ended(pushes)
        if not (ended or moved):
            moved = world.moved(pushes, restarted)
            if not moved and time.monotonic() - began > MOVES_WITHIN:
                raise TimeoutError(f"no rollout moved within {MOVES_WITHIN:g} s of the restart")
        return ended

    try:
        ended = until(over, "the rollouts to end after the restart", ENDS_WITHIN, 0.05)
    except TimeoutError as error:
        result.violations.append(str(error))
        ended = world.rollouts_of(pushes)
    if result.recovered < 0:
        result.recovered += time.monotonic()
    return ended
