// Waiting for a release: follows its events, over restarts of the agent, until all its rollouts have ended.
#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "agent/api/views.hpp"
#include "agent/ctl/session.hpp"

namespace deploy::ctl {

enum class WaitEnd { ended, timed_out, interrupted };

struct Waited {
  WaitEnd end = WaitEnd::ended;
  std::vector<api::RolloutView> rollouts;  // as they ended, in the order of the release; empty unless `ended`
};

/// Shows progress on session.err. Ctrl-C ends the wait and not the rollouts. Throws Error(unreachable) when the agent
/// was away for longer than environment.unreachable_limit, and what the agent refuses.
Task<Waited> wait_for(Session session, api::AcceptedView accepted, std::optional<std::chrono::milliseconds> timeout);

/// Asks until every rollout has ended, without showing progress; nullopt where the time was over before.
Task<std::optional<std::vector<api::RolloutView>>> until_ended(Session session, api::AcceptedView accepted,
                                                               std::optional<std::chrono::milliseconds> timeout);

}  // namespace deploy::ctl
