#include "agent/config/isolation_schema.hpp"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/system/error_code.hpp>
#include <string_view>
#include <utility>

#include "agent/config/checks.hpp"

namespace deploy::config {

namespace {

using std::chrono::milliseconds;

constexpr std::int64_t limit_max = std::int64_t{1} << 53;

void read_test(Fields& fields, std::vector<std::string>& out) {
  auto value = fields.find("test");
  if (!value) return;
  if (!value->is_list()) {
    if (auto text = value->template_text()) out = {"CMD-SHELL", std::move(*text)};
    return;
  }
  auto words = value->texts(&Value::template_text);
  const bool known = !words.empty() && (words[0] == "CMD" || words[0] == "CMD-SHELL" || words[0] == "NONE");
  if (!known) {
    value->error("must begin with CMD, CMD-SHELL or NONE", "e.g. [CMD, curl, -f, \"http://localhost:8080/health\"]");
  } else if ((words[0] == "NONE") != (words.size() == 1)) {
    value->error("must name a command after CMD and CMD-SHELL, and nothing after NONE");
  } else {
    out = std::move(words);
  }
}

void read_healthcheck(Fields& fields, domain::ContainerHealthcheck& out) {
  auto value = fields.find("healthcheck");
  if (!value) return;
  Fields check(*value);
  read_test(check, out.test);
  for (auto [key, duration] : {std::pair{"interval", &out.interval}, std::pair{"timeout", &out.timeout},
                               std::pair{"start_period", &out.start_period}}) {
    check.duration(key, milliseconds(0), std::chrono::hours(24), *duration);
  }
  check.integer("retries", 0, 1000, out.retries);
  bool disabled = false;
  check.boolean("disable", disabled);
  if (disabled) out.test = {"NONE"};
  check.finish();
}

/// A number for both limits, or { soft, hard }; -1 is no limit.
void read_ulimits(Fields& fields, std::map<std::string, domain::Ulimit>& out) {
  auto value = fields.find("ulimits");
  if (!value) return;
  for (const auto& entry : value->entries()) {
    domain::Ulimit limit;
    if (entry.value.is_map()) {
      Fields both(entry.value);
      for (auto [key, number] : {std::pair{"soft", &limit.soft}, std::pair{"hard", &limit.hard}}) {
        if (both.require(key, "e.g. nofile: { soft: 20000, hard: 40000 }")) both.integer(key, -1, limit_max, *number);
      }
      both.finish();
    } else {
      limit.soft = limit.hard = entry.value.integer(-1, limit_max).value_or(0);
    }
    out[entry.key] = limit;
  }
}

void read_size(Fields& fields, const std::string& key, std::int64_t& out) {
  if (auto value = fields.find(key)) out = value->size_bytes().value_or(0);
}

/// One text, or a list.
void read_some(Fields& fields, const std::string& key, std::vector<std::string>& out) {
  auto value = fields.find(key);
  if (!value) return;
  if (value->is_list()) {
    out = value->texts();
  } else if (auto text = value->filled_text()) {
    out = {std::move(*text)};
  }
}

void read_capabilities(Fields& fields, const std::string& key, std::vector<std::string>& out) {
  auto value = fields.find(key);
  if (!value) return;
  for (const auto& item : value->items()) {
    auto text = item.filled_text();
    if (!text) continue;
    const bool named = std::ranges::all_of(*text, [](char c) { return (c >= 'A' && c <= 'Z') || c == '_'; });
    if (named) {
      out.push_back(std::move(*text));
    } else {
      item.error("must be a capability in capitals", "e.g. NET_ADMIN, or ALL");
    }
  }
}

void read_security_options(Fields& fields, std::vector<std::string>& out) {
  auto value = fields.find("security_opt");
  if (!value) return;
  for (const auto& item : value->items()) {
    auto text = item.filled_text();
    if (!text) continue;
    auto problem = security_option_problem(*text);
    if (problem.empty()) {
      out.push_back(std::move(*text));
    } else {
      item.error("names a seccomp profile's file, which the engine does not read", problem);
    }
  }
}

void read_dns(Fields& fields, domain::ContainerSettings& container) {
  read_some(fields, "dns", container.dns);
  for (const auto& server : container.dns) {
    boost::system::error_code problem;
    boost::asio::ip::make_address(server, problem);
    if (problem) fields.find("dns")->error("must hold addresses, not `" + server + "`", "e.g. 8.8.8.8");
  }
  read_some(fields, "dns_search", container.dns_search);
  read_some(fields, "dns_opt", container.dns_options);
}

void read_networks(Fields& fields, std::vector<std::string>& out) {
  auto value = fields.find("networks");
  if (!value) return;
  if (value->is_map()) {
    value->error("must be a list of names",
                 "aliases and addresses are deployctl's matter: two containers of a service run side by side");
    return;
  }
  for (const auto& item : value->items()) {
    auto name = item.filled_text();
    if (name && check_docker_name(item, *name)) out.push_back(std::move(*name));
  }
}

domain::DeviceRequest all_gpus() { return {"", -1, {}, {"gpu"}, {}}; }

domain::DeviceRequest read_gpu(const Value& item) {
  domain::DeviceRequest request;
  Fields gpu(item);
  gpu.text("driver", request.driver);
  gpu.texts("device_ids", request.ids);
  gpu.texts("capabilities", request.capabilities);
  if (auto options = gpu.find("options")) {
    for (const auto& entry : options->entries()) {
      if (auto text = entry.value.text()) request.options[entry.key] = std::move(*text);
    }
  }
  if (auto count = gpu.find("count")) {
    if (count->is_scalar() && count->node().text == "all") {
      request.count = -1;
    } else {
      request.count = static_cast<int>(count->integer(-1, 1024).value_or(0));
    }
    if (!request.ids.empty()) count->error("cannot stand beside `device_ids`", "remove one of both");
  } else if (request.ids.empty()) {
    request.count = -1;
  }
  if (request.capabilities.empty()) request.capabilities = {"gpu"};
  gpu.finish();
  return request;
}

void read_gpus(Fields& fields, std::vector<domain::DeviceRequest>& out) {
  auto value = fields.find("gpus");
  if (!value) return;
  if (value->is_scalar()) {
    if (value->one_of({"all"})) out = {all_gpus()};
    return;
  }
  for (const auto& item : value->items()) out.push_back(read_gpu(item));
}

void read_word(Fields& fields, const std::string& key, const std::vector<std::string>& words, std::string& out) {
  if (auto value = fields.find(key)) {
    if (auto index = value->one_of(words)) out = words[*index];
  }
}

}  // namespace

std::string security_option_problem(const std::string& option) {
  const bool names_profile = option.starts_with("seccomp") && option.size() > 8 && option.substr(8) != "unconfined";
  return names_profile ? "make it the engine's default (`seccomp-profile` in daemon.json), or remove it" : "";
}

void read_isolation(Fields& fields, domain::ContainerSettings& container) {
  read_healthcheck(fields, container.healthcheck);
  read_networks(fields, container.networks);
  read_ulimits(fields, container.ulimits);
  read_size(fields, "mem_reservation", container.memory_reservation_bytes);
  read_size(fields, "shm_size", container.shm_bytes);
  fields.integer("pids_limit", -1, limit_max, container.pids_limit);
  read_some(fields, "group_add", container.group_add);
  read_capabilities(fields, "cap_add", container.cap_add);
  read_capabilities(fields, "cap_drop", container.cap_drop);
  read_security_options(fields, container.security_opt);
  if (auto sysctls = fields.find("sysctls")) container.sysctls = sysctls->template_map();
  read_dns(fields, container);
  read_gpus(fields, container.device_requests);
  fields.boolean("privileged", container.privileged);
  fields.boolean("read_only", container.read_only);
  fields.template_text("hostname", container.hostname);
  read_word(fields, "pid", {"host"}, container.pid);
  read_word(fields, "ipc", {"host", "shareable", "private", "none"}, container.ipc);
  fields.text("runtime", container.runtime);
}

}  // namespace deploy::config
