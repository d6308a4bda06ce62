"""One round: a push, a kill -9 of deployd at one boundary of what follows, a restart, and what must hold then."""

import dataclasses
import time

from harness.scene import HOST
from harness.wait import until
from stopper import Stopper
from world import World

MOVES_WITHIN = 30.0  # seconds from a restart to the end of these rollouts, and so to their first move


CLEAN_WITHIN = 5.0  # what could not be cleared away while Nginx refused everything is tried again


class Scenario:
    """What is pushed and how that must end."""

    def __init__(self, name, services, phase, fault="", break_nginx=False):
        self.name = name
        self.services = services
        self.phase = phase
        self.fault = fault
        self.break_nginx = break_nginx

    def prepare(self, world):
        if self.break_nginx:
            file = world.scene.nginx.conf / "nginx.conf"
            file.write_text(file.read_text() + "nonsense;\n")

    def mend(self, world):
        if self.break_nginx:
            file = world.scene.nginx.conf / "nginx.conf"
            file.write_text(file.read_text().replace("nonsense;\n", ""))


WORKS = Scenario("a version that works", ["backend"], "succeeded")
CRASHES = Scenario("a version that exits at once", ["backend"], "rolled_back", fault="crash")
REFUSED = Scenario("an Nginx that refuses the switch", ["backend"], "rolled_back", break_nginx=True)
TWO = Scenario("two services in order", ["llm", "backend"], "succeeded")
LLM = Scenario("a service that only others call", ["llm"], "succeeded")
UNHEALTHY = Scenario("a version that is never healthy", ["backend"], "rolled_back", fault="unhealthy")


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
    note: str = ""


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
    """at: the boundary to die at, 0: none. second: the boundary of the restarted deployd to die at, too."""
    result = Round(scenario)
    began = time.monotonic()
    fresh = world.commit(scenario.services, scenario.fault)
    scenario.prepare(world)
    try:
        _kill_and_restart(world, scenario, result, at, second)
        ended = _wait_for_the_end(world, scenario, result)
    finally:
        scenario.mend(world)
    result.violations += world.outcome_is(ended, fresh, (scenario.phase,))
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


def _kill_and_restart(world, scenario, result, at, second):
    agent = world.agent
    stopper = Stopper(HOST / "stopper.report", world.engine, at)
    stopper.attach(agent.process.pid)
    unanswered = [service for service in scenario.services if not world.push(service)]
    result.died = _died(world, scenario)
    stopper.end()
    result.boundaries = stopper.boundaries()
    if not result.died:
        return
    if second:
        stopper = Stopper(HOST / "stopper-recovery.report", world.engine, second)
        try:
            agent.start(launcher=stopper.launcher())
        except RuntimeError:
            if agent.process.poll() is None:
                raise
        if agent.process.poll() is None and unanswered:
            unanswered = [service for service in unanswered if not world.push(service)]
        died = unanswered or _died(world, scenario)
        stopper.end()
        result.recovery = stopper.boundaries() if died else []
    if agent.process.poll() is not None:
        agent.process.wait()
        agent.start()
    result.recovered = -time.monotonic()
    for service in unanswered:  # GitHub does not know: somebody presses "redeliver"
        if not world.push(service):
            raise RuntimeError(f"the push of {service} was not answered by a deployd that runs")


def _died(world, scenario):
    """Waits until deployd was killed, or everything has ended without that."""
    looked = time.monotonic()

    def over():
        nonlocal looked
        if world.agent.process.poll() is not None:
            return "died"
        if time.monotonic() - looked < 0.5:
            return None
        looked = time.monotonic()
        done = world.agent.ctl("history", "--limit", "1")  # it may die while it is asked
        return "ended" if done.returncode == 0 and world.agent.process.poll() is None and _ended(world, scenario) else None

    return until(over, "deployd to die or the rollout to end", 60, 0.01) == "died"


def _ended(world, scenario):
    try:
        return world.ended(scenario.services)
    except RuntimeError:
        return None


def _wait_for_the_end(world, scenario, result):
    try:
        ended = until(lambda: world.ended(scenario.services), "the rollouts to end", MOVES_WITHIN, 0.05)
        if result.recovered < 0:
            result.recovered += time.monotonic()
    except TimeoutError:
        result.recovered = MOVES_WITHIN
        result.violations.append(f"the rollouts did not end within {MOVES_WITHIN:g} s of the restart")
        ended = world.rollouts_of(scenario.services)
    return ended
