#include "agent/adopt/proposal.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <utility>

#include "agent/adopt/compose_edit.hpp"
#include "agent/adopt/lists.hpp"
#include "agent/adopt/nginx_edit.hpp"
#include "agent/adopt/nginx_webhook.hpp"
#include "agent/adopt/service_text.hpp"
#include "agent/adopt/settings_text.hpp"
#include "agent/proxy/upstream_file.hpp"

namespace deploy::adopt {

namespace {

namespace fs = std::filesystem;

constexpr mode_t secret_mode = 0600;
constexpr auto hook_path = "/hooks/github";
constexpr auto hook_socket = "webhook.sock";
constexpr auto ports_file = "init-ports.conf";

class Maker {
 public:
  Maker(const Survey& survey, const FoundServices& found, const std::map<std::string, FoundHealth>& health)
      : survey_(survey), found_(found), health_(health) {}

  Proposal run() {
    out_.notes = found_.notes;
    out_.problems = found_.problems;
    const bool unread = behind_nginx() && !survey_.nginx->conf && !found_.services.empty();
    if (unread) out_.problems.emplace_back("Nginx's configuration could not be read");
    if (!out_.problems.empty()) return std::move(out_);
    edit_nginx();
    agent_file();
    for (const auto& service : found_.services) {
      if (!is_known(service.name)) service_file(service);
    }
    waiting_ports();
    take_up();
    edit_compose_files();
    // Last: everything that they name is there by then.
    for (auto& change : nginx_files_) add(std::move(change));
    recreation();
    return std::move(out_);
  }

 private:
  bool is_known(const std::string& service) const { return has(survey_.service_files, service); }
  bool behind_nginx() const { return survey_.nginx.has_value(); }
  void note(const std::string& service, const std::string& text) { out_.notes.push_back(service + ": " + text); }

  void add(FileChange change) {
    if (change.before != change.after) out_.files.push_back(std::move(change));
  }

  /// A file of deployctl's own: one that is there already is the user's.
  void add_own(const std::string& path, std::string text, mode_t mode = 0644, bool secret = false) {
    if (survey_.present.contains(path)) return;
    add({path, std::nullopt, std::move(text), mode, secret});
  }

  /// A file of deployctl's own that is written again.
  void renew_own(const std::string& path, std::string text, mode_t mode) {
    const auto known = survey_.present.find(path);
    add({path, known == survey_.present.end() ? std::nullopt : std::optional(known->second), std::move(text), mode});
  }

  void edit_nginx() {
    if (!behind_nginx() || !survey_.nginx->conf) return;
    const auto& nginx = *survey_.nginx;
    NginxWish wish;
    wish.folder = nginx.upstreams_inside;
    for (const auto& service : found_.services) {
      if (service.upstream.empty()) continue;
      ServiceInNginx one{service.name, service.upstream, {}};
      for (const auto& name : service.names) one.addresses.push_back({name, service.port});
      wish.services.push_back(std::move(one));
    }
    if (wish.services.empty() && found_.services.empty() && survey_.service_files.empty()) return;
    auto edit = edit_nginx_conf(*nginx.conf, wish);
    for (const auto& finding : edit.findings) {
      auto& list = finding.level == NginxFinding::Level::changed ? out_.changed : out_.notes;
      list.push_back(to_string(finding));
    }
    for (auto& outcome : edit.services) outcomes_[outcome.service] = std::move(outcome);
    auto files = std::move(edit.files);
    add_webhook(files);
    for (auto& file : files) {
      const auto host = nginx.host_paths.find(file.path);
      if (host == nginx.host_paths.end()) continue;
      const auto& known = nginx.conf->files();
      const auto before = std::ranges::find(known, file.path, &NginxFile::path);
      nginx_files_.push_back({host->second, before->text, std::move(file.text)});
    }
  }

  void add_webhook(std::vector<NginxFile>& files) {
    const auto& nginx = *survey_.nginx;
    auto webhook = add_webhook_location(*nginx.conf, files, wish_upstreams(), hook_path,
                                        nginx.upstreams_inside + "/" + hook_socket);
    has_webhook_ = webhook.added || webhook.there;
    if (webhook.added) out_.changed.push_back(webhook.text);
    if (!has_webhook_) out_.notes.push_back(webhook.text);
  }

  std::vector<std::string> wish_upstreams() const {
    std::vector<std::string> names;
    for (const auto& service : found_.services) {
      add_once(names, service.upstream);
      for (const auto& name : service.names) add_once(names, name);
    }
    return names;
  }

  void agent_file() {
    const auto path = survey_.config_folder + "/agent.yaml";
    if (survey_.present.contains(path) || found_.network.empty()) return;
    const auto secret = survey_.config_folder + "/webhook-secret";
    std::string text = "# Written by `deployctl init`; from here on it is yours.\n";
    if (survey_.state_folder != "/var/lib/deployctl") text += "state: " + yaml_text(survey_.state_folder) + "\n";
    text += "network: " + yaml_text(found_.network) + "\n";
    text += fmt::format("routing: {{ network: {}, subnet: {} }}\n", yaml_text(survey_.routing_network),
                        survey_.routing_subnet);
    if (behind_nginx()) {
      const auto& nginx = *survey_.nginx;
      text += fmt::format("proxy: {{ nginx: {{ container: {}, upstreams: {} }} }}\n", yaml_text(nginx.container.name),
                          yaml_text(nginx.upstreams));
      if (has_webhook_) {
        text += fmt::format("webhook: {{ listen: {}, path: {}, secrets: [ {{ file: {} }} ] }}\n",
                            yaml_text("unix:" + nginx.upstreams + "/" + hook_socket), hook_path, yaml_text(secret));
        add_own(secret, survey_.webhook_secret + "\n", secret_mode, true);
        out_.notes.push_back(fmt::format(
            "GitHub: add a webhook to each repository, to https://YOUR-HOST{}, with content type application/json, the "
            "text of {} as its secret, and the events that the services are deployed on",
            hook_path, secret));
      }
    } else {
      out_.notes.emplace_back(
          "there is no Nginx, so nothing passes webhooks on: deployd looks for what is new every 5 minutes (`poll`), "
          "or "
          "give agent.yaml a `webhook` on a port of this host");
    }
    add_own(path, std::move(text));
  }

  void service_file(const FoundService& service) {
    const auto health = health_.find(service.name);
    auto route = route_of(service);
    const auto outcome = outcomes_.find(service.name);
    if (outcome != outcomes_.end() && outcome->second.left) {
      note(service.name, "no file of it is proposed before that is done");
      left_.insert(service.name);
      return;
    }
    const auto text =
        service_text(survey_, service, health == health_.end() ? FoundHealth{} : health->second, route, found_.network);
    for (const auto& line : text.notes) note(service.name, line);
    out_.services.push_back(service.name);
    add_own(survey_.config_folder + "/deploy.d/" + service.name + ".yaml", text.text,
            text.holds_secrets ? secret_mode : 0644);
    for (const auto port : text.waiting_ports) {
      new_ports_.push_back({service.name, port});
      note(service.name,
           fmt::format("port {} of the host is its container's now, which goes on answering there, with the version of "
                       "now, after the service's first rollout (but not where its strategy is recreate); run "
                       "`deployctl init --write` again then, which gives the port to Nginx, ends that container, and "
                       "takes some seconds",
                       port));
    }
    if (!behind_nginx() || route.upstream.empty()) return;
    domain::ProxySettings settings;
    settings.upstream = route.upstream;
    settings.port = service.port;
    settings.server_parameters = route.server_parameters;
    settings.directives = route.directives;
    const auto address = service.nginx_address.empty() ? fmt::format("{}:{}", service.names.front(), service.port)
                                                       : service.nginx_address;
    add_own(survey_.nginx->upstreams + "/" + route.upstream + ".conf",
            proxy::first_upstream_file(service.name, settings, address));
  }

  ServiceRoute route_of(const FoundService& service) const {
    ServiceRoute route;
    route.behind_nginx = behind_nginx();
    route.upstream = service.upstream;
    const bool has_port = std::ranges::any_of(service.container.settings.ports, [&](const auto& port) {
      return port.protocol == "tcp" && port.container == service.port;
    });
    if (route.behind_nginx && route.upstream.empty() && has_port) route.upstream = service.name;
    const auto outcome = outcomes_.find(service.name);
    if (outcome != outcomes_.end()) {
      route.server_parameters = outcome->second.server_parameters;
      route.directives = outcome->second.directives;
    }
    return route;
  }

  void waiting_ports() {
    if (!behind_nginx()) return;
    ports_ = hand_over_ports(survey_);
    out_.changed.insert(out_.changed.end(), ports_.changed.begin(), ports_.changed.end());
    if (!ports_.servers.empty()) {
      const auto path = survey_.nginx->upstreams + "/" + ports_file;
      const auto known = survey_.present.find(path);
      const std::string head =
          "# Ports of this host that were services' own. Written by `deployctl init`; it is yours.\n";
      const bool is_there = known != survey_.present.end();
      add({path, is_there ? std::optional(known->second) : std::nullopt,
           (is_there ? known->second : head) + ports_.servers});
    }
    auto wait = ports_.waiting;
    wait.insert(wait.end(), new_ports_.begin(), new_ports_.end());
    if (wait.empty() && survey_.waiting_ports.empty()) return;
    auto list = nlohmann::json::array();
    for (const auto& port : wait) list.push_back({{"service", port.service}, {"port", port.host}});
    renew_own(survey_.config_folder + "/" + waiting_ports_file, list.dump(2) + "\n", 0644);
  }

  void take_up() {
    auto list = nlohmann::json::array();
    const auto path = survey_.config_folder + "/" + take_up_file;
    if (const auto known = survey_.present.find(path); known != survey_.present.end()) {
      const auto before = nlohmann::json::parse(known->second, nullptr, false);
      if (before.is_array()) list = before;
    }
    const auto count = list.size();
    for (const auto& service : found_.services) {
      if (is_known(service.name) || left_.contains(service.name)) continue;
      list.push_back({{"service", service.name}, {"container", service.container.id}});
    }
    if (list.size() != count) renew_own(path, list.dump(2) + "\n", 0644);
  }

  /// Those of the project that have, or get, a service file.
  std::vector<std::string> deployed_of(const ComposeProject& project) const {
    std::vector<std::string> names;
    for (const auto& service : found_.services) {
      if (service.project == &project && !left_.contains(service.name)) add_once(names, service.compose_service);
    }
    for (const auto& name : compose_services(project.model.resolved)) {
      if (is_known(name)) add_once(names, name);
    }
    return names;
  }

  const ComposeProject* nginx_project() const {
    if (!behind_nginx() || survey_.nginx->container.service.empty()) return nullptr;
    for (const auto& project : survey_.projects) {
      if (project.name == survey_.nginx->container.project) return &project;
    }
    return nullptr;
  }

  std::vector<std::string> aliases() const {
    std::set<std::string> names(survey_.service_files.begin(), survey_.service_files.end());
    for (const auto& service : found_.services) {
      if (service.port != 0 && !left_.contains(service.name)) names.insert(service.name);
    }
    return {names.begin(), names.end()};
  }

  NginxInCompose nginx_in_compose(const ComposeProject& project) const {
    NginxInCompose wish;
    const auto names = aliases();
    if (&project != nginx_project() || names.empty()) return wish;
    const auto& nginx = *survey_.nginx;
    wish.service = nginx.container.service;
    wish.network = survey_.routing_network;
    wish.address = survey_.routing_address;
    wish.aliases = names;
    wish.ports = ports_.published;
    if (nginx.sees_upstreams) return wish;
    const auto inside = fs::path(nginx.upstreams).lexically_relative(project.folder).string();
    const bool below = !inside.empty() && !inside.starts_with("..");
    wish.mount = fmt::format("{}:{}:ro", below ? "./" + inside : nginx.upstreams, nginx.upstreams_inside);
    wish.mount_inside = nginx.upstreams_inside;
    return wish;
  }

  void edit_compose_files() {
    for (const auto& project : survey_.projects) {
      ComposeWish wish;
      wish.deployed = deployed_of(project);
      if (behind_nginx()) wish.without_ports = wish.deployed;
      wish.nginx = nginx_in_compose(project);
      for (const auto& file : project.files) {
        const auto text = project.texts.find(file);
        if (text == project.texts.end()) continue;
        auto edit = edit_compose(file, text->second, wish);
        out_.changed.insert(out_.changed.end(), edit.changed.begin(), edit.changed.end());
        out_.problems.insert(out_.problems.end(), edit.problems.begin(), edit.problems.end());
        if (edit.text != text->second && !wish.nginx.network.empty()) out_.needs_routing_network = true;
        add({file, text->second, std::move(edit.text)});
      }
    }
  }

  void recreation() {
    if (!behind_nginx() || out_.files.empty()) return;
    const auto& nginx = *survey_.nginx;
    std::vector<std::string> reasons;
    if (!nginx.sees_upstreams) reasons.push_back("to see the folder " + nginx.upstreams);
    if (!ports_.published.empty()) {
      reasons.push_back(fmt::format("to listen on {}", fmt::join(ports_.published, ", ")));
    }
    const auto* project = nginx_project();
    if (reasons.empty()) return recreation_later(project);
    if (project == nullptr) return recreation_by_hand(reasons);
    out_.recreate.emplace(NginxRecreation{reasons, project->files, project->name, nginx.container.service,
                                          nginx.container.name, ports_.holders});
  }

  void recreation_by_hand(const std::vector<std::string>& reasons) {
    const auto& nginx = *survey_.nginx;
    std::vector<std::string> options;
    if (!nginx.sees_upstreams) options.push_back(fmt::format("-v {}:{}:ro", nginx.upstreams, nginx.upstreams_inside));
    for (const auto& port : ports_.published) options.push_back("-p " + port);
    std::string first;
    for (const auto& holder : ports_.holders) {
      first +=
          fmt::format("remove {}, which answers on port {} until then; ", holder.name, fmt::join(holder.ports, ", "));
    }
    out_.problems.push_back(
        fmt::format("the container {} has to be made anew {}, and no Compose file defines it; {}make it anew yourself "
                    "with {}, then run this again",
                    nginx.container.name, fmt::join(reasons, " and "), first, fmt::join(options, " ")));
  }

  /// Compose makes a container anew whose service was changed, when somebody calls it next.
  void recreation_later(const ComposeProject* project) {
    if (project == nullptr || !out_.needs_routing_network) return;
    const auto& container = survey_.nginx->container;
    out_.recreate.emplace(
        NginxRecreation{{fmt::format("to be on the network {} in Compose's eyes, too", survey_.routing_network)},
                        project->files,
                        project->name,
                        container.service,
                        container.name,
                        {}});
    out_.recreate_can_wait = true;
    out_.notes.push_back(
        fmt::format("{}: deployd connects it to the network {} as it runs, but its service in {} changes, so the next "
                    "`docker compose "
                    "up -d` makes it anew once, in about 2 s; with --recreate-nginx that is done now",
                    container.name, survey_.routing_network, project->files.front()));
  }

  const Survey& survey_;
  const FoundServices& found_;
  const std::map<std::string, FoundHealth>& health_;
  std::map<std::string, NginxServiceOutcome> outcomes_;
  std::set<std::string> left_;  // services that something in Nginx's files is in the way of
  std::vector<FileChange> nginx_files_;
  std::vector<WaitingPort> new_ports_;
  PortHandOver ports_;
  bool has_webhook_ = false;
  Proposal out_;
};

}  // namespace

Proposal make_proposal(const Survey& survey, const FoundServices& found,
                       const std::map<std::string, FoundHealth>& health) {
  return Maker(survey, found, health).run();
}

}  // namespace deploy::adopt
