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
#include <map>
#include <random>

#include "tests/sim/simulator.hpp"

namespace {

using deploy::sim::Boundary;
using deploy::sim::Outcome;
using deploy::sim::simulate;

void print(const char* format, const std::string& text) {
  std::printf(format, text.c_str());
  std::fflush(stdout);
}

struct Totals {
  long seeds = 0;
  long lives = 0;
  long rollouts = 0;
  long bad_versions = 0;
  long bad_promoted = 0;
  long broken = 0;
  std::map<std::string, Boundary::Count> counts;

  void add(const Outcome& outcome) {
    ++seeds;
    lives += outcome.lives;
    rollouts += outcome.rollouts;
    bad_versions += outcome.bad_versions;
    bad_promoted += outcome.bad_promoted;
    broken += outcome.violation ? 1 : 0;
    for (const auto& [boundary, count] : outcome.counts) add(boundary, count);
  }
  void add(const std::string& boundary, const Boundary::Count& count) {
    counts[boundary].kills += count.kills;
    counts[boundary].failures += count.failures;
  }
};

Boundary::Count sum(const std::map<std::string, Boundary::Count>& counts) {
  Boundary::Count all;
  for (const auto& [boundary, count] : counts) {
    all.kills += count.kills;
    all.failures += count.failures;
  }
  return all;
}

int replay(std::uint64_t seed) {
  const auto outcome = simulate(seed, true);
  for (const auto& line : outcome.trace) print("%s\n", line);
  const auto troubles = sum(outcome.counts);
  std::printf("seed %llu: %d lives, %d kills, %d failures, %d rollouts, digest %016llx\n",
              static_cast<unsigned long long>(seed), outcome.lives, troubles.kills, troubles.failures, outcome.rollouts,
              static_cast<unsigned long long>(outcome.digest));
  if (outcome.violation) print("BROKEN: %s\n", *outcome.violation);
  return outcome.violation ? 1 : 0;
}

/// The form in which a process hands its totals on: six numbers, then a line for each boundary.
void write(std::FILE* to, const Totals& totals) {
  std::fprintf(to, "%ld %ld %ld %ld %ld %ld\n", totals.seeds, totals.lives, totals.rollouts, totals.bad_versions,
               totals.bad_promoted, totals.broken);
  for (const auto& [boundary, count] : totals.counts) {
    std::fprintf(to, "%d %d %s\n", count.kills, count.failures, boundary.c_str());
  }
  std::fprintf(to, "end\n");
}

/// False where the process ended before it was done.
bool read(std::FILE* from, Totals* all) {
  Totals part;
  if (std::fscanf(from, "%ld %ld %ld %ld %ld %ld\n", &part.seeds, &part.lives, &part.rollouts, &part.bad_versions,
                  &part.bad_promoted, &part.broken) != 6)
    return false;
  all->seeds += part.seeds;
  all->lives += part.lives;
  all->rollouts += part.rollouts;
  all->bad_versions += part.bad_versions;
  all->bad_promoted += part.bad_promoted;
  all->broken += part.broken;
  Boundary::Count count;
  char boundary[100];
  while (std::fscanf(from, "%d %d %99[^\n]\n", &count.kills, &count.failures, boundary) == 3) all->add(boundary, count);
  return std::fscanf(from, "%99s", boundary) == 1 && std::string_view(boundary) == "end";
}

/// Every `step`th seed; says each that breaks a promise, at most `show` of them.
Totals run_some(std::uint64_t first, std::uint64_t count, std::uint64_t offset, std::uint64_t step, long show) {
  Totals totals;
  for (std::uint64_t i = offset; i < count; i += step) {
    const auto outcome = simulate(first + i, false);
    totals.add(outcome);
    if (!outcome.violation) continue;
    const auto line = "seed " + std::to_string(first + i) + ": BROKEN: " + *outcome.violation;
    print("%s\n", line);
    if (totals.broken >= show) break;
  }
  return totals;
}

struct Run {
  std::uint64_t first;
  std::uint64_t count;
  int jobs;
  long show;
  bool coverage;
};

/// The seeds are shared out to processes; each writes its totals to its pipe.
int run_many(const Run& run) {
  const auto begun = std::chrono::steady_clock::now();
  std::vector<std::pair<pid_t, std::FILE*>> workers;
  for (int job = 0; job < run.jobs; ++job) {
    int ends[2];
    if (::pipe(ends) != 0) return 2;
    const auto child = ::fork();
    if (child < 0) return 2;
    if (child == 0) {
      const auto totals = run_some(run.first, run.count, static_cast<std::uint64_t>(job),
                                   static_cast<std::uint64_t>(run.jobs), run.show);
      auto* to = ::fdopen(ends[1], "w");
      write(to, totals);
      std::fclose(to);
      ::_exit(0);
    }
    ::close(ends[1]);
    workers.emplace_back(child, ::fdopen(ends[0], "r"));
  }
  Totals all;
  bool complete = true;
  for (const auto& [child, from] : workers) {
    complete = read(from, &all) && complete;
    std::fclose(from);
    ::waitpid(child, nullptr, 0);
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  if (run.coverage) {
    for (const auto& [boundary, count] : all.counts) {
      std::printf("%8d kills %8d failures  %s\n", count.kills, count.failures, boundary.c_str());
    }
  }
  const auto troubles = sum(all.counts);
  std::printf("%ld seeds in %.1f s (%.0f/s): %ld rollouts, %ld lives of the agent, %d kills, %d failures; %ld broken\n",
              all.seeds, took.count(), static_cast<double>(all.seeds) / took.count(), all.rollouts, all.lives,
              troubles.kills, troubles.failures, all.broken);
  std::printf("%ld rollouts of versions that are never healthy, exit or die in their bake: %ld promoted\n",
              all.bad_versions, all.bad_promoted);
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
  bool coverage = false;
  app.add_flag("--coverage", coverage, "print how often each boundary was where the agent was killed or a call failed");
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
  return run_many({first, seeds, jobs, show, coverage});
}
