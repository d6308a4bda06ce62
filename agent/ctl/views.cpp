// plan, status, history, show and version: one question to the agent each.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agent/ctl/commands.hpp"
#include "agent/ctl/text.hpp"

namespace deploy::ctl {

namespace {

template <class View, class Render>
int print_view(const Session& session, const View& view, Render render) {
  if (session.json()) {
    session.print(view);
  } else {
    session.out << render(view, session.look());
  }
  return exit_done;
}

std::string render_version(const api::VersionView& view) {
  std::string engine = "not reachable";
  if (!view.engine.empty()) engine = fmt::format("{} (API {})", printable(view.engine), printable(view.engine_api));
  return fmt::format("deployd   {} (API {})\nengine    {}\n", printable(view.version), view.api, engine);
}

}  // namespace

Task<int> status(Session session) {
  const auto view = co_await session.client.status();
  co_return print_view(session, view, render_status);
}

Task<int> plan(Session session, std::vector<std::string> services) {
  const auto view = co_await session.client.plan(std::move(services));
  print_view(session, view, render_plan);
  const bool changes = std::ranges::any_of(view.services, [](const api::PlannedView& service) {
    return service.live.empty() || !service.differences.empty();
  });
  co_return changes ? exit_changes : exit_done;
}

Task<int> plan_rollback(Session session, RollbackOptions options) {
  api::RollbackRequest request{options.service, options.to, options.release, options.yes};
  const auto view = co_await session.client.plan_rollback(std::move(request));
  print_view(session, view, render_plan);
  const bool changes =
      std::ranges::any_of(view.services, [](const api::PlannedView& service) { return !service.steps.empty(); });
  co_return changes ? exit_changes : exit_done;
}

Task<int> history(Session session, HistoryOptions options) {
  const auto view = co_await session.client.history(options.service, options.limit);
  co_return print_view(session, view, render_history);
}

Task<int> show(Session session, std::int64_t rollout) {
  const auto view = co_await session.client.rollout(rollout);
  co_return print_view(session, view, render_rollout);
}

Task<int> version(Session session) {
  // deployctl's own version is known, and wanted, even where no agent answers.
  std::optional<api::VersionView> view;
  std::optional<Error> failure;
  try {
    view = co_await session.client.version();
  } catch (const Error& error) {
    failure = error;
  }
  if (session.json()) {
    nlohmann::json both = {{"deployctl", DEPLOYCTL_VERSION}, {"deployd", nullptr}};
    if (view) both["deployd"] = *view;
    session.print(both);
  } else {
    session.out << "deployctl " DEPLOYCTL_VERSION "\n" << (view ? render_version(*view) : "");
  }
  if (failure) throw *failure;
  co_return exit_done;
}

}  // namespace deploy::ctl
