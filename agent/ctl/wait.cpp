#include "agent/ctl/wait.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/signal_set.hpp>
#include <csignal>

#include "agent/base/text.hpp"
#include "agent/ctl/progress.hpp"
#include "agent/ctl/text.hpp"

namespace deploy::ctl {

namespace {

using Rollouts = std::vector<api::RolloutView>;

Task<Rollouts> read_rollouts(Session session, api::AcceptedView accepted) {
  Rollouts rollouts;
  for (const auto& rollout : accepted.rollouts) rollouts.push_back(co_await session.client.rollout(rollout.id));
  co_return rollouts;
}

/// What may keep the rollouts from beginning or from going on: an agent that waits for its engine or for Nginx, a
/// service that is paused. Their own events do not tell it.
Task<void> say_what_holds_up(Session session, api::AcceptedView accepted, Progress* progress) {
  api::StatusView status;
  try {
    status = co_await session.client.status();
  } catch (const Error&) {
    co_return;  // the rollouts were accepted, and what becomes of them is asked for next
  }
  for (const auto& service : status.services) {
    const bool ours = std::ranges::find(accepted.rollouts, service.service, &api::AcceptedRolloutView::service) !=
                      accepted.rollouts.end();
    if (ours && service.paused) progress->say(paused_text(service.service, *service.paused, session.look()));
  }
  for (const auto& note : status.notes) progress->say("note: " + printable(note));
}

/// The stream's end alone proves nothing, because an agent that stops ends it too: the rollouts themselves are asked.
Task<Rollouts> follow(Session session, api::AcceptedView accepted, Progress* progress) {
  const Environment& environment = session.environment;
  std::int64_t seen = 0;
  std::optional<std::chrono::steady_clock::time_point> away_since;
  co_await say_what_holds_up(session, accepted, progress);
  while (true) {
    std::optional<Error> failure;
    try {
      ApiClient::OnEvent on_event = [&](const api::EventView& event) {
        seen = std::max(seen, event.seq);
        away_since.reset();
        progress->on_event(event);
      };
      co_await session.client.follow_events(accepted.release, seen, on_event);
      auto rollouts = co_await read_rollouts(session, accepted);
      if (std::ranges::all_of(rollouts, api::is_final_phase, &api::RolloutView::phase)) co_return rollouts;
      away_since.reset();
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::unreachable) throw;
      failure = error;
    }
    const auto now = std::chrono::steady_clock::now();
    if (failure && away_since && now - *away_since >= environment.unreachable_limit) {
      throw Error(ErrorKind::unreachable,
                  fmt::format("gave up after {} without the agent: {}; the rollout goes on when it is back",
                              human_duration(environment.unreachable_limit), failure->message()));
    }
    if (failure && !away_since) {
      away_since = now;
      progress->say(fmt::format("{}; trying again for up to {}", failure->message(),
                                human_duration(environment.unreachable_limit)));
    }
    co_await sleep_real(environment.reconnect_pause);
  }
}

Task<void> next_signal(asio::signal_set* signals) { co_await signals->async_wait(asio::use_awaitable); }

Task<void> until_stopped(asio::signal_set* signals, std::optional<std::chrono::milliseconds> timeout, WaitEnd* end) {
  if (!timeout) {
    co_await next_signal(signals);
    *end = WaitEnd::interrupted;
    co_return;
  }
  const auto interrupted = co_await first_of(next_signal(signals), sleep_real(*timeout));
  *end = interrupted ? WaitEnd::interrupted : WaitEnd::timed_out;
}

Task<Rollouts> ask_until_ended(Session session, api::AcceptedView accepted) {
  for (;;) {
    auto rollouts = co_await read_rollouts(session, accepted);
    if (std::ranges::all_of(rollouts, api::is_final_phase, &api::RolloutView::phase)) co_return rollouts;
    co_await sleep_real(session.environment.reconnect_pause);
  }
}

}  // namespace

Task<std::optional<Rollouts>> until_ended(Session session, api::AcceptedView accepted,
                                          std::optional<std::chrono::milliseconds> timeout) {
  auto asking = ask_until_ended(session, std::move(accepted));
  const auto limit = timeout.value_or(std::chrono::hours(24));
  co_return co_await first_of(std::move(asking), sleep_real(limit));
}

Task<Waited> wait_for(Session session, api::AcceptedView accepted, std::optional<std::chrono::milliseconds> timeout) {
  asio::signal_set signals(co_await asio::this_coro::executor, SIGINT);
  Progress progress(session.err, session.environment);
  progress.begin(accepted);
  WaitEnd end = WaitEnd::ended;
  auto rollouts = co_await first_of(follow(session, accepted, &progress), until_stopped(&signals, timeout, &end));
  Waited waited;
  if (rollouts) {
    waited.rollouts = std::move(*rollouts);
  } else {
    waited.end = end;
  }
  co_return waited;
}

}  // namespace deploy::ctl
