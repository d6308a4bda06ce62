// One question to a target, and what its answer is worth.
#pragma once

#include <chrono>

#include "agent/base/async.hpp"
#include "agent/domain/service.hpp"
#include "agent/health/verdict.hpp"
#include "agent/ports/container_engine.hpp"
#include "agent/ports/health_prober.hpp"

namespace deploy::health {

/// One GET, answered within `timeout`; what is beyond 64 KiB of the body is read and dropped. Throws Error(cancelled)
/// alone.
Task<Answer> probe_http(ports::Endpoint endpoint, domain::HealthCheck check, std::chrono::milliseconds timeout);

/// The request that makes an app load what it answers with: a POST where it has a body, else a GET. Any 2xx within
/// `timeout` is good. Throws Error(cancelled) alone.
Task<Answer> probe_warm_up(ports::Endpoint endpoint, domain::HealthCheck check, std::chrono::milliseconds timeout);

/// One GET of the endpoint, whose address may be a host's name. Any 2xx within `timeout` is good. Throws
/// Error(cancelled) alone.
Task<Answer> probe_path(ports::Endpoint endpoint, std::string path, std::chrono::milliseconds timeout);

/// One connection, which is closed at once. Throws Error(cancelled) alone.
Task<Answer> probe_tcp(ports::Endpoint endpoint, std::chrono::milliseconds timeout);

/// One command in the container; good if it exits with 0. `engine` outlives the call. Throws Error(unreachable) where
/// the engine does not answer, and Error(cancelled).
Task<Answer> probe_exec(ports::ContainerEngine& engine, std::string container_id, std::vector<std::string> argv,
                        std::chrono::milliseconds timeout);

/// What the engine's HEALTHCHECK says.
Answer judge_healthcheck(const ports::Container& container);

}  // namespace deploy::health
