// cancel, pause and resume.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agent/ctl/commands.hpp"
#include "agent/ctl/text.hpp"
#include "agent/ctl/wait.hpp"

namespace deploy::ctl {

namespace {

bool is_number(const std::string& text) {
  return !text.empty() && text.size() <= 18 && text.find_first_not_of("0123456789") == std::string::npos;
}

std::string name_of(const std::string& service) { return service.empty() ? "every service" : printable(service); }

std::string argument_of(const std::string& service) { return service.empty() ? "--all" : printable(service); }

}  // namespace

Task<int> cancel(Session session, CancelOptions options) {
  api::CancelRequest request;
  if (is_number(options.subject)) {
    request.rollout = std::stoll(options.subject);
  } else {
    request.service = options.subject;
  }
  const auto accepted = co_await session.client.cancel(std::move(request));
  const auto rollouts = co_await until_ended(session, accepted, options.wait.timeout);
  if (!rollouts) {
    session.say("stopped waiting; what was done is being undone. `deployctl status` shows how far it is");
    co_return exit_timed_out;
  }
  if (session.json()) {
    const api::HistoryView view{*rollouts};
    session.print(view);
  } else {
    session.out << render_results(*rollouts, session.look());
  }
  const bool all = std::ranges::all_of(*rollouts, [](const auto& rollout) { return rollout.phase == "cancelled"; });
  const bool stuck =
      std::ranges::any_of(*rollouts, [](const auto& rollout) { return rollout.phase == "needs_operator"; });
  co_return stuck ? exit_needs_operator : all ? exit_done : exit_failed;
}

Task<int> pause(Session session, PauseOptions options) {
  api::PauseRequest request{options.service, options.reason};
  const auto view = co_await session.client.pause(std::move(request));
  if (session.json()) {
    session.print(view);
  } else {
    session.out << fmt::format("no rollout of {} begins until: deployctl resume {}\n",
                               view.service.empty() ? "any service" : printable(view.service),
                               argument_of(view.service));
  }
  co_return exit_done;
}

Task<int> resume(Session session, std::string service) {
  api::PauseRequest request{service, ""};
  const auto view = co_await session.client.resume(std::move(request));
  if (session.json()) {
    session.print(view);
  } else {
    session.out << fmt::format("rollouts of {} begin again\n", name_of(view.service));
  }
  co_return exit_done;
}

}  // namespace deploy::ctl
