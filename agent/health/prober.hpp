// Probes a target until there is a verdict: over HTTP and TCP at its fixed address, by a command in its container, by
// its log, or by the HEALTHCHECK that the engine runs; warms it up; and watches whether its container still lives. One
// proof is one coroutine; many may run at once on one thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "agent/health/verdict.hpp"
#include "agent/ports/clock.hpp"
#include "agent/ports/container_engine.hpp"
#include "agent/ports/health_prober.hpp"

namespace deploy::health {

/// Why this container cannot become healthy any more; nullopt where it still can. `restarts` is the count when the
/// proof began, `age` how long ago that was.
std::optional<std::string> end_of(const std::optional<ports::Container>& container, int restarts,
                                  std::chrono::milliseconds age);

class Prober final : public ports::HealthProber {
 public:
  Prober(ports::ContainerEngine& engine, ports::Clock& clock) : engine_(engine), clock_(clock) {}

  Task<ports::Verdict> prove(std::string container_id, ports::Endpoint endpoint, domain::HealthCheck check,
                             std::function<void(std::string_view)> on_note) override;
  Task<ports::Verdict> ask(std::string host, std::uint16_t port, std::string path,
                           std::chrono::milliseconds timeout) override;

 private:
  ports::ContainerEngine& engine_;
  ports::Clock& clock_;
};

}  // namespace deploy::health
