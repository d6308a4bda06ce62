// One service's file.
#include <algorithm>
#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "agent/config/checks.hpp"
#include "agent/config/compose_schema.hpp"
#include "agent/config/container_schema.hpp"
#include "agent/config/hooks_schema.hpp"
#include "agent/config/repository_schema.hpp"
#include "agent/config/scalars.hpp"
#include "agent/config/schema.hpp"
#include "agent/config/source_schema.hpp"

namespace deploy::config {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds hour = std::chrono::hours(1);
constexpr milliseconds day = std::chrono::hours(24);

void read_trigger(Fields& fields, domain::Service& service) {
  using domain::Trigger;
  constexpr std::array triggers{Trigger::push, Trigger::workflow_run, Trigger::registry_package, Trigger::manual};
  std::vector<std::string> names;
  for (auto trigger : triggers) names.push_back(to_string(trigger));
  bool known = true;
  if (auto value = fields.find("on")) {
    auto index = value->one_of(names);
    known = index.has_value();
    if (index) service.trigger = triggers[*index];
    if (service.trigger == Trigger::registry_package) {
      value->error("cannot be `registry_package` yet", "write push, workflow_run or manual");
    }
  }
  if (auto value = fields.find("repo")) {
    auto repo = value->filled_text();
    if (repo && check_repository(*value, *repo)) service.repo = std::move(*repo);
  } else if (known && service.trigger != Trigger::manual) {
    fields.map().error("misses the required key `repo`", "write repo: owner/name for the webhooks of `on: " +
                                                             to_string(service.trigger) + "`, or `on: manual`");
  }
  read_branch(fields, service.branch);
  read_workflows(fields, known ? std::optional(service.trigger) : std::nullopt, service.workflows);
}

std::vector<Place> read_depends_on(Fields& fields, domain::Service& service) {
  std::vector<Place> places;
  auto value = fields.find("depends_on");
  if (!value) return places;
  for (const auto& item : value->items()) {
    auto name = item.filled_text();
    if (!name) continue;
    if (std::ranges::find(service.depends_on, *name) != service.depends_on.end()) {
      item.error("names `" + *name + "` a second time", "remove one");
      continue;
    }
    service.depends_on.push_back(std::move(*name));
    places.push_back(item.place());
  }
  return places;
}

/// Folders and files of the repository, each below its root.
void read_paths(Fields& fields, domain::Service& service) {
  auto value = fields.find("paths");
  if (!value) return;
  service.paths = repository_paths(*value);
  if (!service.source.git || !service.source.image.empty()) {
    value->error("needs `source.git` alone",
                 "an image that somebody else built is rolled out whatever its commit changed");
  }
}

void read_vars(Fields& fields, domain::Service& service) {
  auto value = fields.find("vars");
  if (!value) return;
  for (const auto& item : value->items()) {
    if (auto path = item.filled_text()) service.vars.push_back(beside(item.place().file, *path).string());
  }
}

/// Volumes and devices of its container. Those of Compose's files are known only when these are read.
void read_exclusive(Fields& fields, ServiceFile& result) {
  auto value = fields.find("exclusive");
  if (!value) return;
  const auto& container = result.service.container;
  for (const auto& item : value->items()) {
    auto text = item.filled_text();
    if (!text) continue;
    const bool is_volume = std::ranges::any_of(
        container.volumes, [&](const std::string& volume) { return volume.starts_with(*text + ":"); });
    const bool is_device =
        std::ranges::any_of(container.devices, [&](const domain::Device& device) { return device.host == *text; });
    if (!is_volume && !is_device && !result.compose) {
      item.error("names `" + *text + "`, which its container has not",
                 "write what stands before the colon of an entry of `container.volumes` or `container.devices`");
      continue;
    }
    result.exclusive.push_back(std::move(*text));
    result.exclusive_at.push_back(item.place());
  }
}

/// A service that holds something that there is only one of cannot run twice at once, whatever the strategy. Two can
/// have a device, but few devices are made for that: who knows better names another strategy.
void check_runs_twice(Fields& fields, ServiceFile& result) {
  using domain::StrategyKind;
  auto& service = result.service;
  const auto& ports = service.container.ports;
  if (ports.empty() && result.exclusive.empty()) {
    if (!service.container.devices.empty() && !fields.find("strategy")) service.strategy = StrategyKind::recreate;
    return;
  }
  std::string holds;
  std::string hint;
  if (!ports.empty()) {
    holds = "container.ports holds port " + std::to_string(ports.front().host) +
            " of the host, which only one container at a time can have";
    hint = "let Nginx listen there, and take out `container.ports`";
  } else {
    holds = "`exclusive` says that only one container at a time may have " + result.exclusive.front();
    hint = "or take it out of `exclusive`";
  }
  if (auto replicas = fields.find("replicas"); replicas && service.replicas > 1) {
    replicas->error("must be 1: " + holds, hint);
  }
  auto value = fields.find("strategy");
  if (!value) {
    service.strategy = StrategyKind::recreate;
  } else if (service.strategy != StrategyKind::recreate) {
    value->error("must be `recreate`: " + holds, hint);
  }
}

void read_strategy(Fields& fields, ServiceFile& result) {
  using domain::StrategyKind;
  auto& service = result.service;
  constexpr std::array strategies{StrategyKind::rolling, StrategyKind::blue_green, StrategyKind::recreate};
  std::vector<std::string> names;
  for (auto strategy : strategies) names.push_back(to_string(strategy));
  bool known = true;
  if (auto value = fields.find("strategy")) {
    auto index = value->one_of(names);
    known = index.has_value();
    if (index) service.strategy = strategies[*index];
    result.strategy = value->place();
  }
  if (known) check_runs_twice(fields, result);
  for (const auto* key : {"max_surge", "max_unavailable"}) {
    auto value = fields.find(key);
    if (value && known && service.strategy != StrategyKind::rolling) value->error("needs `strategy: rolling`");
  }
  if (auto value = fields.find("bake"); value && known && service.strategy != StrategyKind::blue_green) {
    value->error("needs `strategy: blue-green`", "the other strategies do not keep the old targets warm");
  }
  fields.duration("bake", milliseconds(0), day, service.bake);
  fields.integer("max_surge", 0, 100, service.max_surge);
  fields.integer("max_unavailable", 0, 100, service.max_unavailable);
  if (service.max_surge == 0 && service.max_unavailable == 0) {
    fields.find("max_surge")
        ->error("and `max_unavailable` cannot both be 0",
                "write `max_unavailable: 1` to let a target go before there is a new one");
  }
}

void read_supersede(Fields& fields, domain::Service& service) {
  using domain::Supersede;
  auto value = fields.find("supersede");
  if (!value) return;
  if (auto index = value->one_of({"running", "queued"})) {
    service.supersede = *index == 0 ? Supersede::running : Supersede::queued;
  }
}

/// The JSON text of a single value: a plain true, null or 5 is what JSON takes it for, anything else is a string.
std::optional<std::string> json_text(const Value& value) {
  const auto& node = value.node();
  if (node.kind == Node::Kind::null) return "null";
  if (node.kind != Node::Kind::scalar) {
    value.error("must be a single value", "name the member with a longer pointer, e.g. /components/db/status");
    return std::nullopt;
  }
  auto parsed = node.quoted ? nlohmann::json() : nlohmann::json::parse(node.text, nullptr, false);
  if (!node.quoted && parsed.is_primitive() && !parsed.is_discarded()) return parsed.dump();
  return nlohmann::json(node.text).dump();
}

void read_expect(const Value& value, domain::HealthCheck& health) {
  Fields fields(value);
  fields.integer("status", 100, 599, health.expect_status);
  if (auto headers = fields.find("headers")) {
    for (const auto& entry : headers->entries()) {
      if (auto text = entry.value.filled_text()) health.expect_headers[entry.key] = std::move(*text);
    }
  }
  fields.text("body", health.expect_body);
  if (auto members = fields.find("json")) {
    for (const auto& entry : members->entries()) {
      try {
        nlohmann::json::json_pointer pointer(entry.key);
      } catch (const nlohmann::json::exception&) {
        auto hint = entry.key.starts_with('/') ? std::string() : "did you mean `/" + entry.key + "`?";
        entry.at_key.error("must be a JSON pointer (RFC 6901) such as /status", hint);
        continue;
      }
      if (auto text = json_text(entry.value)) health.expect_json[entry.key] = std::move(*text);
    }
  }
  fields.finish();
}

void read_warm_up(const Value& value, domain::HealthCheck& health) {
  Fields fields(value);
  if (auto http = fields.require("http", "the path of the request, e.g. /v1/completions")) {
    auto path = http->filled_text();
    if (path && check_url_path(*http, *path)) health.warm_up_http = std::move(*path);
  }
  fields.text("body", health.warm_up_body);
  fields.duration("timeout", milliseconds(10), day, health.warm_up_timeout);
  fields.finish();
}

void read_health(const Value& value, bool has_proxy, domain::Service& service) {
  auto& health = service.health;
  if (value.is_scalar()) {
    if (value.node().text != "docker") {
      value.error("must be `docker`, for the image's own HEALTHCHECK, or a map", "e.g. { http: /health, port: 8080 }");
    }
    return;
  }
  Fields fields(value);
  auto http = fields.find("http");
  if (http) {
    auto path = http->filled_text();
    if (path && check_url_path(*http, *path)) health.http = std::move(*path);
  }
  auto warm_up = fields.find("warm_up");
  if (auto expect = fields.find("expect"); expect && !http)
    expect->error("needs `health.http`", "without it nothing is asked over HTTP");
  if (auto port = fields.find("port"); port && !http && !warm_up)
    port->error("needs `health.http`", "without it nothing is asked over HTTP");
  fields.integer("port", 1, 65535, health.port);
  auto tcp = fields.find("tcp");
  fields.integer("tcp", 1, 65535, health.tcp_port);
  auto exec = fields.find("exec");
  fields.texts("exec", health.exec);
  if (exec && exec->is_list() && exec->items().empty()) exec->error("names no command", "e.g. [pg_isready, -U, app]");
  if (auto log = fields.find("log")) health.log = log->filled_text().value_or("");
  if (warm_up) read_warm_up(*warm_up, health);
  if (auto timeout = fields.find("timeout"); timeout && !http && !tcp && !exec) {
    timeout->error("needs `http`, `tcp` or `exec`", "without them the image's own HEALTHCHECK is asked");
  }
  if (auto expect = fields.find("expect")) read_expect(*expect, health);
  fields.duration("interval", milliseconds(10), hour, health.interval);
  fields.duration("timeout", milliseconds(10), hour, health.timeout);
  fields.integer("successes", 1, 1000, health.successes);
  fields.integer("failures", 1, 1000, health.failures);
  fields.duration("start_after", milliseconds(0), hour, health.start_after);
  fields.duration("min_healthy", milliseconds(0), hour, health.min_healthy);
  fields.duration("deadline", milliseconds(10), day, health.deadline);
  fields.finish();
  if (health.port == 0) health.port = service.proxy.port;
  const auto& over_http = http ? http : warm_up;
  if (over_http && health.port == 0 && !fields.find("port") && !has_proxy) {
    over_http->error("needs a port", "set `health.port`, or `proxy.port` for a service that takes traffic");
  }
}

void read_proxy(const Value& value, ServiceFile& result) {
  auto& proxy = result.service.proxy;
  Fields fields(value);
  if (auto upstream = fields.find("upstream")) {
    auto name = upstream->filled_text();
    if (name && check_upstream_name(*upstream, *name)) {
      proxy.upstream = std::move(*name);
      result.upstream = upstream->place();
    }
  }
  if (auto port = fields.require("port", "the port that the app listens on inside of its container")) {
    proxy.port = static_cast<std::uint16_t>(port->integer(1, 65535).value_or(0));
    result.port = port->place();
  }
  if (auto protocol = fields.find("protocol")) proxy.grpc = protocol->one_of({"http", "grpc"}) == 1U;
  if (auto route = fields.find("route")) {
    proxy.dns = route->one_of({"nginx", "dns"}) == 1U;
    result.route = route->place();
    if (proxy.dns && result.service.replicas != 1) {
      route->error("cannot be `dns` where `replicas` is " + std::to_string(result.service.replicas),
                   "a name leads to one container; use `nginx`, or one replica");
    }
  }
  if (auto parameters = fields.find("server_parameters")) {
    auto text = parameters->filled_text();
    if (text && check_nginx_text(*parameters, *text)) proxy.server_parameters = std::move(*text);
  }
  if (auto directives = fields.find("directives")) {
    for (const auto& item : directives->items()) {
      auto text = item.filled_text();
      if (!text || !check_nginx_text(item, *text)) continue;
      if (*text == "server" || text->starts_with("server ") || text->starts_with("server\t")) {
        item.error("must not be a `server` line",
                   "deployctl writes those; their parameters are `proxy.server_parameters`");
      } else {
        proxy.directives.push_back(std::move(*text));
      }
    }
  }
  fields.finish();
}

}  // namespace

std::optional<ServiceFile> parse_service(const std::string& file, const std::string& text, Diagnostics& diagnostics) {
  auto document = Document::parse(file, text, diagnostics);
  if (!document) return std::nullopt;
  Value root(document->root(), "", file, diagnostics);
  Fields fields(root);
  ServiceFile result;
  auto& service = result.service;
  result.name = root.place();
  if (auto value = fields.require("service", "the name that other services call it by, e.g. service: backend")) {
    result.name = value->place();
    auto name = value->filled_text();
    if (name && check_name(*value, *name)) service.name = std::move(*name);
  }
  read_trigger(fields, service);
  if (auto source =
          fields.require("source", "e.g. source: { image: \"owner/name:{sha}\" }, or `git` to build it here")) {
    read_source(*source, service);
  }
  read_paths(fields, service);
  read_rebuilt_by(fields, service);
  result.depends_on = read_depends_on(fields, service);
  read_vars(fields, service);
  if (auto compose = fields.find("compose")) result.compose = read_compose(*compose, service.name);
  if (auto container = fields.find("container")) {
    read_container(*container, service.container);
    result.container = container->place();
    if (result.compose) check_beside_compose(*container);
  }
  read_exclusive(fields, result);
  fields.integer("replicas", 1, 100, service.replicas);
  result.replicas = fields.find("replicas").value_or(root).place();
  read_strategy(fields, result);
  if (result.compose) {
    result.compose->exclusive = result.exclusive;
    result.compose->strategy_is_named = result.strategy.has_value();
  }
  // The port of `proxy` is the default of `health.port`.
  auto proxy = fields.find("proxy");
  if (proxy) read_proxy(*proxy, result);
  if (auto health = fields.find("health")) read_health(*health, proxy.has_value(), service);
  fields.duration("drain", milliseconds(0), day, service.drain);
  if (auto hooks = fields.find("hooks")) read_hooks(*hooks, service.hooks);
  fields.boolean("migrates_on_boot", service.migrates_on_boot);
  fields.integer("retain", 1, 100, service.retain);
  read_supersede(fields, service);
  fields.finish();
  return result;
}

}  // namespace deploy::config
