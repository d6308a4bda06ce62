#include "agent/api/routes.hpp"

#include <charconv>
#include <nlohmann/json.hpp>
#include <sstream>

#include "agent/api/event_stream.hpp"
#include "agent/base/error.hpp"

namespace deploy::api {

namespace {

using http::Params;
using http::Request;
using http::Response;

constexpr int history_max = 1000;
constexpr int tail_max = 10000;

template <class View>
Response answer(const View& view, int status = 200) {
  return http::json_response(
      status, nlohmann::json(view).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + '\n');
}

template <class Form>
Form body_of(const Request& request) {
  try {
    return nlohmann::json::parse(request.body).get<Form>();
  } catch (const nlohmann::json::exception& cause) {
    throw Error(ErrorKind::invalid, std::string("the request's body is not as expected: ") + cause.what());
  }
}

std::int64_t number(const std::string& text, std::int64_t least, std::int64_t most, const std::string& what) {
  std::int64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || end != text.data() + text.size() || value < least || value > most) {
    throw Error(ErrorKind::invalid, what + " must be a whole number from " + std::to_string(least) + " to " +
                                        std::to_string(most) + ", not \"" + text + "\"");
  }
  return value;
}

std::int64_t query_number(const Request& request, const std::string& name, std::int64_t fallback, std::int64_t most) {
  return number(request.query(name, std::to_string(fallback)), 0, most, name);
}

domain::RolloutId rollout_id(const Params& params) {
  return {number(params.at("id"), 1, INT64_MAX, "the rollout's id")};
}

Response streamed(const std::string& type, std::shared_ptr<http::BodySource> source) {
  Response response;
  response.headers["Content-Type"] = type;
  response.body_source = std::move(source);
  return response;
}

Task<Response> version(Parts parts) {
  VersionView view;
  view.version = DEPLOYCTL_VERSION;
  try {
    const auto engine = co_await parts.engine.version();
    view.engine = engine.engine;
    view.engine_api = engine.api;
  } catch (const Error&) {
    // The agent's version is known without the engine, whose fields stay empty.
  }
  co_return answer(view);
}

/// ?services=a,b; all where there is none.
Task<Response> plan(Parts parts, Request request) {
  std::vector<std::string> names;
  std::istringstream list(request.query("services"));
  for (std::string name; std::getline(list, name, ',');) {
    parts.queries.check_service(name);
    names.push_back(name);
  }
  PlanView view;
  auto previews = co_await parts.previews().of(names);
  for (auto& preview : previews) view.services.push_back(planned_view(std::move(preview)));
  co_return answer(view);
}

/// ?service=a&to=REVISION or ?release=1, as in a RollbackRequest.
Task<Response> rollback_plan(Parts parts, Request request) {
  RollbackRequest wish;
  wish.service = request.query("service");
  wish.to = request.query("to");
  wish.release = query_number(request, "release", 0, INT64_MAX);
  co_return answer(parts.commands.plan_rollback(wish, parts.previews()));
}

Task<Response> service_logs(Parts parts, Request request, Params params) {
  const auto& name = params.at("name");
  const auto targets = parts.queries.live_targets(name);
  ports::LogOptions options;
  options.tail = static_cast<int>(query_number(request, "tail", 100, tail_max));
  options.follow = request.query("follow") == "1";
  co_return streamed("text/plain; charset=utf-8",
                     std::make_shared<ContainerLogStream>(parts.executor, parts.engine, targets, options));
}

Task<Response> rollout_log(Parts parts, Request request, Params params) {
  const auto rollout = parts.journal.rollouts.get(rollout_id(params));
  co_return streamed("text/plain; charset=utf-8",
                     std::make_shared<RolloutLogStream>(parts.journal, parts.log, parts.changed, rollout.id,
                                                        request.query("follow") == "1"));
}

Task<Response> events(Parts parts, Request request) {
  const auto after = query_number(request, "after", 0, INT64_MAX);
  const domain::ReleaseId release{query_number(request, "release", 0, INT64_MAX)};
  co_return streamed("application/jsonl",
                     std::make_shared<EventStream>(parts.journal, parts.events, parts.changed, after, release,
                                                   request.query("follow") == "1"));
}

}  // namespace

http::Router routes(Parts parts) {
  http::Router router;
  router.add("GET", "/v1/version", [parts](Request, Params) { return version(parts); });
  router.add("GET", "/v1/status", [parts](Request, Params) -> Task<Response> {
    co_return answer(parts.queries.status(parts.notes(), parts.drift()));
  });
  router.add("GET", "/v1/live",
             [parts](Request, Params) -> Task<Response> { co_return answer(parts.queries.live_services()); });
  router.add("GET", "/v1/plan", [parts](Request request, Params) { return plan(parts, request); });
  router.add("GET", "/v1/rollback-plan", [parts](Request request, Params) { return rollback_plan(parts, request); });
  router.add("GET", "/v1/rollouts", [parts](Request request, Params) -> Task<Response> {
    const auto limit = static_cast<int>(query_number(request, "limit", 20, history_max));
    co_return answer(parts.queries.history(request.query("service"), limit));
  });
  router.add("GET", "/v1/rollouts/{id}", [parts](Request, Params params) -> Task<Response> {
    co_return answer(parts.queries.rollout(rollout_id(params)));
  });
  router.add("GET", "/v1/rollouts/{id}/log",
             [parts](Request request, Params params) { return rollout_log(parts, request, params); });
  router.add("GET", "/v1/services/{name}/logs",
             [parts](Request request, Params params) { return service_logs(parts, request, params); });
  router.add("GET", "/v1/events", [parts](Request request, Params) { return events(parts, request); });
  router.add("POST", "/v1/rollouts", [parts](Request request, Params) -> Task<Response> {
    co_return answer(parts.commands.rollout(body_of<RolloutRequest>(request), request.peer), 202);
  });
  router.add("POST", "/v1/rollbacks", [parts](Request request, Params) -> Task<Response> {
    co_return answer(parts.commands.rollback(body_of<RollbackRequest>(request), request.peer), 202);
  });
  router.add("POST", "/v1/cancellations", [parts](Request request, Params) -> Task<Response> {
    co_return answer(parts.commands.cancel(body_of<CancelRequest>(request), request.peer), 202);
  });
  router.add("POST", "/v1/pauses", [parts](Request request, Params) -> Task<Response> {
    co_return answer(parts.commands.pause(body_of<PauseRequest>(request), request.peer));
  });
  router.add("POST", "/v1/resumptions", [parts](Request request, Params) -> Task<Response> {
    co_return answer(parts.commands.resume(body_of<PauseRequest>(request), request.peer));
  });
  return router;
}

}  // namespace deploy::api
