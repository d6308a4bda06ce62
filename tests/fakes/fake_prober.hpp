// A HealthProber that answers what a test says, without a network.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/ports/clock.hpp"
#include "agent/ports/health_prober.hpp"

namespace deploy::tests {

class FakeProber final : public ports::HealthProber {
 public:
  struct Probe {
    std::string container_id;
    ports::Endpoint endpoint;
    domain::HealthCheck check;
  };
  std::vector<Probe> probes;
  /// The verdict on each target; healthy where it is empty.
  std::function<ports::Verdict(const Probe&)> judge;
  /// Hears "prober.prove"; may throw.
  std::function<void(std::string_view point)> on_point;
  /// How long a proof takes, where there is a clock, besides the check's own min_healthy.
  std::chrono::milliseconds takes{0};
  ports::Clock* clock = nullptr;

  /// What the proxy answers, by URL; 200 where it is empty.
  std::function<ports::Verdict(const std::string& url)> proxy;

  Task<ports::Verdict> ask(std::string host, std::uint16_t, std::string path, std::chrono::milliseconds) override {
    const ports::Verdict good{true, "answered 200"};
    co_return proxy ? proxy("http://" + host + path) : good;
  }

  Task<ports::Verdict> prove(std::string container_id, ports::Endpoint endpoint, domain::HealthCheck check,
                             std::function<void(std::string_view)> on_note) override {
    probes.push_back({std::move(container_id), std::move(endpoint), std::move(check)});
    const Probe probe = probes.back();
    if (on_point) on_point("prober.prove");
    if (clock != nullptr) co_await clock->sleep_for(takes + probe.check.min_healthy);
    ports::Verdict verdict{true, "answered 200"};
    if (judge) verdict = judge(probe);
    if (on_note) on_note(verdict.reason);
    co_return verdict;
  }
};

}  // namespace deploy::tests
