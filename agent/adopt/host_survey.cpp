#include "agent/adopt/host_survey.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <fstream>
#include <iterator>
#include <set>
#include <string_view>
#include <utility>

#include "agent/adopt/lists.hpp"
#include "agent/adopt/nginx_files.hpp"
#include "agent/adopt/proposal.hpp"
#include "agent/base/atomic_file.hpp"
#include "agent/base/error.hpp"
#include "agent/config/env_file.hpp"
#include "agent/proxy/nginx_place.hpp"
#include "agent/proxy/routing.hpp"

namespace deploy::adopt {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t own_file_bytes_max = 1 << 20;
constexpr auto usual_conf = "/etc/nginx/nginx.conf";
/// As Compose looks for them, the first one that is there; and what it adds to it.
constexpr std::array<const char*, 4> compose_names{"compose.yaml", "compose.yml", "docker-compose.yml",
                                                   "docker-compose.yaml"};
constexpr std::array<const char*, 4> override_names{"compose.override.yml", "compose.override.yaml",
                                                    "docker-compose.override.yml", "docker-compose.override.yaml"};

bool is_there(const fs::path& path) {
  std::error_code failure;
  return fs::exists(path, failure);
}

bool is_inside(const fs::path& path, const fs::path& folder) {
  return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first == folder.end();
}

/// The names that an env file sets.
std::vector<std::string> names_in(const std::string& text) {
  std::vector<std::string> names;
  for (const auto& line : split_lines(text)) {
    auto rest = trim(line);
    if (rest.starts_with("export ")) rest = trim(rest.substr(7));
    const auto end = std::ranges::find_if(rest, [](unsigned char c) { return std::isalnum(c) == 0 && c != '_'; });
    const auto length = static_cast<std::size_t>(end - rest.begin());
    if (length > 0 && length < rest.size()) names.emplace_back(rest.substr(0, length));
  }
  return names;
}

bool is_nginx_image(std::string_view image) {
  const auto slash = image.rfind('/');
  if (slash != std::string_view::npos) image.remove_prefix(slash + 1);
  return image.starts_with("nginx") || image.starts_with("openresty") || image.starts_with("angie");
}

class Look {
 public:
  Look(SurveyTools tools, SurveyWish wish, config::Diagnostics& diagnostics, std::vector<std::string>& problems)
      : tools_(std::move(tools)), wish_(std::move(wish)), diagnostics_(diagnostics), problems_(problems) {}

  Task<Survey> run() {
    places();
    co_await containers();
    co_await projects();
    co_await nginx();
    checkouts();
    env_files();
    own_files();
    co_await routing();
    co_return std::move(out_);
  }

 private:
  void places() {
    out_.config_folder = fs::path(wish_.agent_yaml).parent_path().string();
    out_.state_folder = wish_.state_folder;
    out_.routing_network = config::RoutingSettings{}.network;
    out_.webhook_secret = wish_.webhook_secret;
    if (!wish_.configuration) return;
    const auto& agent = wish_.configuration->agent;
    out_.state_folder = agent.state.string();
    out_.routing_network = agent.routing.network;
    out_.network = agent.network;
    for (const auto& service : wish_.configuration->services) {
      out_.service_files.push_back(service.name);
      out_.upstreams[service.name] = service.proxy.upstream;
    }
  }

  Task<void> containers() {
    const auto all = co_await tools_.engine.list({});
    for (const auto& listed : all) {
      if (listed.state != "running") continue;
      const auto shown = co_await tools_.container(listed.id);
      if (shown.is_null()) continue;  // gone meanwhile
      const auto image = co_await tools_.image(listed.image_id);
      out_.containers.push_back(read_inspected(shown, image));
    }
    std::ranges::sort(out_.containers, {}, &InspectedContainer::name);
  }

  bool is_asked_about(const fs::path& folder) const {
    return wish_.folders.empty() ||
           std::ranges::any_of(wish_.folders, [&](const auto& asked) { return is_inside(folder, asked); });
  }

  /// Those that containers name, and those in the folders that were named.
  Task<void> projects() {
    for (const auto& container : out_.containers) {
      if (container.project.empty() || container.project_files.empty()) continue;
      if (!is_asked_about(container.project_folder)) {
        out_.other_projects.insert(container.project);
        continue;
      }
      co_await project(container.project, container.project_folder, container.project_files);
    }
    for (const auto& folder : wish_.folders) {
      std::vector<std::string> files;
      const auto first =
          std::ranges::find_if(compose_names, [&](const auto* name) { return is_there(fs::path(folder) / name); });
      if (first == compose_names.end()) continue;
      files.push_back((fs::path(folder) / *first).string());
      for (const auto* name : override_names) {
        if (is_there(fs::path(folder) / name)) files.push_back((fs::path(folder) / name).string());
      }
      co_await project("", folder, files);
    }
  }

  Task<void> project(std::string name, std::string folder, std::vector<std::string> files) {
    for (const auto& known : out_.projects) {
      if (known.folder == folder || (!name.empty() && known.name == name)) co_return;
    }
    for (const auto& file : files) {
      if (is_there(file)) continue;
      problems_.push_back(
          fmt::format("the containers of the project {} were made from {}, which is not there; put it back, "
                      "or leave them out with --not",
                      name, file));
      co_return;
    }
    ComposeProject found;
    found.name = name;
    found.folder = folder;
    found.files = files;
    const ComposeFiles compose{files, name, {"deployctl"}};
    std::string failure;
    try {
      found.model = co_await read_compose(tools_.runner, compose);
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::timed_out) throw;
      failure = error.message();
    }
    if (!failure.empty()) {
      problems_.push_back(failure);
      co_return;
    }
    for (const auto& warning : found.model.warnings) {
      problems_.push_back(fmt::format("{}: {}; set it, or give it a default there", fmt::join(files, ", "), warning));
    }
    if (found.name.empty()) found.name = found.model.resolved.value("name", "");
    for (const auto& file : files) found.texts[file] = read_file(file, own_file_bytes_max);
    out_.projects.push_back(std::move(found));
  }

  /// Without it everything would be proposed as on a host that has none.
  std::string nginx_that_does_not_run() const {
    for (const auto& project : out_.projects) {
      const auto services = project.model.resolved.value("services", nlohmann::json::object());
      for (const auto& [name, service] : services.items()) {
        if (!is_nginx_image(service.value("image", "")) || service.value("ports", nlohmann::json::array()).empty()) {
          continue;
        }
        return fmt::format(
            "the service {} of {} is an Nginx that does not run; start it with docker compose up -d {}, "
            "and run this again",
            name, fmt::join(project.files, ", "), name);
      }
    }
    return "";
  }

  const InspectedContainer* nginx_container() {
    const auto wanted = wish_.configuration && wish_.configuration->agent.nginx
                            ? wish_.configuration->agent.nginx->container
                            : wish_.nginx;
    std::vector<const InspectedContainer*> found;
    for (const auto& container : out_.containers) {
      if (container.ours) continue;
      if (wanted.empty() ? is_nginx_image(container.image) : container.name == wanted) found.push_back(&container);
    }
    if (!wanted.empty() && found.empty()) {
      problems_.push_back(
          fmt::format("there is no container {} that runs; start it, or name Nginx's with --nginx", wanted));
    }
    if (wanted.empty() && found.empty()) {
      const auto stopped = nginx_that_does_not_run();
      if (!stopped.empty()) problems_.push_back(stopped);
    }
    if (found.size() < 2) return found.empty() ? nullptr : found.front();
    // Apps may have an Nginx of their own inside; the one that passes requests on has the ports.
    std::erase_if(found, [](const auto* container) {
      return std::ranges::none_of(container->settings.ports,
                                  [](const auto& port) { return port.container == 80 || port.container == 443; });
    });
    if (found.size() == 1) return found.front();
    problems_.emplace_back("several containers could be the Nginx that passes requests on; name it with --nginx");
    return nullptr;
  }

  Task<void> nginx() {
    if (wish_.configuration) {
      const auto& known = wish_.configuration->agent.nginx;
      if (!known || known->container.empty()) co_return;  // there is none, or it runs on the host itself
    }
    const auto* container = nginx_container();
    if (container == nullptr) co_return;
    const auto place = proxy::nginx_place(tools_.engine, tools_.runner, container->name, "");
    const auto running = co_await place->find();
    const auto workers = co_await place->workers(running);
    auto main = conf_of(workers.master->title);
    const auto root = fs::path("/proc") / std::to_string(running.pid) / "root";
    auto read = read_nginx(*container, root, main, diagnostics_);
    if (wish_.configuration) {
      read.upstreams = wish_.configuration->agent.nginx->upstreams.string();
      read.upstreams_inside = "/etc/nginx/upstreams";
      for (const auto& bind : read.container.binds) {
        if (!is_inside(read.upstreams, bind.host)) continue;
        read.upstreams_inside = bind.inside + read.upstreams.substr(bind.host.size());
        read.sees_upstreams = true;
      }
    } else {
      choose_upstreams_folder(read, main);
    }
    out_.nginx = std::move(read);
  }

  /// -c of the running master, as its title shows it.
  static std::string conf_of(const std::string& title) {
    const auto arguments = proxy::path_arguments(title);
    for (std::size_t i = 0; i + 1 < arguments.size(); ++i) {
      if (arguments[i] == "-c") return arguments[i + 1];
    }
    return usual_conf;
  }

  void add_checkout(std::optional<GitCheckout> checkout) {
    if (!checkout) return;
    const bool known =
        std::ranges::any_of(out_.checkouts, [&](const auto& other) { return other.root == checkout->root; });
    if (!known) out_.checkouts.push_back(std::move(*checkout));
  }

  void checkouts() {
    auto folders = wish_.folders;
    for (const auto& project : out_.projects) add_once(folders, project.folder);
    for (const auto& folder : folders) {
      add_checkout(find_checkout(folder));
      for (auto& checkout : checkouts_below(folder)) add_checkout(std::move(checkout));
    }
    for (const auto& project : out_.projects) {
      for (const auto& name : compose_services(project.model.resolved)) {
        const auto service = import_service(project.model.resolved, project.model.written, name);
        if (service.build && service.build->context.starts_with('/'))
          add_checkout(find_checkout(service.build->context));
      }
    }
  }

  void env_files() {
    auto folders = wish_.folders;
    for (const auto& project : out_.projects) add_once(folders, project.folder);
    for (const auto& folder : folders) {
      const auto path = (fs::path(folder) / ".env").string();
      if (!is_there(path)) continue;
      EnvFileValues file{path, {}};
      try {
        const auto values = config::EnvFiles::read({path});
        for (const auto& name : names_in(read_file(path, own_file_bytes_max))) {
          if (auto value = values.find(name)) file.values[name] = std::move(*value);
        }
      } catch (const Error& error) {
        problems_.push_back(error.message());
      }
      out_.env_files.push_back(std::move(file));
    }
  }

  void own_file(const fs::path& path) {
    if (is_there(path)) out_.present[path.string()] = read_file(path, own_file_bytes_max);
  }

  void own_files() {
    for (const auto* name : {"agent.yaml", "webhook-secret", take_up_file, waiting_ports_file})
      own_file(fs::path(out_.config_folder) / name);
    std::vector<fs::path> folders{fs::path(out_.config_folder) / "deploy.d"};
    if (out_.nginx) folders.emplace_back(out_.nginx->upstreams);
    for (const auto& folder : folders) {
      std::error_code failure;
      for (fs::directory_iterator at(folder, failure), end; !failure && at != end; at.increment(failure)) {
        const auto ending = at->path().extension();
        if (ending == ".yaml" || ending == ".conf") own_file(at->path());
      }
    }
    for (const auto& entry : list_in(waiting_ports_file)) {
      out_.waiting_ports.push_back({entry.value("service", ""), entry.value("port", std::uint16_t{0})});
    }
    for (const auto& entry : list_in(take_up_file)) {
      out_.taken_up.push_back({entry.value("service", ""), entry.value("container", "")});
    }
  }

  /// The objects that a file of `init`'s own lists; none where it is not there.
  std::vector<nlohmann::json> list_in(const char* name) const {
    const auto file = out_.present.find(out_.config_folder + "/" + name);
    if (file == out_.present.end()) return {};
    const auto list = nlohmann::json::parse(file->second, nullptr, false);
    std::vector<nlohmann::json> entries;
    for (const auto& entry : list.is_array() ? list : nlohmann::json::array()) {
      if (entry.is_object()) entries.push_back(entry);
    }
    return entries;
  }

  /// The subnet that deployd would choose; what is chosen already stays.
  Task<void> routing() {
    auto subnet = wish_.configuration ? wish_.configuration->agent.routing.subnet : "";
    const auto known = co_await tools_.engine.inspect_network(out_.routing_network);
    if (subnet.empty() && known && !known->subnets.empty()) subnet = known->subnets.front();
    if (subnet.empty()) {
      std::ifstream file("/proc/net/route");
      const std::string table{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
      auto taken = proxy::parse_host_routes(table);
      const auto networks = co_await tools_.engine.networks();
      for (const auto& network : networks) taken.insert(taken.end(), network.subnets.begin(), network.subnets.end());
      subnet = proxy::choose_subnet(taken);
    }
    out_.routing_subnet = subnet;
    out_.routing_address = proxy::RoutingPlan(subnet).nginx_address();
  }

  SurveyTools tools_;
  SurveyWish wish_;
  config::Diagnostics& diagnostics_;
  std::vector<std::string>& problems_;
  Survey out_;
};

}  // namespace

Task<Survey> look_at_host(SurveyTools tools, SurveyWish wish, config::Diagnostics& diagnostics,
                          std::vector<std::string>& problems) {
  Look look(std::move(tools), std::move(wish), diagnostics, problems);
  co_return co_await look.run();
}

}  // namespace deploy::adopt
