// agent.yaml.
#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/network_v4.hpp>
#include <boost/system/error_code.hpp>
#include <cctype>
#include <charconv>
#include <string_view>
#include <utility>

#include "agent/config/checks.hpp"
#include "agent/config/repository_schema.hpp"
#include "agent/config/schema.hpp"
#include "agent/config/source_schema.hpp"

namespace deploy::config {

namespace {

using std::chrono::milliseconds;
namespace ip = boost::asio::ip;

constexpr milliseconds hour = std::chrono::hours(1);
constexpr milliseconds day = std::chrono::hours(24);
constexpr milliseconds poll_least = std::chrono::seconds(1);

void read_docker_name(Fields& fields, const std::string& key, std::string& out) {
  auto value = fields.find(key);
  if (!value) return;
  auto name = value->filled_text();
  if (name && check_docker_name(*value, *name)) out = std::move(*name);
}

void read_socket(const Value& value, SocketSettings& socket) {
  Fields fields(value);
  read_path(fields, "path", socket.path);
  fields.text("group", socket.group);
  fields.finish();
}

void read_engine(const Value& value, std::string& engine) {
  auto text = value.filled_text();
  if (!text) return;
  if (text->starts_with("unix:///")) {
    engine = std::move(*text);
  } else if (text->starts_with("ssh://") || text->starts_with("tcp://")) {
    value.error("names an engine on another host, which is not supported yet", "write unix:///var/run/docker.sock");
  } else {
    value.error("must be a unix socket, e.g. unix:///var/run/docker.sock");
  }
}

void read_routing(const Value& value, RoutingSettings& routing) {
  Fields fields(value);
  read_docker_name(fields, "network", routing.network);
  if (auto subnet = fields.find("subnet")) {
    if (auto text = subnet->filled_text()) {
      boost::system::error_code problem;
      auto network = ip::make_network_v4(*text, problem);
      if (problem || network.prefix_length() < 16 || network.prefix_length() > 26) {
        subnet->error("must be an IPv4 network from /16 to /26, e.g. 10.213.176.0/22");
      } else if (network != network.canonical()) {
        subnet->error("is an address inside of a network", "did you mean `" + network.canonical().to_string() + "`?");
      } else {
        routing.subnet = std::move(*text);
      }
    }
  }
  fields.finish();
}

/// "host:port" or "unix:/path".
void read_listen(const Value& value, WebhookSettings& webhook) {
  auto text = value.filled_text();
  if (!text || !check_printable(value, *text)) return;
  if (text->starts_with("unix:")) {
    auto path = text->substr(5);
    if (!path.starts_with('/')) {
      value.error("must have an absolute path after `unix:`", "e.g. unix:/run/deployctl/hooks/webhook.sock");
      return;
    }
    webhook.unix_socket = path;
    return;
  }
  auto colon = text->rfind(':');
  auto host = text->substr(0, colon == std::string::npos ? text->size() : colon);
  if (host.size() > 2 && host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  auto port_text = colon == std::string::npos ? std::string() : text->substr(colon + 1);
  std::uint16_t port = 0;
  auto [end, port_problem] = std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
  boost::system::error_code problem;
  ip::make_address(host, problem);
  if (problem || port_problem != std::errc() || end != port_text.data() + port_text.size()) {
    value.error("must be address:port or unix:/path, e.g. 127.0.0.1:9010",
                host == "localhost" ? "write 127.0.0.1 for localhost" : "write 0.0.0.0 for every address of this host");
    return;
  }
  webhook.address = host;
  webhook.port = port;
}

std::optional<SecretSource> read_secret(const Value& value) {
  if (!value.is_map()) {
    // The secret itself may stand here: the message does not repeat it.
    value.error("must be { env: NAME } or { file: /path }", "a secret never stands in agent.yaml itself");
    return std::nullopt;
  }
  Fields fields(value);
  SecretSource source;
  fields.text("env", source.env);
  read_path(fields, "file", source.file);
  fields.finish();
  if (value.node().entries.empty() || (!source.env.empty() && !source.file.empty())) {
    value.error("must have exactly one of `env` and `file`");
  }
  return source;
}

std::optional<WebhookSettings> read_webhook(const Value& value) {
  Fields fields(value);
  WebhookSettings webhook;
  if (auto listen = fields.require("listen", "e.g. listen: 127.0.0.1:9010")) read_listen(*listen, webhook);
  if (auto path = fields.find("path")) {
    auto text = path->filled_text();
    if (text && check_url_path(*path, *text)) webhook.path = std::move(*text);
  }
  auto secrets = fields.require("secrets", "e.g. secrets: [ { env: GITHUB_WEBHOOK_SECRET } ]");
  if (secrets) {
    for (const auto& item : secrets->items()) {
      if (auto source = read_secret(item)) webhook.secrets.push_back(std::move(*source));
    }
    if (secrets->is_list() && secrets->node().items.empty()) {
      secrets->error("is empty", "without a secret anybody could deploy: e.g. [ { env: GITHUB_WEBHOOK_SECRET } ]");
    }
  }
  fields.finish();
  return webhook;
}

void read_poll(const Value& value, milliseconds& poll) {
  const auto every = value.duration(milliseconds(0), day);
  if (!every) return;
  if (*every > milliseconds(0) && *every < poll_least) {
    value.error("must be at least 1s, or 0 for never", "GitHub answers a token 5,000 times an hour");
    return;
  }
  poll = *every;
}

/// "https://host[:port][/path]"
void read_github_api(const Value& value, std::string& api) {
  auto text = value.filled_text();
  if (!text || !check_printable(value, *text)) return;
  constexpr std::string_view scheme = "https://";
  const auto plain = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view("-._~:/").find(c) != std::string_view::npos;
  };
  const auto host = std::string_view(*text).substr(std::min(scheme.size(), text->size()));
  if (!text->starts_with(scheme) || host.empty() || host.front() == '/' ||
      !std::all_of(host.begin(), host.end(), plain)) {
    value.error("must be an https:// address without user, query and blanks",
                "https://api.github.com, or https://HOST/api/v3 of a GitHub Enterprise Server");
    return;
  }
  api = std::move(*text);
}

GithubSettings read_github(const Value& value) {
  Fields fields(value);
  GithubSettings github;
  if (auto api = fields.find("api")) read_github_api(*api, github.api);
  if (auto token = fields.require("token", "e.g. token: { env: GITHUB_TOKEN }")) {
    if (auto source = read_secret(*token)) github.token = std::move(*source);
  }
  fields.finish();
  return github;
}

domain::ConfigRepo read_config_repo(const Value& value) {
  Fields fields(value);
  domain::ConfigRepo config;
  if (auto repo = fields.require("repo", "owner/name as GitHub names the repository, e.g. you/infra")) {
    auto text = repo->filled_text();
    if (text && check_repository(*repo, *text)) config.repo = std::move(*text);
  }
  read_branch(fields, config.branch);
  std::filesystem::path folder;
  if (fields.require("folder", "the work tree of it on this host, e.g. /srv/app")) read_path(fields, "folder", folder);
  config.folder = folder.string();
  config.git = read_remote(fields);
  if (auto apply = fields.find("apply")) config.rolls_out = apply->one_of({"ask", "rollout"}) == 1U;
  fields.finish();
  return config;
}

NginxSettings read_nginx(const Value& value) {
  Fields fields(value);
  NginxSettings nginx;
  if (auto pid = fields.find("pid")) {
    read_path(fields, "pid", nginx.pid_file);
    if (fields.find("container")) pid->error("cannot be used with `container`", "Nginx runs in one of the two places");
  } else if (!fields.find("container")) {
    fields.require("container",
                   "the name of the container that Nginx runs in, e.g. nginx; or `pid` where it runs on this host");
  }
  read_docker_name(fields, "container", nginx.container);
  if (fields.require("upstreams", "the folder on this host that Nginx includes, e.g. /srv/nginx/upstreams")) {
    read_path(fields, "upstreams", nginx.upstreams);
  }
  fields.integer("marker_port", 1, 65535, nginx.marker_port);
  fields.integer("workers_leaving", 1, 10000, nginx.workers_leaving);
  fields.finish();
  return nginx;
}

void read_release(const Value& value, ReleaseSettings& release) {
  Fields fields(value);
  fields.duration("settle", milliseconds(0), hour, release.settle);
  fields.duration("settle_max", milliseconds(0), hour, release.settle_max);
  fields.boolean("atomic", release.atomic);
  fields.finish();
  if (release.settle_max < release.settle) {
    value.error("has a `settle_max` below its `settle`",
                "settle_max bounds how long settle may be prolonged by new events");
  }
}

void read_limits(const Value& value, Limits& limits) {
  Fields fields(value);
  fields.integer("builds", 1, 64, limits.builds);
  fields.integer("pulls", 1, 64, limits.pulls);
  fields.integer("rollouts", 1, 64, limits.rollouts);
  fields.duration("retry", milliseconds(0), hour, limits.retry);
  fields.finish();
}

/// "ghcr.io" or "127.0.0.1:5000", as it stands before the first slash of an image's name.
void read_registry_host(const Value& value, const std::vector<RegistrySettings>& known, std::string& host) {
  auto text = value.filled_text();
  if (!text || !check_printable(value, *text)) return;
  const bool plain = std::ranges::all_of(*text, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view(".-:[]").find(c) != std::string_view::npos;
  });
  if (!plain) {
    value.error("must be a registry's host, and its port where it has one",
                "e.g. ghcr.io, or registry.example.com:5000");
  } else if (*text == "index.docker.io" || *text == "registry-1.docker.io" || *text == "hub.docker.com") {
    value.error("names Docker Hub by another name", "write `docker.io`");
  } else if (std::ranges::any_of(known, [&](const auto& other) { return other.host == *text; })) {
    value.error("names `" + *text + "` a second time", "remove one");
  } else {
    host = std::move(*text);
  }
}

void read_registries(const Value& value, std::vector<RegistrySettings>& registries) {
  for (const auto& item : value.items()) {
    Fields fields(item);
    RegistrySettings registry;
    if (auto host = fields.require("host", "e.g. host: ghcr.io")) read_registry_host(*host, registries, registry.host);
    if (auto name =
            fields.require("username", "the user that the password is of; with a token often any name will do")) {
      if (auto text = name->filled_text(); text && check_printable(*name, *text)) registry.username = std::move(*text);
    }
    if (auto password = fields.require("password", "e.g. password: { env: GHCR_TOKEN }")) {
      if (auto source = read_secret(*password)) registry.password = std::move(*source);
    }
    fields.finish();
    registries.push_back(std::move(registry));
  }
}

void read_disk(const Value& value, DiskSettings& disk) {
  Fields fields(value);
  if (auto keep_free = fields.find("keep_free")) {
    disk.keep_free_bytes = keep_free->size_bytes().value_or(disk.keep_free_bytes);
  }
  fields.finish();
}

void read_memory(const Value& value, MemorySettings& memory) {
  Fields fields(value);
  if (auto keep_free = fields.find("keep_free")) {
    memory.keep_free_bytes = keep_free->size_bytes().value_or(memory.keep_free_bytes);
  }
  if (auto when_low = fields.find("when_low")) memory.waits = when_low->one_of({"wait", "stop"}) != 1U;
  fields.finish();
}

}  // namespace

std::optional<AgentConfig> parse_agent(const std::string& file, const std::string& text, Diagnostics& diagnostics,
                                       Place& services_place) {
  auto document = Document::parse(file, text, diagnostics);
  if (!document) return std::nullopt;
  Value root(document->root(), "", file, diagnostics);
  Fields fields(root);
  AgentConfig agent;
  agent.services = beside(file, agent.services.string());
  read_path(fields, "state", agent.state);
  if (auto socket = fields.find("socket")) read_socket(*socket, agent.socket);
  read_path(fields, "services", agent.services);
  services_place = fields.find("services").value_or(root).place();
  if (auto engine = fields.find("engine")) read_engine(*engine, agent.engine);
  if (fields.require("network", "the Docker network that your containers share, see `docker network ls`")) {
    read_docker_name(fields, "network", agent.network);
  }
  if (auto routing = fields.find("routing")) read_routing(*routing, agent.routing);
  if (!agent.network.empty() && agent.network == agent.routing.network) {
    fields.find("network")->error("is the routing network, too",
                                  "`routing.network` is one of deployctl's own: give it another name");
  }
  if (auto webhook = fields.find("webhook")) agent.webhook = read_webhook(*webhook);
  if (auto poll = fields.find("poll")) read_poll(*poll, agent.poll);
  if (auto github = fields.find("github")) agent.github = read_github(*github);
  if (auto config_repo = fields.find("config_repo")) agent.config_repo = read_config_repo(*config_repo);
  if (auto proxy = fields.find("proxy")) {
    Fields proxy_fields(*proxy);
    if (auto nginx = proxy_fields.require("nginx",
                                          "Nginx is the only proxy there is; where there is none, leave out "
                                          "`proxy`")) {
      agent.nginx = read_nginx(*nginx);
    }
    proxy_fields.finish();
  }
  if (auto release = fields.find("release")) read_release(*release, agent.release);
  if (auto limits = fields.find("limits")) read_limits(*limits, agent.limits);
  if (auto registries = fields.find("registries")) read_registries(*registries, agent.registries);
  read_path(fields, "docker_config", agent.docker_config);
  if (auto disk = fields.find("disk")) read_disk(*disk, agent.disk);
  if (auto memory = fields.find("memory")) read_memory(*memory, agent.memory);
  fields.finish();
  return agent;
}

}  // namespace deploy::config
