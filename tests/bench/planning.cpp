// How long it takes to read the configuration of many services and to make one release of them all. Prints
// milliseconds: "load N release N preview N wake N", each the median of several runs. A wake is what the dispatcher
// does each time that something has happened while all of them wait in one release.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <vector>

#include "agent/config/schema.hpp"
#include "agent/rollout/dispatcher.hpp"
#include "agent/rollout/preview.hpp"
#include "agent/rollout/release_planner.hpp"
#include "agent/store/job_queue.hpp"
#include "tests/fakes/run.hpp"

namespace {

using namespace deploy;

constexpr int services_count = 200;
constexpr int repositories = 50;
constexpr int runs = 11;

class WallClock final : public ports::Clock {
 public:
  std::chrono::system_clock::time_point now() const override { return std::chrono::system_clock::now(); }
  std::chrono::steady_clock::time_point steady_now() const override { return std::chrono::steady_clock::now(); }
  Task<void> sleep_for(std::chrono::milliseconds) override { co_return; }
};

void write_configuration(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder / "deploy.d");
  std::ofstream(folder / "agent.yaml") << "network: internal\nproxy: { nginx: { container: nginx, upstreams: /up } }\n";
  for (int i = 0; i < services_count; ++i) {
    const auto depends = i < 4 ? std::string() : fmt::format("depends_on: [service-{}, service-{}]\n", i / 2, i / 4);
    std::ofstream(folder / "deploy.d" / fmt::format("{:03}.yaml", i)) << fmt::format(
        "service: service-{0}\nrepo: team/repo-{1}\non: push\nsource: {{ git: {{ url: "
        "\"https://github.com/team/repo-{1}.git\" }} "
        "}}\npaths: [service-{0}]\n{2}container: {{ environment: {{ PORT: \"8080\", NAME: service-{0} }}, volumes: "
        "[\"data-{0}:/data\"] }}\nproxy: {{ port: 8080, upstream: service-{0} }}\nhealth: {{ http: /health, expect: {{ "
        "json: {{ /status: UP }} }} }}\n",
        i, i % repositories, depends);
  }
}

double milliseconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main() {
  std::string pattern = (std::filesystem::temp_directory_path() / "deploy-planning-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) return EXIT_FAILURE;
  const std::filesystem::path folder(pattern);
  write_configuration(folder);
  std::vector<double> load;
  std::vector<double> plan;
  std::vector<double> preview;
  std::vector<double> wake;
  for (int run = 0; run < runs; ++run) {
    const auto begun = std::chrono::steady_clock::now();
    const auto result = config::load(folder / "agent.yaml");
    load.push_back(milliseconds(std::chrono::steady_clock::now() - begun));
    if (!result.configuration) {
      std::cerr << result.diagnostics.render();
      return EXIT_FAILURE;
    }
    WallClock clock;
    store::Database database(folder / fmt::format("state-{}.db", run));
    store::EventLog events(database, [](const domain::Event&) {});
    rollout::Journal journal(database, events, clock);
    const auto& services = result.configuration->services;
    rollout::ReleasePlanner planner(journal, database, services, {});
    std::vector<store::Job> jobs;
    for (const auto& service : services) {
      store::Job job;
      job.service = service.name;
      job.cause = "a bench";
      jobs.push_back(job);
    }
    const auto planned = std::chrono::steady_clock::now();
    planner.plan_now(jobs);
    plan.push_back(milliseconds(std::chrono::steady_clock::now() - planned));
    const auto as_written = [](const domain::Service& service) {
      rollout::ResolvedSettings settings;
      settings.container = service.container;
      return settings;
    };
    const auto as_configured = [](domain::Service service) -> Task<domain::Service> { co_return service; };
    rollout::Previews previews(journal, services, as_configured, as_written, "key",
                               [](const std::string&) { return std::vector<std::string>(); });
    const auto asked = std::chrono::steady_clock::now();
    tests::run(previews.of({}));
    preview.push_back(milliseconds(std::chrono::steady_clock::now() - asked));
    const auto woken = std::chrono::steady_clock::now();
    auto queue = rollout::queue_of(journal);
    queue.let_in = [&journal](const domain::Rollout& rollout) {
      return rollout.phase != domain::Phase::queued && !journal.prepares(rollout);
    };
    queue.runs_alone = [](const domain::Rollout&) { return false; };
    const auto ready = rollout::choose_ready(queue, services, 2);
    wake.push_back(milliseconds(std::chrono::steady_clock::now() - woken));
    if (ready.start.size() != services.size()) return EXIT_FAILURE;
  }
  std::filesystem::remove_all(folder);
  std::cout << fmt::format("load {:.1f} release {:.1f} preview {:.1f} wake {:.1f}\n", median(load), median(plan),
                           median(preview), median(wake));
  return EXIT_SUCCESS;
}
