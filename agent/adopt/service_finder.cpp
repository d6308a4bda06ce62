#include "agent/adopt/service_finder.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <functional>
#include <string_view>
#include <utility>

#include "agent/adopt/infrastructure.hpp"
#include "agent/adopt/lists.hpp"
#include "agent/adopt/nginx_edit.hpp"

namespace deploy::adopt {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t name_max = 41;

bool is_name_character(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.';
}

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

/// As a service may be called.
std::string as_service_name(std::string name) {
  name = lower(std::move(name));
  for (auto& c : name) {
    if (!is_name_character(c) || c == '_' || c == '.') c = '-';
  }
  while (name.starts_with('-')) name.erase(0, 1);
  return name.substr(0, name_max);
}

/// The numbers behind "name:" in a text, where the name stands by itself.
std::vector<std::uint16_t> ports_in(const std::string& text, const std::string& name) {
  std::vector<std::uint16_t> ports;
  for (auto at = text.find(name); at != std::string::npos; at = text.find(name, at + 1)) {
    const auto end = at + name.size();
    const bool alone = at == 0 || !is_name_character(text[at - 1]);
    if (!alone || end >= text.size() || text[end] != ':') continue;
    const int number = std::atoi(text.substr(end + 1, 5).c_str());
    if (number > 0 && number < 65536) ports.push_back(static_cast<std::uint16_t>(number));
  }
  return ports;
}

/// Does the value hold an address of that host, as "http://llm:8000", "llm:8000", or "llm" under a name like LLM_HOST?
bool calls(const std::string& variable, const std::string& value, const std::string& name) {
  if (value == name) return variable.ends_with("HOST") || variable.ends_with("HOSTNAME");
  for (auto at = value.find(name); at != std::string::npos; at = value.find(name, at + 1)) {
    const auto end = at + name.size();
    const bool alone = at == 0 || !is_name_character(value[at - 1]);
    const bool ends = end == value.size() || !is_name_character(value[end]);
    const bool has_port =
        end + 1 < value.size() && value[end] == ':' && std::isdigit(static_cast<unsigned char>(value[end + 1])) != 0;
    const bool has_scheme = at >= 3 && value.compare(at - 3, 3, "://") == 0;
    const bool has_user = at >= 1 && value[at - 1] == '@';
    if (alone && ends && (has_port || has_scheme || has_user)) return true;
  }
  return false;
}

/// "/health" of `curl -f http://localhost:8080/health || exit 1`.
void add_health_paths(const std::vector<std::string>& test, std::uint16_t port, std::vector<std::string>& paths) {
  for (const auto& word : test) {
    for (const auto& asked : asked_in(word)) {
      const auto slash = asked.find('/');
      if (port == 0 || asked.substr(0, slash) == std::to_string(port)) add_once(paths, asked.substr(slash));
    }
  }
}

class Finder {
 public:
  Finder(const Survey& survey, const ServiceChoice& choice) : survey_(survey), choice_(choice) {}

  FoundServices run() {
    for (const auto& container : survey_.containers) look_at(container);
    std::ranges::sort(out_.services, {}, &FoundService::name);
    name_what_is_not_there();
    find_network();
    for (auto& service : out_.services) {
      in_nginx(service);
      find_port(service);
      find_checkout_of(service);
      find_health_paths(service);
    }
    for (auto& service : out_.services) find_dependencies(service);
    break_circles();
    return std::move(out_);
  }

 private:
  bool chosen(const std::set<std::string>& by, const InspectedContainer& container) const {
    return by.contains(container.name) || (!container.service.empty() && by.contains(container.service));
  }

  void look_at(const InspectedContainer& container) {
    if (container.ours || !container.running) return;
    if (survey_.nginx && survey_.nginx->container.id == container.id) return;
    if (chosen(choice_.not_wanted, container) || survey_.other_projects.contains(container.project)) return;
    const auto* project = project_of(container);
    std::optional<ComposeService> compose;
    if (project != nullptr) {
      compose = import_service(project->model.resolved, project->model.written, container.service);
    }
    const bool built = compose && compose->build;
    if (!built && is_infrastructure(container.image) && !chosen(choice_.wanted, container)) return;
    FoundService service;
    service.name = as_service_name(container.service.empty() ? container.name : container.service);
    service.container = container;
    service.project = project;
    service.compose_service = project != nullptr ? container.service : "";
    service.compose = std::move(compose);
    add_names(service);
    const auto twin = std::ranges::find(out_.services, service.name, &FoundService::name);
    if (twin != out_.services.end()) {
      twin->notes.push_back(
          fmt::format("{} is another container of it; write `replicas: 2` if it is one service, or "
                      "leave one of both out with --not",
                      container.name));
      return;
    }
    if (service.name.size() < 2) {
      out_.notes.push_back(
          fmt::format("{} cannot be a service's name; leave it out with --not, or give the container "
                      "another name",
                      container.name));
      return;
    }
    out_.services.push_back(std::move(service));
  }

  const ComposeProject* project_of(const InspectedContainer& container) const {
    for (const auto& project : survey_.projects) {
      if (container.project != project.name) continue;
      if (has(compose_services(project.model.resolved), container.service)) return &project;
    }
    return nullptr;
  }

  void add_names(FoundService& service) {
    const auto& container = service.container;
    add_once(service.names, service.name);
    add_once(service.names, container.service);
    add_once(service.names, container.name);
    for (const auto& [network, names] : container.networks) {
      for (const auto& name : names) add_once(service.names, name);
    }
    if (!container.service.empty() && container.service != service.name) {
      service.notes.push_back(fmt::format("others call it {}, which is no service's name; write {} where they do",
                                          container.service, service.name));
    }
  }

  void name_what_is_not_there() {
    for (const auto& name : choice_.wanted) {
      const bool found =
          std::ranges::any_of(out_.services, [&](const auto& service) { return has(service.names, name); });
      if (!found && !has(survey_.service_files, name)) {
        out_.problems.push_back(
            fmt::format("there is no container of {} that runs; start it, or leave out --service {}", name, name));
      }
    }
    for (const auto& project : survey_.projects) {
      for (const auto& name : compose_services(project.model.resolved)) {
        const bool runs = std::ranges::any_of(survey_.containers, [&](const auto& container) {
          return container.project == project.name && container.service == name;
        });
        const auto service = import_service(project.model.resolved, project.model.written, name);
        const bool deployed = has(survey_.service_files, as_service_name(name));
        if (runs || !service.build || deployed || choice_.not_wanted.contains(name)) continue;
        out_.notes.push_back(
            fmt::format("{} of {} does not run, so nothing is proposed for it", name, project.files.front()));
      }
    }
  }

  /// The network that most of them are on, with Nginx where there is one. Those that are not on it are left out.
  void find_network() {
    std::map<std::string, std::size_t> counts;
    for (const auto& service : out_.services) {
      for (const auto& [network, names] : service.container.networks) ++counts[network];
    }
    for (const auto* name : {"bridge", "host", "none"}) counts.erase(name);
    counts.erase(survey_.routing_network);
    out_.network = survey_.network;
    if (out_.network.empty()) {
      std::size_t most = 0;
      for (const auto& [network, count] : counts) {
        const bool with_nginx = !survey_.nginx || survey_.nginx->container.networks.contains(network);
        if (with_nginx && count > most) {
          most = count;
          out_.network = network;
        }
      }
    }
    if (out_.services.empty()) return;
    if (out_.network.empty()) {
      out_.problems.push_back(
          fmt::format("{} {} not on a Docker network with names{}; connect {} to one (docker network create, docker "
                      "network connect)",
                      fmt::join(names_of_services(), ", "), out_.services.size() == 1 ? "is" : "are",
                      survey_.nginx ? " that Nginx is on" : "", out_.services.size() == 1 ? "it" : "them"));
      return;
    }
    std::erase_if(out_.services, [&](const auto& service) {
      const bool on_it = service.container.networks.contains(out_.network);
      if (!on_it) {
        out_.notes.push_back(
            fmt::format("{} is left out: it is not on the network {}; connect it with: docker network "
                        "connect {} {}",
                        service.name, out_.network, out_.network, service.container.name));
      }
      return !on_it;
    });
  }

  std::vector<std::string> names_of_services() const {
    std::vector<std::string> names;
    for (const auto& service : out_.services) names.push_back(service.name);
    return names;
  }

  /// Where Nginx passes requests to it now.
  void in_nginx(FoundService& service) {
    if (!survey_.nginx || !survey_.nginx->conf) return;
    const auto& conf = *survey_.nginx->conf;
    std::vector<NginxAddress> addresses;
    const auto take = [&](const std::optional<NginxAddress>& address) {
      if (!address ||
          !std::ranges::any_of(service.names, [&](const auto& name) { return same_host(name, address->host); })) {
        return;
      }
      auto known = *address;
      if (known.port == 0) known.port = 80;
      addresses.push_back(known);
    };
    for (const auto& upstream : conf.upstreams()) {
      for (const auto* server : upstream.servers) take(parse_nginx_address(server->argument(1)));
    }
    for (const auto& pass : conf.passes()) {
      const bool is_upstream = pass.address.port == 0 && conf.upstream(pass.address.host) != nullptr;
      if (!pass.address_text.empty() && !is_upstream) take(pass.address);
    }
    if (addresses.empty()) return;
    service.port = addresses.front().port;
    service.nginx_address = fmt::format("{}:{}", addresses.front().host, service.port);
    service.upstream = upstream_leading_to(conf, addresses).value_or(service.name);
  }

  void find_port(FoundService& service) {
    if (service.port != 0) return;
    const auto& container = service.container;
    for (const auto& port : container.settings.ports) {
      if (port.protocol == "tcp" && service.port == 0) service.port = port.container;
    }
    if (service.port == 0 && container.exposed_ports.size() == 1) service.port = container.exposed_ports.front();
    for (const auto& other : survey_.containers) {
      for (const auto& [variable, value] : other.environment) {
        for (const auto& name : service.names) {
          const auto ports = ports_in(value, name);
          if (service.port == 0 && !ports.empty() && other.id != container.id) service.port = ports.front();
        }
      }
    }
    if (service.port == 0 && !container.exposed_ports.empty()) service.port = container.exposed_ports.front();
    if (service.port == 0) {
      service.notes.emplace_back(
          "no port of it is known, so it gets no traffic from others; write `proxy: { port: … }` "
          "if it listens on one");
    }
  }

  void find_checkout_of(FoundService& service) {
    const auto in = [](const fs::path& folder, const fs::path& root) {
      return std::mismatch(root.begin(), root.end(), folder.begin(), folder.end()).first == root.end();
    };
    if (service.compose && service.compose->build) {
      const fs::path context(service.compose->build->context);
      for (const auto& checkout : survey_.checkouts) {
        // The innermost one, for repositories inside of others.
        const bool nearer = service.checkout == nullptr || in(checkout.root, service.checkout->root);
        if (in(context, checkout.root) && nearer) service.checkout = &checkout;
      }
      return;
    }
    const auto source = service.container.image_labels.find("org.opencontainers.image.source");
    const auto labelled = source == service.container.image_labels.end() ? "" : repository_of(source->second);
    const auto image = image_name(service.container.image);
    for (const auto& checkout : survey_.checkouts) {
      const auto repository = checkout.repository.substr(checkout.repository.find('/') + 1);
      const auto folder = checkout.root.filename().string();
      const bool same =
          (!labelled.empty() && labelled == checkout.repository) || folder == service.name || folder == image ||
          (!repository.empty() &&
           (repository == image || repository == service.name || repository.ends_with("-" + service.name)));
      if (same && service.checkout == nullptr) service.checkout = &checkout;
    }
  }

  void find_health_paths(FoundService& service) {
    add_health_paths(service.container.health_test, service.port, service.asked);
    const auto by = [&](const GitCheckout& checkout) {
      for (const auto& asked : checkout.asked) {
        const auto slash = asked.find('/');
        if (asked.substr(0, slash) == std::to_string(service.port)) add_once(service.asked, asked.substr(slash));
      }
    };
    if (service.checkout != nullptr) return by(*service.checkout);
    // Its own repository is not here, so what the others' scripts ask of that port may be meant for it.
    for (const auto& checkout : survey_.checkouts) by(checkout);
  }

  void find_dependencies(FoundService& service) {
    for (const auto& other : out_.services) {
      if (other.name == service.name) continue;
      const bool says_compose = service.compose && has(service.compose->depends_on, other.compose_service) &&
                                service.project == other.project;
      const bool does_call = std::ranges::any_of(service.container.environment, [&](const auto& entry) {
        return std::ranges::any_of(other.names,
                                   [&](const auto& name) { return calls(entry.first, entry.second, name); });
      });
      if (says_compose || does_call) add_once(service.depends_on, other.name);
      note_lost_names(service, other);
    }
  }

  /// A name that only the container of now has is gone with it.
  void note_lost_names(FoundService& service, const FoundService& other) {
    for (const auto& [variable, value] : service.container.environment) {
      for (const auto& name : other.names) {
        const bool kept = name == other.name || other.name.find(name) != std::string::npos;
        if (kept || calls(variable, value, other.name) || !calls(variable, value, name)) continue;
        service.notes.push_back(
            fmt::format("its {} calls {} by the name {}, which only the container of now has; write "
                        "{} before the first rollout",
                        variable, other.name, name, other.name));
      }
    }
  }

  FoundService* find(const std::string& name) {
    const auto found = std::ranges::find(out_.services, name, &FoundService::name);
    return found == out_.services.end() ? nullptr : &*found;
  }

  bool reaches(const std::string& from, const std::string& to, std::set<std::string>& seen) {
    if (from == to) return true;
    if (!seen.insert(from).second) return false;
    const auto* service = find(from);
    return service != nullptr &&
           std::ranges::any_of(service->depends_on, [&](const auto& next) { return reaches(next, to, seen); });
  }

  /// Services that call each other cannot go out in an order; what closes a circle is dropped, and said.
  void break_circles() {
    for (auto& service : out_.services) {
      auto wanted = std::exchange(service.depends_on, {});
      for (auto& name : wanted) {
        std::set<std::string> seen;
        if (reaches(name, service.name, seen)) {
          service.notes.push_back(
              fmt::format("it calls {}, and {} calls it, so neither goes out before the other", name, name));
        } else {
          service.depends_on.push_back(std::move(name));
        }
      }
    }
  }

  const Survey& survey_;
  const ServiceChoice& choice_;
  FoundServices out_;
};

}  // namespace

FoundServices find_services(const Survey& survey, const ServiceChoice& choice) { return Finder(survey, choice).run(); }

}  // namespace deploy::adopt
