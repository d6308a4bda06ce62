#include "agent/adopt/compose_import.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <string_view>
#include <utility>

#include "agent/adopt/compose_parts.hpp"
#include "agent/base/error.hpp"
#include "agent/config/interpolation.hpp"
#include "agent/config/isolation_schema.hpp"
#include "agent/config/scalars.hpp"

namespace deploy::adopt {

namespace {

/// Read here or in compose_parts, or of no meaning for a container that deployctl makes.
constexpr std::array<std::string_view, 54> taken_keys{"attach",
                                                      "build",
                                                      "cap_add",
                                                      "cap_drop",
                                                      "command",
                                                      "configs",
                                                      "container_name",
                                                      "cpus",
                                                      "depends_on",
                                                      "deploy",
                                                      "develop",
                                                      "devices",
                                                      "dns",
                                                      "dns_opt",
                                                      "dns_search",
                                                      "entrypoint",
                                                      "env_file",
                                                      "environment",
                                                      "expose",
                                                      "extra_hosts",
                                                      "gpus",
                                                      "group_add",
                                                      "healthcheck",
                                                      "hostname",
                                                      "image",
                                                      "init",
                                                      "ipc",
                                                      "labels",
                                                      "logging",
                                                      "mem_limit",
                                                      "mem_reservation",
                                                      "network_mode",
                                                      "networks",
                                                      "pid",
                                                      "pids_limit",
                                                      "ports",
                                                      "privileged",
                                                      "profiles",
                                                      "pull_policy",
                                                      "read_only",
                                                      "restart",
                                                      "runtime",
                                                      "scale",
                                                      "secrets",
                                                      "security_opt",
                                                      "shm_size",
                                                      "stop_grace_period",
                                                      "stop_signal",
                                                      "sysctls",
                                                      "tmpfs",
                                                      "ulimits",
                                                      "user",
                                                      "volumes",
                                                      "working_dir"};

struct ComposeHint {
  std::string_view key;
  std::string_view hint;
};

constexpr std::array<ComposeHint, 6> hints{{
    {"pre_stop", "write it as `container.pre_stop`"},
    {"post_start", "write it as `hooks.verify`"},
    {"links", "services call each other by name as it is"},
    {"platform", "deployctl runs what the image is made for"},
    {"tty", "nobody sits in front of it"},
    {"stdin_open", "nobody sits in front of it"},
}};

/// Does Compose put a variable's value into this text?
bool has_variable(std::string_view text) {
  for (std::size_t at = 0; (at = text.find('$', at)) != std::string_view::npos; at += 2) {
    if (at + 1 >= text.size() || text[at + 1] != '$') return true;
  }
  return false;
}

/// The text as it is written, where that holds variables that we would resolve as Compose does.
std::string as_written(std::string text, const std::string& raw) {
  return has_variable(raw) && !config::template_problem(raw) ? raw : text;
}

/// A map, or a list of "KEY=VALUE"; null: the key alone.
std::map<std::string, std::optional<std::string>> raw_map(const ComposeValue& value) {
  std::map<std::string, std::optional<std::string>> all;
  if (value.json.is_array()) {
    for (const auto& text : value.texts()) {
      const auto equals = text.find('=');
      if (equals == std::string::npos) {
        all[text] = std::nullopt;
      } else {
        all[text.substr(0, equals)] = text.substr(equals + 1);
      }
    }
  } else if (value.json.is_object()) {
    for (const auto& key : value.keys()) {
      const auto inner = value.at(key);
      all[key] = inner.is_null() ? std::nullopt : std::optional(inner.text());
    }
  }
  return all;
}

class ServiceImport {
 public:
  ServiceImport(ComposeValue model, const ComposeValue& raw_model, const std::string& name)
      : model_(std::move(model)),
        service_(model_.at("services").at(name)),
        raw_(raw_model.at("services").at(name)),
        has_raw_(!raw_.is_null()) {}

  ComposeService run() {
    if (!service_.json.is_object()) service_.refuse("a map");
    identity();
    environment();
    words("command", out_.container.command);
    words("entrypoint", out_.container.entrypoint);
    hosts_and_labels();
    plain_settings();
    isolation();
    ComposeParts parts(model_, service_, out_);
    parts.mounts();
    parts.files("secrets", "/run/secrets/");
    parts.files("configs", "/");
    parts.ports();
    parts.devices();
    parts.limits();
    parts.networks();
    parts.healthcheck();
    parts.restart();
    parts.logging();
    secrets_as_written();
    name_the_rest();
    return std::move(out_);
  }

 private:
  void unsupported(const ComposeValue& value, std::string_view hint) {
    out_.unsupported.push_back({value.path, std::string(hint)});
  }

  std::map<std::string, std::string> texts_as_written(const ComposeValue& model, const ComposeValue& raw) const {
    auto texts = model.map();
    for (const auto& [key, text] : raw_map(raw)) {
      if (text && texts.contains(key)) texts[key] = as_written(texts[key], *text);
    }
    return texts;
  }

  void identity() {
    out_.image = without_dollars(service_.at("image").text());
    out_.container_name = without_dollars(service_.at("container_name").text());
    out_.profiles = service_.at("profiles").texts();
    for (const auto& replicas : {service_.at("deploy").at("replicas"), service_.at("scale")}) {
      if (!replicas.is_null()) out_.replicas = static_cast<int>(replicas.number());
    }
    const auto needs = service_.at("depends_on");
    if (needs.json.is_array()) out_.depends_on = needs.texts();
    for (const auto& name : needs.json.is_array() ? std::vector<std::string>{} : needs.keys()) {
      out_.depends_on.push_back(name);
      const auto condition = needs.at(name).at("condition");
      if (condition.text() == "service_completed_successfully") {
        unsupported(condition, "let `hooks.before` run that command with the new image");
      }
    }
    build();
  }

  void build() {
    const auto build = service_.at("build");
    if (build.is_null()) return;
    ComposeBuild out;
    out.context = without_dollars(build.at("context").text());
    out.dockerfile = without_dollars(build.at("dockerfile").text());
    out.target = without_dollars(build.at("target").text());
    out.args = texts_as_written(build.at("args"), raw_.at("build").at("args"));
    for (const auto& key : build.keys()) {
      if (key != "context" && key != "dockerfile" && key != "target" && key != "args") {
        unsupported(build.at(key), "");
      }
    }
    out_.build = std::move(out);
  }

  /// What the file says is taken as it is written; what comes from an env file as that variable.
  void environment() {
    const auto values = service_.at("environment");
    const auto written = raw_map(raw_.at("environment"));
    for (const auto& file :
         raw_.at("env_file").json.is_string() ? std::vector{raw_.at("env_file")} : raw_.at("env_file").items()) {
      out_.env_files.push_back(without_dollars(file.json.is_string() ? file.text() : file.at("path").text()));
      if (file.at("required").json == false) out_.optional_env_files.push_back(out_.env_files.back());
    }
    auto& out = out_.container.environment;
    for (const auto& name : values.keys()) {
      const auto value = values.at(name);
      const auto own = written.find(name);
      if (value.is_null()) {
        unsupported(value, "it has no value; give it one, or remove it");
      } else if (own != written.end() && own->second) {
        out[name] = as_written(value.text(), *own->second);
      } else {
        // From an env file, or a name alone, whose value Compose takes from .env.
        const bool is_variable = has_raw_ && !config::template_problem("${" + name + "}");
        out[name] = is_variable ? "${" + name + "}" : value.text();
      }
    }
  }

  void words(const std::string& key, std::vector<std::string>& out) {
    const auto value = service_.at(key);
    if (value.is_null()) return;
    out = value.texts();
    if (out.empty()) return unsupported(value, "an empty list; the image's own is taken");
    const auto raw = raw_.at(key);
    if (raw.json.is_string() && has_variable(raw.text())) {
      if (auto split = config::split_words(raw.text())) out = std::move(*split);
    } else if (raw.json.is_array() && raw.json.size() == out.size()) {
      const auto written = raw.texts();
      for (std::size_t i = 0; i < out.size(); ++i) out[i] = as_written(out[i], written[i]);
    }
  }

  /// A password is also in what asks for a container's health, and a token in what sends its log away.
  void secrets_as_written() {
    auto& test = out_.container.healthcheck.test;
    const auto raw = raw_.at("healthcheck").at("test");
    if (raw.json.is_string() && test.size() == 2) {
      test[1] = as_written(test[1], raw.text());
    } else if (raw.json.is_array() && raw.json.size() == test.size()) {
      const auto written = raw.texts();
      for (std::size_t i = 0; i < test.size(); ++i) test[i] = as_written(test[i], written[i]);
    }
    auto& options = out_.container.log_options;
    for (const auto& [key, text] : raw_map(raw_.at("logging").at("options"))) {
      if (text && options.contains(key)) options[key] = as_written(options[key], *text);
    }
  }

  void hosts_and_labels() {
    auto& container = out_.container;
    const auto hosts = service_.at("extra_hosts");
    for (const auto& host : hosts.json.is_array() ? hosts.texts() : std::vector<std::string>{}) {
      auto text = host;
      const auto separator = text.find_first_of("=:");
      if (separator != std::string::npos) text[separator] = ':';
      container.extra_hosts.push_back(std::move(text));
    }
    if (hosts.json.is_object()) {
      for (const auto& [name, address] : hosts.map()) container.extra_hosts.push_back(name + ":" + address);
    }
    container.labels = texts_as_written(service_.at("labels"), raw_.at("labels"));
    std::erase_if(container.labels, [&](const auto& label) {
      const bool ours = label.first == "deployctl" || label.first.starts_with("deployctl.");
      if (ours) unsupported(service_.at("labels").at(label.first), "such labels are deployctl's own");
      return ours;
    });
  }

  void plain_settings() {
    auto& container = out_.container;
    container.user = service_.at("user").text();
    container.working_dir = service_.at("working_dir").text();
    container.hostname = service_.at("hostname").text();
    container.runtime = without_dollars(service_.at("runtime").text());
    container.stop_signal = without_dollars(service_.at("stop_signal").text());
    container.init = service_.at("init").json == true;
    container.privileged = service_.at("privileged").json == true;
    container.read_only = service_.at("read_only").json == true;
    const auto grace = service_.at("stop_grace_period");
    if (grace.is_null()) return;
    const auto duration = config::parse_duration(grace.text());
    if (!duration) grace.refuse("a duration such as 1m30s");
    container.stop_grace_period = std::chrono::ceil<std::chrono::seconds>(*duration);
  }

  std::vector<std::string> some(const std::string& key) const {
    const auto value = service_.at(key);
    return value.json.is_string() ? std::vector{value.text()} : value.texts();
  }

  void isolation() {
    auto& container = out_.container;
    container.group_add = some("group_add");
    container.cap_add = some("cap_add");
    container.cap_drop = some("cap_drop");
    container.dns = some("dns");
    container.dns_search = some("dns_search");
    container.dns_options = some("dns_opt");
    container.sysctls = service_.at("sysctls").map();
    for (const auto& option : service_.at("security_opt").items()) {
      auto problem = config::security_option_problem(option.text());
      if (problem.empty()) {
        container.security_opt.push_back(option.text());
      } else {
        unsupported(option, problem);
      }
    }
    shared("pid", {"host"}, container.pid);
    shared("ipc", {"host", "shareable", "private", "none"}, container.ipc);
  }

  void shared(const std::string& key, const std::vector<std::string>& words, std::string& out) {
    const auto text = service_.at(key).text();
    if (text.empty()) return;
    if (std::ranges::find(words, text) != words.end()) {
      out = text;
    } else {
      unsupported(service_.at(key), "a target shares nothing with a container that may be replaced");
    }
  }

  void name_the_rest() {
    for (const auto& key : service_.keys()) {
      const auto& value = service_.at(key).json;
      const bool nothing = value.is_null() || value == false || (value.is_structured() && value.empty());
      if (nothing || key.starts_with("x-") || std::ranges::find(taken_keys, key) != taken_keys.end()) continue;
      const auto hint = std::ranges::find(hints, key, &ComposeHint::key);
      unsupported(service_.at(key), hint == hints.end() ? "" : hint->hint);
    }
  }

  ComposeValue model_;
  ComposeValue service_;
  ComposeValue raw_;
  bool has_raw_;
  ComposeService out_;
};

}  // namespace

std::string to_string(const ComposeProblem& problem) {
  return problem.path + " is not supported" + (problem.hint.empty() ? "" : ": " + problem.hint);
}

std::vector<std::string> compose_services(const nlohmann::json& model) {
  return ComposeValue{model, ""}.at("services").keys();
}

std::string network_key(const nlohmann::json& model, const std::string& service, const std::string& network) {
  const ComposeValue root{model, ""};
  for (const auto& key : root.at("services").at(service).at("networks").keys()) {
    const auto name = root.at("networks").at(key).at("name").text();
    if ((name.empty() ? key : name) == network) return key;
  }
  return "";
}

ComposeService import_service(const nlohmann::json& model, const nlohmann::json& raw, const std::string& service) {
  const auto names = compose_services(model);
  if (std::ranges::find(names, service) == names.end()) {
    auto hint = config::suggestion(service, names);
    throw Error(ErrorKind::not_found,
                fmt::format("the Compose files have no service {}{}", service, hint.empty() ? "" : "; " + hint));
  }
  return ServiceImport({model, ""}, {raw, ""}, service).run();
}

}  // namespace deploy::adopt
