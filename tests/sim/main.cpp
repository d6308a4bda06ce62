// sim: runs seeds of the simulator, and replays one.
//   sim --seed N                 replays one seed and prints everything that happened in it
//   sim --seeds N [--from F]     runs N seeds, F the first (default 1; "random": from a random one, which is printed)
// Exit: 0 no promise was broken, 1 one was, 2 usage.
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "tests/sim/simulator.hpp"

namespace {

using deploy::sim::Outcome;
using deploy::sim::simulate;

void print(const char* format, const std::string& text) {
  std::printf(format, text.c_str());
  std::fflush(stdout);
}

int replay(std::uint64_t seed) {
  const auto outcome = simulate(seed, true);
  for (const auto& line : outcome.trace) print("%s\n", line);
  std::printf("seed %llu: %d lives, %d kills, %d failures, %d rollouts, digest %016llx\n",
              static_cast<unsigned long long>(seed), outcome.lives, outcome.crashes, outcome.faults, outcome.rollouts,
              static_cast<unsigned long long>(outcome.digest));
  if (outcome.violation) print("BROKEN: %s\n", *outcome.violation);
  return outcome.violation ? 1 : 0;
}

struct Totals {
  long seeds = 0;
  long lives = 0;
  long crashes = 0;
  long faults = 0;
  long rollouts = 0;
  long broken = 0;
};

/// Every `step`th seed; says each that breaks a promise, at most `show` of them.
Totals run_some(std::uint64_t first, std::uint64_t count, std::uint64_t offset, std::uint64_t step, long show) {
  Totals totals;
  for (std::uint64_t i = offset; i < count; i += step) {
    const auto outcome = simulate(first + i, false);
    ++totals.seeds;
    totals.lives += outcome.lives;
    totals.crashes += outcome.crashes;
    totals.faults += outcome.faults;
    totals.rollouts += outcome.rollouts;
    if (!outcome.violation) continue;
    const auto line = "seed " + std::to_string(first + i) + ": BROKEN: " + *outcome.violation;
    print("%s\n", line);
    if (++totals.broken >= show) break;
  }
  return totals;
}

/// The seeds are shared out to processes; each writes its totals to its pipe.
int run_many(std::uint64_t first, std::uint64_t count, int jobs, long show) {
  const auto begun = std::chrono::steady_clock::now();
  std::vector<std::pair<pid_t, int>> workers;
  for (int job = 0; job < jobs; ++job) {
    int ends[2];
    if (::pipe(ends) != 0) return 2;
    const auto child = ::fork();
    if (child == 0) {
      const auto totals =
          run_some(first, count, static_cast<std::uint64_t>(job), static_cast<std::uint64_t>(jobs), show);
      const bool written = ::write(ends[1], &totals, sizeof totals) == sizeof totals;
      std::fflush(stdout);
      ::_exit(written ? 0 : 2);
    }
    ::close(ends[1]);
    workers.emplace_back(child, ends[0]);
  }
  Totals all;
  bool complete = true;
  for (const auto& [child, end] : workers) {
    Totals totals;
    complete = ::read(end, &totals, sizeof totals) == sizeof totals && complete;
    ::close(end);
    int status = 0;
    ::waitpid(child, &status, 0);
    all.seeds += totals.seeds;
    all.lives += totals.lives;
    all.crashes += totals.crashes;
    all.faults += totals.faults;
    all.rollouts += totals.rollouts;
    all.broken += totals.broken;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  std::printf(
      "%ld seeds in %.1f s (%.0f/s): %ld rollouts, %ld lives of the agent, %ld kills, %ld failures; %ld broken\n",
      all.seeds, took.count(), static_cast<double>(all.seeds) / took.count(), all.rollouts, all.lives, all.crashes,
      all.faults, all.broken);
  if (!complete) std::printf("a process ended early: its seeds are not all counted\n");
  if (all.broken > 0) std::printf("replay one with: ./dev sim --seed N\n");
  return all.broken > 0 || !complete ? 1 : 0;
}

}  // namespace

int main(int count, char** arguments) {
  CLI::App app(
      "Runs a whole agent in virtual time, with failures and deaths at random, and checks what deployctl promises.");
  std::uint64_t seed = 0;
  std::uint64_t seeds = 20000;
  std::string from = "1";
  int jobs = 2;
  long show = 10;
  auto* one = app.add_option("--seed", seed, "replay one seed and print what happened");
  app.add_option("--seeds", seeds, "how many seeds to run");
  app.add_option("--from", from, "the first seed; \"random\" takes a random one and prints it");
  app.add_option("--jobs", jobs, "processes")->check(CLI::Range(1, 64));
  app.add_option("--show", show, "end a process after so many broken seeds");
  try {
    app.parse(count, arguments);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  // The state folder of each seed lives in memory.
  struct stat folder {};
  if (::stat("/dev/shm", &folder) == 0) ::setenv("TMPDIR", "/dev/shm", 0);
  if (one->count() > 0) return replay(seed);
  std::uint64_t first = 0;
  if (from == "random") {
    std::random_device device;
    first = (static_cast<std::uint64_t>(device()) << 16) + device() % 65536;
    std::printf("the first seed is %llu: ./dev sim --seeds %llu --from %llu runs the same again\n",
                static_cast<unsigned long long>(first), static_cast<unsigned long long>(seeds),
                static_cast<unsigned long long>(first));
  } else {
    first = std::strtoull(from.c_str(), nullptr, 10);
  }
  std::fflush(stdout);
  return run_many(first, seeds, jobs, show);
}
