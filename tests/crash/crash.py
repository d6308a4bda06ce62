"""./dev crash: kill -9 of deployd before and after every durable write and side effect of real rollouts, under load."""

import argparse
import collections
import pathlib
import random
import sys
import time

sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).parents[1] / "e2e")]

from rounds import ALL, CRASHES, REFUSED, WORKS, Host, Round, run_round  # noqa: E402

RECOVERY_BOUNDARIES = 60  # of a restarted deployd; a random second kill is at one of them
SLOW = 15.0  # seconds: a round that takes longer is worth a look at the log
TRIES = 5  # SQLite's own may stand between, and be died at in place of what was meant
UNSTEADY = 3  # boundaries of a scenario that need not come in each run, like a second round of polling on a slow machine


def without_checkpoints(boundaries):
    """Those that are not SQLite moving its log into the database, which it does every thousand pages, wherever a rollout is then: it
    syncs the log, writes and syncs the database, and begins the log anew with a header that it writes and syncs before the next
    transaction."""
    kept, header = [], 0
    for boundary in boundaries:
        if boundary.endswith(" state/state.db"):
            if boundary.startswith("before") and kept and kept[-1].startswith("after sync"):
                kept.pop()
            header = 2
        elif header and boundary.endswith(" state/state.db-wal"):
            header -= 1
        else:
            kept.append(boundary)
    return kept


def places(boundaries):
    """(boundary, how often it has come) of each: by this a point of a rollout is known in every run."""
    seen, found = collections.Counter(), []
    for boundary in without_checkpoints(boundaries):
        seen[boundary] += 1
        found.append((boundary, seen[boundary]))
    return found


def last_place(boundaries):
    """Of the last boundary; None if that is SQLite's own."""
    before, now = places(boundaries[:-1]), places(boundaries)
    return now[-1] if len(now) > len(before) else None


def shared(boundaries, others):
    """How many of the first boundaries are those of another rollout: up to the last request to the engine that both make. What
    happens beside each other, like a fetch and its log, does not always come in the same order."""
    def requests(listed):
        return [(at, boundary) for at, boundary in enumerate(listed, 1) if boundary.startswith(("after POST", "after DELETE"))]

    same = 0
    for (at, boundary), (_, other) in zip(requests(boundaries), requests(others)):
        if boundary != other:
            break
        same = at
    return same


def same_world(boundaries):
    """Positions of boundaries that need no kill of their own: after a file was written and before the next boundary nothing
    changes that a restarted deployd could see. But the first sync stores the delivery, and its answer follows."""
    first_sync = next((at for at, boundary in enumerate(boundaries) if boundary.startswith("after sync")), -1)
    return {at for at, boundary in enumerate(boundaries[:-1])
            if boundary.startswith("after ") and not boundary.startswith(("after POST", "after DELETE")) and at != first_sync}


class Crash:
    def __init__(self, host, quiet=False):
        self.host = host
        self.quiet = quiet  # tell of rounds with a violation only
        self.rounds = []
        self.covered = []  # (title, figure) per scenario
        self.missed = 0  # boundaries that were to be died at, and were not

    def round(self, scenario, at, second=0):
        try:
            done = run_round(self.host.get(), scenario, at, second)
        except (TimeoutError, RuntimeError, OSError) as error:
            done = Round(scenario, violations=[f"the round could not go on: {error}"])
        self.rounds.append(done)
        where = f"--at {len(done.boundaries)} {done.boundaries[-1]}" if done.died else f"{at} was not reached" if at else "not killed"
        if done.recovery:
            where += f"; --second {second} {done.recovery[-1]}"
        if done.violations or not self.quiet:
            print(f"{len(self.rounds):4d} {scenario.name:<9} {where:<100.100} {scenario.phase} {done.seconds:4.1f} s, "
                  f"{done.recovered:4.1f} s after the restart" + (f"  ** {done.failed} requests failed" if done.failed else ""),
                  flush=True)
        for violation in done.violations:
            print(f"      VIOLATION: {violation}", flush=True)
        if done.violations or (done.seconds > SLOW and not self.quiet):
            print("\n        ".join(["      the last rollout and the last lines of deployd:", *self.host.get().told()]), flush=True)
        if done.violations:
            self.host.renew()
        return done

    def each(self, scenario, merge, after=()):
        """One kill at each boundary of a scenario that it does not share with the boundaries `after`; returns all of its own."""
        print(f"-- {scenario.title}", flush=True)
        # What came twice belongs to the rollout; the agent's look around now and then does not.
        first, second = (places(self.round(scenario, 0).boundaries) for _ in range(2))
        own = [place for place in second if place in first]
        counted = [boundary for boundary, _ in own]
        skipped = same_world(counted) if merge else set()
        skipped |= set(range(shared(counted, after)))
        missing = [place for position, place in enumerate(own) if position not in skipped]
        wanted, unsteady = len(missing), []
        print(f"   {len(counted)} boundaries, {wanted} of them to die at", flush=True)
        for _ in range(TRIES):
            for place in list(missing):
                if place not in missing:
                    continue  # died there on the way to another one
                done = self.round(scenario, place)
                if not done.died and not done.violations:
                    unsteady.append(place)
                died_at = last_place(done.boundaries) if done.died else None
                missing = [other for other in missing if other not in (died_at, *unsteady)]
        for boundary, which in [*missing, *unsteady]:
            print(f"   never died at {boundary} ({which})" + (", which did not come again" if (boundary, which) in unsteady else ""),
                  flush=True)
        self.covered.append((f"{scenario.title}: boundaries", f"{wanted - len(missing) - len(unsteady)} of {wanted}"))
        self.missed += len(missing) + max(0, len(unsteady) - UNSTEADY)
        return counted

    def at_random(self, number, seed):
        print(f"-- {number} random rounds, --seed {seed}", flush=True)
        rng = random.Random(seed)
        counts = {}
        for _ in range(number):
            scenario = rng.choice(list(ALL.values()))
            if scenario not in counts:
                counts[scenario] = len(self.round(scenario, 0).boundaries)
            self.round(scenario, rng.randint(1, counts[scenario]), rng.choice([0, rng.randint(1, RECOVERY_BOUNDARIES)]))

    def summary(self):
        killed = [done for done in self.rounds if done.died]
        violated = sum(1 for done in self.rounds if done.violations)
        world = self.host.get()
        once = world.recorded_once()
        requests = self.host.requests + world.requests()
        world.agent.stop()
        unseen = world.unseen()
        print()
        for title, value in [
                ("rounds", len(self.rounds)),
                ("kills of deployd", len(killed) + sum(1 for done in self.rounds if done.recovery)),
                *self.covered,
                ("rounds with a violation", violated),
                ("pushes without exactly one outcome", len(once)),
                ("requests", requests),
                ("requests failed", sum(done.failed for done in self.rounds)),
                ("longest from a restart to the rollout's end", f"{max((d.recovered for d in killed), default=0):.1f} s"),
                ("time of a round", f"{sum(d.seconds for d in self.rounds) / max(1, len(self.rounds)):.1f} s")]:
            print(f"  {title:<46} {value}")
        for line in once:
            print(f"VIOLATION: {line}")
        for word in unseen:
            print(f"THE CHECKS ARE BLIND: {word} was planted and not seen")
        return violated or once or self.missed or unseen


def main():
    parser = argparse.ArgumentParser(prog="./dev crash", description=__doc__)
    parser.add_argument("--rounds", type=int, help="this many kills at random boundaries, every second one with a second "
                        "kill while the restarted deployd recovers, in place of one kill at each boundary")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of --rounds")
    parser.add_argument("--at", type=int, help="one kill, at this boundary")
    parser.add_argument("--second", type=int, default=0, help="with --at: and one at this boundary of the restarted deployd")
    parser.add_argument("--scenario", choices=ALL, help="with --at: of this rollout (default: works); alone: only this one's boundaries")
    parser.add_argument("--merge", action="store_true", help="one kill where two boundaries see the same world")
    parser.add_argument("--quiet", action="store_true", help="tell of rounds with a violation only")
    arguments = parser.parse_args()
    host = Host()
    crash = Crash(host, arguments.quiet)
    try:
        if arguments.rounds:
            crash.at_random(arguments.rounds, arguments.seed)
        elif arguments.at:
            crash.round(ALL[arguments.scenario or "works"], arguments.at, arguments.second)
        elif arguments.scenario:
            crash.each(ALL[arguments.scenario], arguments.merge)
        else:
            works = crash.each(WORKS, arguments.merge)
            for scenario in (CRASHES, REFUSED):
                crash.each(scenario, arguments.merge, after=works)
        failed = crash.summary()
    finally:
        host.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
