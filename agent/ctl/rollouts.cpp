// rollout and rollback.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agent/config/scalars.hpp"
#include "agent/ctl/commands.hpp"
#include "agent/ctl/text.hpp"
#include "agent/ctl/wait.hpp"

namespace deploy::ctl {

namespace {

int exit_code_of_phase(const std::string& phase) {
  if (phase == "succeeded" || phase == "unchanged") return exit_done;
  if (phase == "needs_operator") return exit_needs_operator;
  return phase == "rolled_back" ? exit_failed : exit_cancelled;
}

/// Of several rollouts the worst counts: what needs a person first, then what failed, then what never ran.
int worst_exit_code(const std::vector<api::RolloutView>& rollouts) {
  constexpr std::array<int, 4> worst_first{exit_needs_operator, exit_failed, exit_cancelled, exit_done};
  auto worst = worst_first.end() - 1;
  for (const auto& rollout : rollouts) {
    worst = std::min(worst, std::ranges::find(worst_first, exit_code_of_phase(rollout.phase)));
  }
  return *worst;
}

/// "deployctl show 12" for each, to be copied.
std::string how_to_look(const api::AcceptedView& accepted) {
  std::string commands;
  for (const auto& rollout : accepted.rollouts) commands += fmt::format("\n  deployctl show {}", rollout.id);
  return commands;
}

/// The last lines of what failed, on standard error.
void print_failures(const Session& session, const std::vector<api::RolloutView>& rollouts) {
  for (const auto& rollout : rollouts) {
    const int code = exit_code_of_phase(rollout.phase);
    if (code != exit_failed && code != exit_needs_operator) continue;
    if (!rollout.log.empty()) session.err << "last lines of " << printable(rollout.service) << ":\n";
    for (const auto& line : rollout.log) session.err << "  " << printable(line) << "\n";
    session.say(fmt::format("{}: {}: {}; every step: deployctl show {}", printable(rollout.service),
                            words_of(rollout.phase), printable(rollout.reason), rollout.id));
  }
}

Task<int> wait_and_print(Session session, api::AcceptedView accepted, WaitOptions options) {
  if (options.detach) {
    if (session.json()) {
      session.print(accepted);
    } else {
      session.out << render_accepted(accepted);
    }
    co_return exit_done;
  }
  const auto waited = co_await wait_for(session, accepted, options.timeout);
  if (waited.end == WaitEnd::timed_out) {
    session.say(fmt::format("stopped waiting after {}; the rollout goes on in the agent. Look at it with:{}",
                            config::format_duration(*options.timeout), how_to_look(accepted)));
    co_return exit_timed_out;
  }
  if (waited.end == WaitEnd::interrupted) {
    // A terminal shows ^C where the cursor is.
    if (session.environment.err_is_terminal) session.err << "\n";
    session.say("stopped waiting; the rollout goes on in the agent. Look at it with:" + how_to_look(accepted));
    co_return exit_interrupted;
  }
  if (session.json()) {
    const api::HistoryView view{waited.rollouts};
    session.print(view);
  } else {
    session.out << render_results(waited.rollouts, session.look());
  }
  print_failures(session, waited.rollouts);
  co_return worst_exit_code(waited.rollouts);
}

}  // namespace

Task<int> rollout(Session session, RolloutOptions options) {
  if (!options.image.empty() && options.services.size() > 1) {
    throw Error(ErrorKind::invalid, fmt::format("--image goes with one service, and {} were given; run one rollout "
                                                "for each image",
                                                options.services.size()));
  }
  api::RolloutRequest request{options.services, options.ref, options.image};
  auto accepted = co_await session.client.start(std::move(request));
  co_return co_await wait_and_print(session, std::move(accepted), options.wait);
}

Task<int> rollback(Session session, RollbackOptions options) {
  api::RollbackRequest request{options.service, options.to, options.release, options.yes};
  auto accepted = co_await session.client.roll_back(std::move(request));
  co_return co_await wait_and_print(session, std::move(accepted), options.wait);
}

}  // namespace deploy::ctl
