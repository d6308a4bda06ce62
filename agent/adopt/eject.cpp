#include "agent/adopt/eject.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agent/adopt/compose_edit.hpp"
#include "agent/adopt/compose_export.hpp"
#include "agent/base/error.hpp"
#include "agent/base/text.hpp"
#include "agent/domain/labels.hpp"

namespace deploy::adopt {

namespace {

using nlohmann::json;

/// One word for a shell.
std::string word(const std::string& text) {
  const bool plain = !text.empty() && text.find_first_not_of(
                                          "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "0123456789/._-:@=,+") == std::string::npos;
  return plain ? text : "'" + replaced(text, "'", "'\\''") + "'";
}

std::string words(const std::vector<std::string>& texts) {
  std::string line;
  for (const auto& text : texts) line += (line.empty() ? "" : " ") + word(text);
  return line;
}

/// Two of it cannot run at once.
bool runs_alone(const LiveService& service) {
  return service.settings.strategy == domain::StrategyKind::recreate || !service.settings.container.ports.empty();
}

/// An image that deployd built says whose it is, and so would each container of it: a deployd that is started again
/// must not take these for its own.
void disown(json& service) { service["labels"][domain::labels::instance] = ""; }

/// The name that others call it by, on the network that all share.
json shared_endpoint(const LiveService& service) { return {{"aliases", {service.settings.name}}}; }

json whole_file(const config::AgentConfig& agent, const LiveService& service) {
  const auto& settings = service.settings;
  auto out = to_compose_service(settings.container);
  out["image"] = service.image;
  disown(out);
  out["networks"][agent.network] = shared_endpoint(service);
  if (settings.replicas > 1) out["deploy"]["replicas"] = settings.replicas;
  json networks{{agent.network, {{"name", agent.network}, {"external", true}}}};
  for (const auto& network : settings.container.networks) {
    out["networks"][network] = json::object();
    networks[network] = {{"name", network}, {"external", true}};
  }
  json file{{"name", settings.name}, {"services", {{settings.name, out}}}, {"networks", networks}};
  for (const auto& volume : named_volumes(settings.container)) {
    file["volumes"][volume] = {{"name", volume}, {"external", true}};
  }
  return file;
}

/// What its own Compose files do not say: which image is live, and its name for others.
json override_file(const config::AgentConfig& agent, const LiveService& service) {
  json out{{"image", service.image}};
  disown(out);
  const auto key = service.network_key.empty() ? "deployctl_shared" : service.network_key;
  out["networks"][key] = shared_endpoint(service);
  if (service.settings.replicas > 1) out["deploy"]["replicas"] = service.settings.replicas;
  json file{{"services", {{service.compose->service, out}}}};
  if (service.network_key.empty()) file["networks"][key] = {{"name", agent.network}, {"external", true}};
  return file;
}

std::string compose_file(const LiveService& service) {
  return service.settings.name + (service.compose ? ".override.yml" : ".yml");
}

std::string up_command(const LiveService& service, const std::string& folder) {
  std::vector<std::string> command{"docker", "compose"};
  const auto add = [&](const std::string& option, const std::string& value) {
    command.insert(command.end(), {option, value});
  };
  const auto own = folder + "/" + compose_file(service);
  if (!service.compose) {
    for (const auto& file : service.settings.vars) add("--env-file", file);
    if (service.settings.vars.empty()) add("--env-file", "/dev/null");
    add("--file", own);
  } else {
    if (!service.compose->project.empty()) add("--project-name", service.compose->project);
    for (const auto& profile : service.compose->profiles) add("--profile", profile);
    for (const auto& file : service.compose->files) add("--file", file);
    add("--file", own);
  }
  command.insert(command.end(), {"up", "--detach", "--wait", "--no-build", "--no-deps",
                                 service.compose ? service.compose->service : service.settings.name});
  return words(command);
}

/// By the name that Docker's DNS knows all its containers by; resolved when Nginx loads it.
std::string upstream_text(const domain::Service& service) {
  const auto& proxy = service.proxy;
  auto text = fmt::format("upstream {} {{\n    server {}:{}{}{};\n", proxy.upstream, service.name, proxy.port,
                          proxy.server_parameters.empty() ? "" : " ", proxy.server_parameters);
  for (const auto& directive : proxy.directives) text += fmt::format("    {};\n", directive);
  return text + "}\n";
}

class Writer {
 public:
  Writer(const config::AgentConfig& agent, const std::vector<LiveService>& services, std::string folder)
      : agent_(agent), services_(services), folder_(std::move(folder)) {}

  Ejection run() {
    for (const auto& service : services_) {
      out_.files[compose_file(service)] =
          (service.compose ? override_file(agent_, service) : whole_file(agent_, service)).dump(2) + "\n";
      if (!service.settings.proxy.upstream.empty()) {
        out_.files["upstreams/" + service.settings.proxy.upstream + ".conf"] = upstream_text(service.settings);
      }
      if (service.left_to_deployctl) {
        out_.notes.push_back(
            fmt::format("{}: take the profile {} out of {}, so that `docker compose up` starts it again",
                        service.settings.name, deployed_profile, fmt::join(service.compose->files, ", ")));
      }
      if (!service.settings.container.pre_stop.empty()) {
        out_.notes.push_back(service.settings.name + ": nobody runs container.pre_stop any more before it is stopped");
      }
    }
    commands();
    return std::move(out_);
  }

 private:
  void say(const std::string& text) { out_.commands.push_back("# " + text); }
  void call(const std::vector<std::string>& command) { out_.commands.push_back(words(command)); }

  void commands() {
    say("deployd ends; what is live serves on");
    call({"systemctl", "disable", "--now", "deployd"});
    for (const auto& service : services_) {
      const auto& name = service.settings.name;
      if (runs_alone(service)) {
        say(fmt::format("{} cannot run twice: it answers nothing until the next command is done", name));
        stop(service);
      } else {
        say(fmt::format("{} starts beside its old containers; wait until it is ready", name));
      }
      out_.commands.push_back(up_command(service, folder_));
    }
    if (agent_.nginx) switch_nginx();
    for (const auto& service : services_) {
      if (runs_alone(service)) continue;
      say(fmt::format("what deployctl made of {} goes", service.settings.name));
      stop(service);
    }
    say("deployctl's own network goes");
    if (agent_.nginx) call({"docker", "network", "disconnect", agent_.routing.network, agent_.nginx->container});
    call({"docker", "network", "rm", agent_.routing.network});
    out_.notes.push_back(fmt::format(
        "deployd's files ({}, agent.yaml, its services and its programs) stay where they are", agent_.state.string()));
    out_.notes.push_back(fmt::format(
        "before the next `docker compose up`: take the network {0} out of Nginx's service and of `networks` "
        "in its Compose file, where `deployctl init` wrote it, else Compose ends with \"network {0} not "
        "found\"; and give it the override files above with -f: without them it starts the images that it "
        "built last, which may be older than what is live",
        agent_.routing.network));
  }

  void stop(const LiveService& service) {
    for (const auto* verb : {"stop", "rm"}) {
      std::vector<std::string> command{"docker", verb};
      command.insert(command.end(), service.containers.begin(), service.containers.end());
      call(command);
    }
  }

  void switch_nginx() {
    const auto upstreams = agent_.nginx->upstreams.string();
    say("Nginx sends requests to the new containers, by their names");
    for (const auto& [name, text] : out_.files) {
      if (name.starts_with("upstreams/")) call({"cp", folder_ + "/" + name, upstreams + "/"});
    }
    call({"rm", upstreams + "/deployctl.conf"});
    call({"docker", "exec", agent_.nginx->container, "nginx", "-t"});
    call({"docker", "kill", "--signal", "HUP", agent_.nginx->container});
  }

  const config::AgentConfig& agent_;
  const std::vector<LiveService>& services_;
  std::string folder_;
  Ejection out_;
};

}  // namespace

Ejection eject(const config::AgentConfig& agent, const std::vector<LiveService>& services, const std::string& folder) {
  if (agent.nginx && agent.nginx->container.empty()) {
    throw Error(
        ErrorKind::invalid,
        "eject cannot write upstreams for an Nginx on this host, which does not know containers by name; publish "
        "the services' ports on 127.0.0.1 and pass requests there");
  }
  return Writer(agent, services, folder).run();
}

}  // namespace deploy::adopt
