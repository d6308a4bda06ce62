// The editor of nginx.conf with a real Nginx: what the app and the client get through the users' configurations before
// the edit and after it, with the files that deployctl writes, must be the same. Needs what nginx_contract needs.
#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <catch2/catch_all.hpp>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

#include "agent/adopt/nginx_edit.hpp"
#include "agent/base/text.hpp"
#include "agent/http/client.hpp"
#include "agent/proxy/routing.hpp"
#include "agent/proxy/upstream_file.hpp"
#include "tests/contract/engine_world.hpp"
#include "tests/fakes/temp_dir.hpp"

namespace deploy::tests {

using namespace std::chrono_literals;

namespace {

using asio::ip::tcp;

/// An app that answers with the request as it came, and redirects to what it takes its own address for.
class RedirectingApp {
 public:
  explicit RedirectingApp(const std::string& address) : acceptor_(context_, {asio::ip::make_address(address), 0}) {
    asio::co_spawn(context_, accept(), [](std::exception_ptr) {});
    thread_ = std::thread([this] { context_.run(); });
  }
  ~RedirectingApp() {
    context_.stop();
    thread_.join();
  }
  std::string port() const { return std::to_string(acceptor_.local_endpoint().port()); }

 private:
  Task<void> accept() {
    for (;;) {
      auto socket = co_await acceptor_.async_accept(asio::use_awaitable);
      asio::co_spawn(context_, answer(std::move(socket)), [](std::exception_ptr) {});
    }
  }
  static Task<void> answer(tcp::socket socket) {
    std::string head;
    const auto size =
        co_await asio::async_read_until(socket, asio::dynamic_buffer(head), "\r\n\r\n", asio::use_awaitable);
    head.resize(size);
    std::string host;
    for (const auto& line : split_lines(head)) {
      if (line.starts_with("Host: ")) host = line.substr(6);
    }
    const std::string text = "HTTP/1.1 307 Temporary Redirect\r\nConnection: close\r\nLocation: http://" + host +
                             "/api/moved\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n" + head;
    co_await asio::async_write(socket, asio::buffer(text), asio::use_awaitable);
  }

  asio::io_context context_;
  tcp::acceptor acceptor_;
  std::thread thread_;
};

std::string system_conf(const std::string& name) {
  std::ifstream file(std::string(DEPLOY_SOURCE_DIR) + "/tests/adopt/data/nginx/" + name + ".conf", std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

struct EditedSystem {
  std::string name;
  std::vector<std::pair<std::string, int>> services;  // and the ports that its configuration names
};

/// A network with an app on this host's side of it, and Nginx containers that take every service's name for that app.
class EditWorld {
 public:
  EditWorld() : plan_(world_.subnet() + ".0/24") {
    network_ = world_.prefix() + "edit";
    run(proxy::ensure_network(world_.engine(), network_, plan_.subnet(), {{world_label, world_.prefix()}}));
    app_.emplace(plan_.bridge_address());
    std::filesystem::permissions(folder_.path(), std::filesystem::perms::all);
    std::filesystem::create_directory(folder_ / "upstreams");
  }

  /// The system's configuration as this world can run it: no certificates, and the app's port.
  std::string runnable(const EditedSystem& system) const {
    auto text = system_conf(system.name);
    for (const auto& [service, port] : system.services) {
      text = replaced(text, service + ":" + std::to_string(port), service + ":" + app_->port());
    }
    text = replaced(text, "listen 443 ssl;", "listen 81;");
    text = replaced(text, "user  nginx;", "user  www-data;");
    std::string without;
    for (const auto& line : split_lines(text)) {
      if (line.find("ssl_certificate") == std::string::npos) without += line + "\n";
    }
    return without;
  }

  /// What the editor makes of it, and the files that deployctl writes then.
  std::string edit(const std::string& conf, const EditedSystem& system) {
    return edit(conf, system, static_cast<std::uint16_t>(std::stoi(app_->port())));
  }
  std::string edit(const std::string& conf, const EditedSystem& system, std::uint16_t app_port) {
    config::Diagnostics diagnostics;
    const auto read = adopt::NginxConf::read({"/etc/nginx/nginx.conf", conf, true}, find_none, diagnostics);
    if (!read) throw std::logic_error(diagnostics.render());
    adopt::NginxWish wish{{}, "/etc/nginx/upstreams"};
    for (const auto& [service, port] : system.services) {
      const std::vector<adopt::NginxAddress> addresses{{service, app_port}};
      wish.services.push_back({service, adopt::upstream_leading_to(*read, addresses).value_or(service), addresses});
    }
    const auto edit = adopt::edit_nginx_conf(*read, wish);
    REQUIRE(edit.files.size() == 1);
    proxy::UpstreamFilesInput input;
    input.generation = "1";
    input.marker_port = 19010;
    input.routing_subnet = plan_.subnet();
    input.nginx_address = plan_.nginx_address();
    for (std::size_t i = 0; i < wish.services.size(); ++i) {
      CHECK((edit.services[i].routed && !edit.services[i].left));
      ports::Route route;
      route.service = wish.services[i].service;
      route.settings.upstream = wish.services[i].upstream;
      route.settings.server_parameters = edit.services[i].server_parameters;
      route.settings.directives = edit.services[i].directives;
      route.targets = {{target_address(system), app_port}};
      input.routes.push_back(route);
    }
    for (const auto& [name, text] : proxy::render_upstream_files(input)) {
      std::ofstream(folder_ / "upstreams" / name) << text;
    }
    return edit.files[0].text;
  }

  /// What requests of all kinds get through an Nginx with this configuration.
  std::vector<std::string> answers(const std::string& conf, const EditedSystem& system) {
    std::ofstream(folder_ / "nginx.conf", std::ios::binary) << conf;
    const auto id = run_nginx(system);
    std::vector<std::string> all;
    for (const auto& port : ports_of(conf)) {
      for (const std::string path :
           {"/", "/api", "/api/items/?q=1", "/api/health", "/llm/a", "/mcp/b%20c", "/ai/x/y", "/ws/z", "/health"}) {
        for (const std::string method : {"GET", "POST"}) all.push_back(ask(port, method, path));
      }
    }
    run(world_.engine().remove(id));
    return all;
  }

 private:
  static std::vector<adopt::NginxFile> find_none(const std::string&) { return {}; }

  /// The gRPC app is in Nginx itself.
  std::string target_address(const EditedSystem& system) const {
    return system.name == "grpc" ? "127.0.0.1" : plan_.bridge_address();
  }

  static std::vector<std::uint16_t> ports_of(const std::string& conf) {
    if (conf.find("listen 81;") == std::string::npos) return {80};
    return {80, 81};
  }

  std::string run_nginx(const EditedSystem& system) {
    const char* image = std::getenv("DEPLOYCTL_TEST_NGINX_IMAGE");
    if (image == nullptr) FAIL("DEPLOYCTL_TEST_NGINX_IMAGE is not set: an image with Nginx");
    ports::ContainerSpec spec;
    spec.name = world_.prefix() + "nginx" + std::to_string(++started_);
    spec.image = image;
    spec.labels = {{world_label, world_.prefix()}};
    spec.settings.volumes = {(folder_ / "nginx.conf").string() + ":/etc/nginx/nginx.conf:ro",
                             (folder_ / "upstreams").string() + ":/etc/nginx/upstreams:ro"};
    for (const auto& [service, port] : system.services) {
      spec.settings.extra_hosts.push_back(service + ":" + target_address(system));
    }
    spec.settings.restart = "no";
    spec.network = {network_, plan_.nginx_address(), {}};
    auto id = run(world_.engine().create(spec));
    run(world_.engine().start(id));
    return id;
  }

  /// The whole answer; its fields that differ from call to call left out.
  std::string ask(std::uint16_t port, const std::string& method, const std::string& path) {
    http::Request request;
    request.method = method;
    request.target = path;
    request.headers["Host"] = "users.example:8080";
    request.headers["X-Real-IP"] = "192.0.2.1";
    request.headers["Upgrade"] = "websocket";
    if (method == "POST") request.body = "{}";
    http::Client client(http::tcp_connector(plan_.nginx_address(), port));
    // The first one waits until Nginx listens.
    for (int attempt = 0;; ++attempt) {
      try {
        const auto response = run(client.send(request, 5000ms));
        const auto location = response.headers.find("Location");
        auto body = split_lines(response.body);
        if (!body.empty()) std::sort(body.begin() + 1, body.end());  // the order of header fields means nothing
        std::string text = method + " " + path + " -> " + std::to_string(response.status) + " " +
                           (location == response.headers.end() ? "" : location->second);
        for (const auto& line : body) text += "\n  " + line;
        return text;
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::unreachable || attempt == 100) throw;
        run(sleep_real(50ms));
      }
    }
  }

  RealWorld world_;
  proxy::RoutingPlan plan_;
  TempDir folder_;
  std::string network_;
  std::optional<RedirectingApp> app_;
  int started_ = 0;
};

}  // namespace

TEST_CASE("through a real Nginx, app and client get after the edit what they got before") {
  const auto system = GENERATE(
      EditedSystem{"behindy", {{"frontend", 3000}, {"backend", 8080}, {"llmserver", 8000}}},
      EditedSystem{"dongyang", {{"backend", 8080}, {"frontend", 3000}}},
      EditedSystem{"cowrite", {{"frontend", 3000}, {"core-api", 3000}, {"ai-service", 8000}, {"sync-service", 3000}}},
      EditedSystem{"basechat",
                   {{"frontend", 3000}, {"main-backend", 8000}, {"llm-agent", 8001}, {"mcp-server", 8002}}});
  INFO(system.name);
  EditWorld world;
  const auto before = world.runnable(system);
  const auto wanted = world.answers(before, system);
  const auto after = world.edit(before, system);
  CHECK(after != before);
  const auto got = world.answers(after, system);
  CHECK(got == wanted);
  // The requests did reach the app.
  CHECK(std::ranges::count_if(wanted,
                              [](const auto& answer) { return answer.find(" -> 307 ") != std::string::npos; }) >= 8);
  if (system.name != "basechat") return;
  // And what was added is needed: without it the app's Host and the client's redirects are others.
  for (const std::string added : {"proxy_set_header Host main-backend:", "proxy_redirect http://main-backend:"}) {
    std::string less;
    for (const auto& line : split_lines(after)) {
      if (line.find(added) == std::string::npos) less += line + "\n";
    }
    CHECK(world.answers(less, system) != wanted);
  }
}

TEST_CASE("through a real Nginx, a gRPC app gets the authority that it got before the edit") {
  EditWorld world;
  const EditedSystem system{"grpc", {{"llm", 50051}}};
  // The app is another server of the same Nginx, which answers with what it got.
  const std::string before =
      "events {}\nhttp {\n  server {\n    listen 50051 http2;\n    location / { return 200 \"$http_host "
      "$request_uri\"; }\n  "
      "}\n  server {\n    listen 80;\n    location / {\n      grpc_pass grpc://llm:50051;\n    }\n    location /api {\n"
      "      grpc_pass llm:50051;\n      grpc_set_header X-A b;\n    }\n  }\n}\n";
  const auto wanted = world.answers(before, system);
  CHECK(wanted.front() == "GET / -> 200 \n  llm:50051 /");
  const auto after = world.edit(before, system, 50051);
  CHECK(world.answers(after, system) == wanted);
  CHECK(world.answers(replaced(after, "grpc_set_header Host llm:50051;", ""), system) != wanted);
}

}  // namespace deploy::tests
