#include "agent/adopt/service_text.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <string_view>
#include <utility>

#include "agent/adopt/compose_edit.hpp"
#include "agent/adopt/lists.hpp"
#include "agent/adopt/settings_text.hpp"

namespace deploy::adopt {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t by_chance_max = 5;     // a value that is this long may be another's by chance
constexpr std::size_t inner_secret_min = 8;  // looked for inside of longer values
constexpr std::size_t commit_length = 40;
constexpr std::array<std::string_view, 6> secret_words{"PASS", "SECRET", "TOKEN", "KEY", "CREDENTIAL", "PWD"};

bool sounds_secret(const std::string& name) {
  std::string upper = name;
  std::ranges::transform(upper, upper.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return std::ranges::any_of(secret_words, [&](const auto word) { return upper.find(word) != std::string::npos; });
}

bool is_commit(std::string_view text) {
  return text.size() == commit_length && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string tag_of(const std::string& image) {
  const auto name = image.rfind('/') == std::string::npos ? 0 : image.rfind('/') + 1;
  const auto colon = image.find(':', name);
  return colon == std::string::npos || image.find('@') != std::string::npos ? "" : image.substr(colon + 1);
}

class Text {
 public:
  Text(const Survey& survey, const FoundService& service, const FoundHealth& health, const ServiceRoute& route,
       const std::string& network)
      : survey_(survey), service_(service), health_(health), route_(route), network_(network) {}

  ServiceText run() {
    out_.notes = service_.notes;
    out_.notes.insert(out_.notes.end(), health_.notes.begin(), health_.notes.end());
    const auto settings = container();
    line("# Written by `deployctl init` from what ran; from here on it is yours.");
    line("service: " + yaml_text(service_.name));
    source();
    if (!service_.depends_on.empty()) line("depends_on: " + yaml_list(service_.depends_on));
    if (!vars_.empty()) line("vars: " + yaml_list(vars_));
    if (service_.compose) {
      compose();
    } else if (const auto text = container_text(settings, "  "); !text.empty()) {
      out_.text += "container:\n" + text;
    }
    proxy();
    health();
    return std::move(out_);
  }

 private:
  void line(const std::string& text) { out_.text += text + "\n"; }
  void note(std::string text) { out_.notes.push_back(std::move(text)); }

  domain::ContainerSettings container() {
    auto settings = service_.compose ? from_compose() : from_inspect();
    std::erase_if(settings.networks,
                  [&](const auto& name) { return name == network_ || name == survey_.routing_network; });
    if (!route_.behind_nginx) return settings;
    for (const auto& port : settings.ports) {
      if (port.protocol != "tcp" || port.container != service_.port) {
        note(
            fmt::format("it publishes the port {}{}, which is no port of its HTTP; such a port cannot be behind Nginx, "
                        "and is left out",
                        port.host, port.protocol == "tcp" ? "" : "/" + port.protocol));
      } else {
        out_.waiting_ports.push_back(port.host);
      }
    }
    settings.ports.clear();
    return settings;
  }

  /// Its Compose file goes on saying what its container is like.
  domain::ContainerSettings from_compose() {
    const auto& compose = *service_.compose;
    std::error_code failure;
    const auto dotenv = (fs::path(service_.project->folder) / ".env").string();
    const bool has_variables = compose.build && std::ranges::any_of(compose.build->args, [](const auto& argument) {
                                 return argument.second.find('$') != std::string::npos;
                               });
    if (has_variables && fs::exists(dotenv, failure)) vars_.push_back(dotenv);
    for (const auto& problem : compose.unsupported) {
      note(fmt::format("{}; it is left out (`ignore`)", to_string(problem)));
    }
    return compose.container;
  }

  void compose() {
    const auto& compose = *service_.compose;
    std::vector<std::string> parts{"files: " + yaml_list(service_.project->files)};
    if (service_.compose_service != service_.name) parts.push_back("service: " + yaml_text(service_.compose_service));
    auto profiles = compose.profiles;
    std::erase(profiles, deployed_profile);
    if (!profiles.empty()) parts.push_back("profiles: " + yaml_list(profiles));
    parts.push_back("project: " + yaml_text(service_.project->name));
    std::vector<std::string> ignored;
    for (const auto& problem : compose.unsupported) ignored.push_back(problem.path);
    if (!ignored.empty()) parts.push_back("ignore: " + yaml_list(ignored));
    line(fmt::format("compose: {{ {} }}", fmt::join(parts, ", ")));
  }

  domain::ContainerSettings from_inspect() {
    auto settings = service_.container.settings;
    for (const auto& [name, value] : service_.container.set_environment) {
      const auto before = vars_.size();
      auto text = with_variables(name, value, survey_.env_files, vars_);
      const bool literal = text == as_template(value) && vars_.size() == before;
      if (literal && sounds_secret(name) && !value.empty()) {
        out_.holds_secrets = true;
        note(fmt::format(
            "the value of {} is in no env file, so it stands in its file as it is; move it into an env file "
            "that `vars` names",
            name));
      }
      settings.environment[name] = std::move(text);
    }
    for (const auto& [network, names] : service_.container.networks) settings.networks.push_back(network);
    for (const auto& left : service_.container.left_out) note(left);
    return settings;
  }

  void source() {
    const auto* checkout = service_.checkout;
    const bool built = service_.compose && service_.compose->build && checkout != nullptr && !checkout->url.empty();
    const auto image = image_reference();
    const bool has_repository = checkout != nullptr && !checkout->repository.empty();
    if (has_repository) line("repo: " + yaml_text(checkout->repository));
    const auto branch = checkout == nullptr ? std::string() : checkout->branch;
    if (!branch.empty() && branch != "main") line("branch: " + yaml_text(branch));
    trigger(has_repository, !image.empty());
    if (!built && image.empty()) {
      line("source: { image: " + yaml_text(service_.container.image) + " }");
      note(fmt::format(
          "its image {} was made on this host, and from what is not known; write `source: {{ git: … }}` and "
          "`repo`",
          service_.container.image));
      return;
    }
    line("source:");
    if (built) git(*checkout);
    if (!image.empty()) line("  image: " + yaml_text(image));
  }

  void trigger(bool has_repository, bool by_image) {
    if (!has_repository) {
      line("on: manual");
      note(
          "which repository on GitHub it comes from is not known, so only `deployctl rollout` deploys it; write `repo` "
          "and `on`");
      return;
    }
    std::vector<std::string> workflows;
    for (const auto& workflow : service_.checkout->workflows) {
      if (workflow.on_push) workflows.push_back(workflow.path);
    }
    // An image is there only once the workflow that makes it has ended.
    if (!by_image || workflows.empty()) {
      line("on: push");
      if (!workflows.empty()) {
        note(
            fmt::format("{} {} for a push, too: with `on: workflow_run` and `workflows` a push would be deployed once "
                        "that is green. What deploys it there today has to go",
                        fmt::join(workflows, ", "), workflows.size() == 1 ? "runs" : "run"));
      }
      return;
    }
    line("on: workflow_run");
    line("workflows: " + yaml_list(workflows));
    note(fmt::format(
        "what {} to deploy it by itself today has to go",
        workflows.size() == 1 ? workflows.front() + " does" : fmt::format("{} do", fmt::join(workflows, ", "))));
  }

  void git(const GitCheckout& checkout) {
    const auto& build = *service_.compose->build;
    line("  git:");
    line("    url: " + yaml_text(checkout.url));
    if (checkout.url.starts_with("ssh://") || checkout.url.find("://") == std::string::npos) {
      const auto key = survey_.config_folder + "/keys/" + service_.name;
      const auto hosts = survey_.config_folder + "/known_hosts";
      line("    ssh_key: " + yaml_text(key));
      line("    ssh_known_hosts: " + yaml_text(hosts));
      std::error_code failure;
      if (!fs::exists(key, failure)) {
        note(fmt::format(
            "it is fetched with a deploy key of its own: mkdir -p -m 700 {} && ssh-keygen -t ed25519 -N '' -f {}, and "
            "add {}.pub to the repository's deploy keys",
            fs::path(key).parent_path().string(), key, key));
      }
      if (!fs::exists(hosts, failure)) {
        note(fmt::format("its host is checked: ssh-keyscan github.com > {}, and compare it with what GitHub publishes",
                         hosts));
      }
    }
    const auto context = fs::path(build.context).lexically_relative(checkout.root).string();
    if (context != "." && !context.empty()) line("    context: " + yaml_text(context));
    if (!build.dockerfile.empty() && build.dockerfile != "Dockerfile")
      line("    dockerfile: " + yaml_text(build.dockerfile));
    if (!build.target.empty()) line("    target: " + yaml_text(build.target));
    if (!build.args.empty()) line("    args: " + yaml_map(build.args));
  }

  /// What can be pulled; empty: nothing can.
  std::string image_reference() {
    const auto& container = service_.container;
    if (container.image_digests.empty() || container.image.starts_with("sha256:")) return "";
    auto reference = container.image.substr(0, container.image.find('@'));
    const auto tag = tag_of(reference);
    const auto name = tag.empty() ? reference : reference.substr(0, reference.size() - tag.size() - 1);
    if (is_commit(tag)) return name + ":{sha}";
    const bool has_commits = std::ranges::any_of(container.image_tags, [&](const auto& other) {
      return other.starts_with(name + ":") && is_commit(std::string_view(other).substr(name.size() + 1));
    });
    if (has_commits) return name + ":{sha}";
    note(fmt::format(
        "the image {} is deployed by its tag; where a workflow pushes one tag per commit, write \"{}:{{sha}}\"",
        reference, name));
    return reference;
  }

  void proxy() {
    if (service_.port == 0) return;
    std::vector<std::string> parts;
    if (!route_.upstream.empty()) parts.push_back("upstream: " + yaml_text(route_.upstream));
    parts.push_back(fmt::format("port: {}", service_.port));
    // Without Nginx and without a port of the host, two versions can run at once, and the name moves.
    const bool by_name = !route_.behind_nginx && service_.container.settings.ports.empty();
    if (by_name) parts.emplace_back("route: dns");
    if (!route_.server_parameters.empty()) parts.push_back("server_parameters: " + yaml_text(route_.server_parameters));
    if (!route_.directives.empty()) parts.push_back("directives: " + yaml_list(route_.directives));
    line(fmt::format("proxy: {{ {} }}", fmt::join(parts, ", ")));
  }

  void health() {
    if (health_.docker) return line("health: docker");
    if (health_.http.empty()) {
      if (health_.tcp) line(fmt::format("health: {{ tcp: {} }}", service_.port));
      return;
    }
    std::string expect;
    for (const auto& [pointer, value] : health_.json) expect += (expect.empty() ? "" : ", ") + pointer + ": " + value;
    line(fmt::format("health: {{ http: {}{} }}", yaml_text(health_.http),
                     expect.empty() ? "" : ", expect: { json: { " + expect + " } }"));
  }

  const Survey& survey_;
  const FoundService& service_;
  const FoundHealth& health_;
  const ServiceRoute& route_;
  const std::string& network_;
  std::vector<std::string> vars_;
  ServiceText out_;
};

}  // namespace

std::string with_variables(const std::string& name, const std::string& value,
                           const std::vector<EnvFileValues>& env_files, std::vector<std::string>& used) {
  if (value.empty()) return value;
  std::vector<std::pair<std::string, std::string>> same;  // file, variable
  for (const auto& file : env_files) {
    for (const auto& [variable, text] : file.values) {
      if (text != value) continue;
      if (variable == name) {
        add_once(used, file.path);
        return "${" + variable + "}";
      }
      same.emplace_back(file.path, variable);
    }
  }
  if (same.size() == 1 && value.size() > by_chance_max) {
    add_once(used, same.front().first);
    return "${" + same.front().second + "}";
  }
  auto text = as_template(value);
  for (const auto& file : env_files) {
    for (const auto& [variable, secret] : file.values) {
      if (!sounds_secret(variable) || secret.size() < inner_secret_min) continue;
      const auto escaped = as_template(secret);
      if (text.find(escaped) == std::string::npos) continue;
      text = replaced(std::move(text), escaped, "${" + variable + "}");
      add_once(used, file.path);
    }
  }
  return text;
}

ServiceText service_text(const Survey& survey, const FoundService& service, const FoundHealth& health,
                         const ServiceRoute& route, const std::string& network) {
  return Text(survey, service, health, route, network).run();
}

}  // namespace deploy::adopt
