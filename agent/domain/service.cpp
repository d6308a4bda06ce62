#include "agent/domain/service.hpp"

#include <nlohmann/json.hpp>

#include "agent/domain/names.hpp"

NLOHMANN_JSON_NAMESPACE_BEGIN
/// Durations are stored in milliseconds.
template <class Rep, class Period>
struct adl_serializer<std::chrono::duration<Rep, Period>> {
  using Duration = std::chrono::duration<Rep, Period>;
  static void to_json(json& value, const Duration& duration) {
    value = std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
  }
  static void from_json(const json& value, Duration& duration) {
    duration = std::chrono::duration_cast<Duration>(std::chrono::milliseconds(value.get<std::int64_t>()));
  }
};
NLOHMANN_JSON_NAMESPACE_END

namespace deploy::domain {

namespace {

constexpr NameTable<Trigger, 4> triggers{{{Trigger::push, "push"},
                                          {Trigger::workflow_run, "workflow_run"},
                                          {Trigger::registry_package, "registry_package"},
                                          {Trigger::manual, "manual"}}};
constexpr NameTable<StrategyKind, 3> strategies{{{StrategyKind::rolling, "rolling"},
                                                 {StrategyKind::blue_green, "blue-green"},
                                                 {StrategyKind::recreate, "recreate"}}};

constexpr std::size_t shown_command_bytes = 80;

constexpr NameTable<Supersede, 2> supersedes{{{Supersede::running, "running"}, {Supersede::queued, "queued"}}};

}  // namespace

std::string to_string(Trigger trigger) { return name_in(triggers, trigger); }
std::string to_string(StrategyKind strategy) { return name_in(strategies, strategy); }
std::optional<Trigger> trigger_from(const std::string& name) { return value_in(triggers, name); }
std::optional<StrategyKind> strategy_from(const std::string& name) { return value_in(strategies, name); }
std::string to_string(Supersede supersede) { return name_in(supersedes, supersede); }
std::optional<Supersede> supersede_from(const std::string& name) { return value_in(supersedes, name); }

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(GitSource, url, ssh_key, ssh_known_hosts, token_env, context,
                                                dockerfile, target, args)

void to_json(nlohmann::json& value, const OtherRepository& other) {
  value = {{"repo", other.repo},
           {"branch", other.branch},
           {"trigger", to_string(other.trigger)},
           {"workflows", other.workflows},
           {"paths", other.paths}};
  if (other.git) value["git"] = *other.git;
}

void from_json(const nlohmann::json& value, OtherRepository& other) {
  other.repo = value.value("repo", other.repo);
  other.branch = value.value("branch", other.branch);
  other.trigger = trigger_from(value.value("trigger", "push")).value_or(Trigger::manual);
  other.workflows = value.value("workflows", other.workflows);
  other.paths = value.value("paths", other.paths);
  if (value.contains("git")) other.git = value.at("git").get<GitSource>();
}

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(PublishedPort, address, host, container, protocol)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Device, host, container, permissions)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(ContainerHealthcheck, test, interval, timeout, start_period, retries)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Ulimit, soft, hard)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(DeviceRequest, driver, count, ids, capabilities, options)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(ContainerSettings, environment, command, entrypoint, user, working_dir,
                                                volumes, extra_hosts, tmpfs, ports, devices, pre_stop, restart,
                                                log_driver, log_options, labels, memory_bytes, cpus, init, stop_signal,
                                                stop_grace_period, healthcheck, networks, ulimits,
                                                memory_reservation_bytes, shm_bytes, pids_limit, group_add, cap_add,
                                                cap_drop, security_opt, sysctls, dns, dns_search, dns_options,
                                                device_requests, privileged, read_only, hostname, pid, ipc, runtime)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(HealthCheck, http, port, tcp_port, exec, log, expect_status,
                                                expect_headers, expect_json, expect_body, start_after, interval,
                                                timeout, warm_up_http, warm_up_body, warm_up_timeout, successes,
                                                failures, min_healthy, deadline)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(ProxySettings, upstream, port, grpc, dns, server_parameters, directives)

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Hook, run, environment, in, save, keep, restore, host, port, path,
                                                timeout, irreversible)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Hooks, before, verify, after)

std::string to_text(const Hook& hook) {
  if (hook.run.empty()) {
    return "GET http://" + hook.host + (hook.port == 80 ? "" : ":" + std::to_string(hook.port)) + hook.path;
  }
  std::string text;
  for (const auto& word : hook.run) text += (text.empty() ? "" : " ") + word;
  if (text.size() <= shown_command_bytes) return text;
  auto end = shown_command_bytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;  // not within a character
  return text.substr(0, end) + "…";
}

HealthCheck asked_once(HealthCheck check) {
  check.successes = check.failures = 1;
  check.start_after = check.min_healthy = std::chrono::milliseconds{0};
  check.deadline = check.timeout;
  check.proved_before = true;
  return check;
}

nlohmann::json to_json_value(const Service& service) {
  nlohmann::json value{{"name", service.name},           {"repo", service.repo},
                       {"branch", service.branch},       {"trigger", to_string(service.trigger)},
                       {"workflows", service.workflows}, {"image", service.source.image},
                       {"paths", service.paths},         {"depends_on", service.depends_on},
                       {"vars", service.vars},           {"container", service.container},
                       {"replicas", service.replicas},   {"strategy", to_string(service.strategy)},
                       {"max_surge", service.max_surge}, {"max_unavailable", service.max_unavailable},
                       {"bake", service.bake},           {"health", service.health},
                       {"proxy", service.proxy},         {"drain", service.drain},
                       {"hooks", service.hooks},         {"migrates_on_boot", service.migrates_on_boot},
                       {"retain", service.retain},       {"supersede", to_string(service.supersede)}};
  if (service.source.git) value["git"] = *service.source.git;
  if (!service.rebuilt_by.empty()) value["rebuilt_by"] = service.rebuilt_by;
  return value;
}

Service service_from_json(const nlohmann::json& value) {
  Service service;
  service.name = value.value("name", service.name);
  service.repo = value.value("repo", service.repo);
  service.branch = value.value("branch", service.branch);
  service.trigger = trigger_from(value.value("trigger", "push")).value_or(Trigger::manual);
  service.workflows = value.value("workflows", service.workflows);
  service.source.image = value.value("image", service.source.image);
  if (value.contains("git")) service.source.git = value.at("git").get<GitSource>();
  service.paths = value.value("paths", service.paths);
  service.rebuilt_by = value.value("rebuilt_by", service.rebuilt_by);
  service.depends_on = value.value("depends_on", service.depends_on);
  service.vars = value.value("vars", service.vars);
  service.container = value.value("container", service.container);
  service.replicas = value.value("replicas", service.replicas);
  service.strategy = strategy_from(value.value("strategy", "rolling")).value_or(StrategyKind::rolling);
  service.max_surge = value.value("max_surge", service.max_surge);
  service.max_unavailable = value.value("max_unavailable", service.max_unavailable);
  service.bake = value.value("bake", service.bake);
  service.health = value.value("health", service.health);
  service.proxy = value.value("proxy", service.proxy);
  service.drain = value.value("drain", service.drain);
  service.hooks = value.value("hooks", service.hooks);
  service.migrates_on_boot = value.value("migrates_on_boot", service.migrates_on_boot);
  service.retain = value.value("retain", service.retain);
  service.supersede = supersede_from(value.value("supersede", "running")).value_or(Supersede::running);
  return service;
}

}  // namespace deploy::domain
