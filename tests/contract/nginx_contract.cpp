// proxy::Nginx with a real Nginx in a real container. Needs DEPLOYCTL_TEST_ENGINE, and in DEPLOYCTL_TEST_NGINX_IMAGE an
// image whose command runs Nginx in the foreground with /etc/nginx/nginx.conf.
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/write.hpp>
#include <catch2/catch_all.hpp>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "agent/http/client.hpp"
#include "agent/proxy/nginx.hpp"
#include "agent/proxy/nginx_container.hpp"
#include "agent/proxy/routing.hpp"
#include "tests/contract/engine_world.hpp"
#include "tests/fakes/temp_dir.hpp"

namespace deploy::tests {

using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;

namespace {

using asio::ip::tcp;

class RealClock final : public ports::Clock {
 public:
  std::chrono::system_clock::time_point now() const override { return std::chrono::system_clock::now(); }
  std::chrono::steady_clock::time_point steady_now() const override { return std::chrono::steady_clock::now(); }
  Task<void> sleep_for(std::chrono::milliseconds duration) override { return sleep_real(duration); }
};

/// An app on the host, at the routing network's bridge: it answers each connection's first request with what it got,
/// byte for byte, so that a test sees what Nginx made of it. The behaviour follows the path.
class EchoApp {
 public:
  EchoApp(const std::string& address, std::string name)
      : name_(std::move(name)), acceptor_(context_, {asio::ip::make_address(address), 0}) {
    asio::co_spawn(context_, accept(), [](std::exception_ptr) {});
    thread_ = std::thread([this] { context_.run(); });
  }
  ~EchoApp() {
    context_.stop();
    thread_.join();
  }
  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

 private:
  Task<void> accept() {
    for (;;) {
      auto socket = co_await acceptor_.async_accept(asio::use_awaitable);
      asio::co_spawn(context_, serve(std::move(socket)), [](std::exception_ptr) {});
    }
  }

  Task<void> serve(tcp::socket socket) {
    std::string data;
    const auto head_size =
        co_await asio::async_read_until(socket, asio::dynamic_buffer(data), "\r\n\r\n", asio::use_awaitable);
    const std::string head = data.substr(0, head_size);
    if (head.starts_with("GET /stream")) {
      // The second part is sent only when the first has reached the client, who then sends /go on another connection.
      co_await send(socket, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
      go_.emplace(context_, asio::steady_timer::time_point::max());
      boost::system::error_code ignored;
      co_await go_->async_wait(asio::redirect_error(asio::use_awaitable, ignored));
      co_await send(socket, "6\r\nsecond\r\n0\r\n\r\n");
      co_return;
    }
    if (head.starts_with("GET /go") && go_) go_->cancel();
    if (head.find("Upgrade: websocket") != std::string::npos) {
      co_await send(socket, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n");
      std::string message(4, '\0');
      co_await asio::async_read(socket, asio::buffer(message), asio::use_awaitable);
      co_await send(socket, "echo " + message);
      co_return;
    }
    std::size_t length = 0;
    if (const auto field = head.find("Content-Length: "); field != std::string::npos)
      length = std::stoul(head.substr(field + 16));
    while (data.size() < head_size + length) {
      std::string more(65536, '\0');
      const auto count = co_await socket.async_read_some(asio::buffer(more), asio::use_awaitable);
      data.append(more, 0, count);
    }
    const std::string body = name_ + "\n" + head + "body " + std::to_string(data.size() - head_size);
    co_await send(
        socket,
        "HTTP/1.1 200 OK\r\nServer: echo/1\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nLocation: http://llm:1/x\r\n"
        "Content-Length: " +
            std::to_string(body.size()) + "\r\n\r\n" + body);
  }

  Task<void> send(tcp::socket& socket, std::string text) {
    co_await asio::async_write(socket, asio::buffer(text), asio::use_awaitable);
  }

  std::string name_;
  asio::io_context context_;
  tcp::acceptor acceptor_;
  std::optional<asio::steady_timer> go_;
  std::thread thread_;
};

/// Nginx has keepalive_min_timeout since 1.27.4; these suites of Debian have an earlier one.
bool keeps_idle_connections() {
  const char* suite = std::getenv("DEPLOYCTL_BASE_SUITE");
  return suite == nullptr || (suite != std::string_view("bookworm") && suite != std::string_view("trixie"));
}

/// A real Nginx, its folder of upstreams, and a routing network.
class NginxWorld {
 public:
  explicit NginxWorld(bool included = true) : plan_(world_.subnet() + ".0/24") {
    const char* image = std::getenv("DEPLOYCTL_TEST_NGINX_IMAGE");
    if (image == nullptr) FAIL("DEPLOYCTL_TEST_NGINX_IMAGE is not set: an image with Nginx");
    write_config(included ? "include /etc/nginx/upstreams/*.conf;" : "");
    std::filesystem::create_directory(folder_ / "upstreams");
    std::filesystem::permissions(folder_.path(), std::filesystem::perms::all);
    network_ = world_.prefix() + "routing";
    run(proxy::ensure_network(engine(), network_, plan_.subnet(), {{world_label, world_.prefix()}}));
    ports::ContainerSpec spec;
    spec.name = world_.prefix() + "nginx";
    spec.image = image;
    spec.labels = {{world_label, world_.prefix()}};
    spec.settings.volumes = {(folder_ / "nginx.conf").string() + ":/etc/nginx/nginx.conf:ro",
                             (folder_ / "upstreams").string() + ":/etc/nginx/upstreams:ro"};
    spec.settings.restart = "no";
    id_ = run(engine().create(spec));
    run(engine().start(id_));
    proxy::NginxSettings settings{.upstreams = folder_ / "upstreams",
                                  .marker_port = 19010,
                                  .network = network_,
                                  .address = plan_.nginx_address(),
                                  .subnet = plan_.subnet(),
                                  .aliases = {"llm"},
                                  .proof_deadline = 3000ms};
    place_.emplace(engine(), spec.name);
    nginx.emplace(*place_, clock_, settings, proxy::marker_over_http(settings.address, settings.marker_port));
  }

  ports::ContainerEngine& engine() { return world_.engine(); }
  const std::string& id() const { return id_; }
  std::string name() const { return world_.prefix() + "nginx"; }
  std::string address() const { return plan_.nginx_address(); }
  std::filesystem::path upstreams() const { return folder_ / "upstreams"; }
  std::string bridge() const { return plan_.bridge_address(); }
  void write_config(const std::string& extra) {
    // In place: the file is mounted by itself.
    std::ofstream(folder_ / "nginx.conf") << "error_log stderr;\nevents {}\nhttp {\n"
                                          << (keeps_idle_connections() ? "  keepalive_min_timeout 5s;\n" : "")
                                          << "  proxy_set_header X-User yes;\n  add_header X-User yes;\n  gzip on;\n"
                                             "  server { listen 80; location / { return 200 users; } }\n  " +
                                                 extra + "\n}\n";
  }
  ports::SwitchReport apply(std::vector<ports::Route> routes) { return run(nginx->apply(std::move(routes))); }
  Error error_of_apply(std::vector<ports::Route> routes) {
    return error_of([&] { apply(std::move(routes)); });
  }
  http::Response call(http::Request request, std::uint16_t port = 8000) {
    http::Client client(http::tcp_connector(address(), port));
    return run(client.send(std::move(request), 5000ms, 64 << 20));
  }
  std::string first_line(const std::string& host, std::uint16_t port) {
    http::Request request;
    request.headers["Host"] = host;
    const auto response = call(request, port);
    return response.body.substr(0, response.body.find('\n'));
  }

  std::optional<proxy::Nginx> nginx;

 private:
  RealWorld world_;
  proxy::RoutingPlan plan_;
  TempDir folder_;
  RealClock clock_;
  std::string network_;
  std::string id_;
  std::optional<proxy::NginxContainer> place_;
};

ports::Route route_to(const NginxWorld& world, const EchoApp& app, std::string service = "llm",
                      std::uint16_t port = 8000) {
  ports::Route route;
  route.service = std::move(service);
  route.settings.port = port;
  route.targets = {{world.bridge(), app.port()}};
  return route;
}

std::string read_all(tcp::socket& socket, std::size_t count) {
  std::string text(count, '\0');
  asio::read(socket, asio::buffer(text));
  return text;
}

}  // namespace

TEST_CASE("a real Nginx is switched from one target to another") {
  NginxWorld world;
  EchoApp first(world.bridge(), "first");
  EchoApp second(world.bridge(), "second");
  const auto report = world.apply({route_to(world, first)});
  CHECK(report.changed);
  REQUIRE(report.notes.size() == (keeps_idle_connections() ? 1 : 2));
  CHECK_THAT(report.notes[0], ContainsSubstring("connected the container " + world.name()));
  CHECK(world.first_line("llm:8000", 8000) == "first");
  const auto again = world.apply({route_to(world, second)});
  CHECK(again.notes.empty() == keeps_idle_connections());
  // Proved means: not one answer of the first any more.
  for (int i = 0; i < 50; ++i) CHECK(world.first_line("llm", 8000) == "second");
  CHECK_FALSE(world.apply({route_to(world, second)}).changed);
  CHECK(run(world.nginx->wait_retired_workers(10000ms)));
}

TEST_CASE("a real Nginx that was broken before is told apart from a refused file") {
  NginxWorld world;
  EchoApp app(world.bridge(), "app");
  world.apply({route_to(world, app)});
  auto bad = route_to(world, app);
  bad.settings.upstream = "llm";
  bad.settings.directives = {"kepalive 32"};
  const auto refused = world.error_of_apply({bad});
  CHECK(refused.kind() == ErrorKind::invalid);
  CHECK_THAT(refused.message(),
             ContainsSubstring("refuses the new upstream files; the previous upstream files are back: ") &&
                 ContainsSubstring("unknown directive \"kepalive\""));
  CHECK_FALSE(std::filesystem::exists(world.upstreams() / "llm.conf"));
  CHECK(world.first_line("llm", 8000) == "app");

  world.write_config("include /etc/nginx/upstreams/*.conf; nonsense;");
  const auto broken = world.error_of_apply({});
  CHECK_THAT(broken.message(), ContainsSubstring("was broken before this change, and nothing was switched") &&
                                   ContainsSubstring("unknown directive \"nonsense\""));
  CHECK(world.first_line("llm", 8000) == "app");
}

TEST_CASE("a real Nginx serves with users' files that were changed, or with the earlier ones") {
  NginxWorld world;
  EchoApp app(world.bridge(), "app");
  const std::vector<ports::Route> routes{route_to(world, app)};
  world.apply(routes);
  // nginx.conf is mounted by itself.
  const auto server = [](const std::string& answer) {
    return "include /etc/nginx/upstreams/*.conf; server { listen 81; location / { return 200 " + answer + "; } }";
  };
  const auto change = [&](const std::string& from, const std::string& to) {
    const auto write = [&world](std::string text) -> Task<void> {
      world.write_config(text);
      co_return;
    };
    ports::UsersChange users;
    users.write = [write, to] { return write(to); };
    users.put_back = [write, from] { return write(from); };
    return run(world.nginx->reload_users_files(routes, users));
  };
  CHECK(change("include /etc/nginx/upstreams/*.conf;", server("one")).changed);
  CHECK(change(server("one"), server("two")).changed);
  // Proved means: not one answer of the first any more.
  for (int i = 0; i < 50; ++i) CHECK(world.first_line("users", 81) == "two");
  const auto refused = error_of([&] { change(server("two"), server("three; nonsense")); });
  CHECK_THAT(refused.message(),
             ContainsSubstring("nginx -t in container " + world.name() + " refuses the new files: ") &&
                 ContainsSubstring("unknown directive \"nonsense\" in /etc/nginx/nginx.conf:") &&
                 ContainsSubstring("; the earlier files are back"));
  CHECK(world.first_line("users", 81) == "two");
  // What nginx -t accepts and Nginx does not load: a zone whose key was another before.
  const auto zone = [&](const std::string& key) {
    return "limit_req_zone " + key + " zone=one:1m rate=1000r/s; " + server("four");
  };
  CHECK(change(server("two"), zone("$binary_remote_addr")).changed);
  const auto not_loaded = error_of([&] { change(zone("$binary_remote_addr"), zone("$request_uri")); });
  CHECK(not_loaded.kind() == ErrorKind::timed_out);
  CHECK_THAT(not_loaded.message(), ContainsSubstring("limit_req \"one\" uses the \"$request_uri\" key") &&
                                       ContainsSubstring("; the earlier files are back and loaded"));
  CHECK(world.first_line("users", 81) == "four");
  CHECK(world.first_line("llm:8000", 8000) == "app");
}

TEST_CASE("a folder that a real Nginx does not include is noticed") {
  NginxWorld world(false);
  const auto error = world.error_of_apply({});
  CHECK_THAT(error.message(), ContainsSubstring("does not read the folder " + world.upstreams().string()));
  CHECK(std::filesystem::is_empty(world.upstreams()));
}

TEST_CASE("a call between services arrives as it was sent") {
  NginxWorld world;
  EchoApp app(world.bridge(), "app");
  world.apply({route_to(world, app)});
  http::Request request;
  request.method = "POST";
  request.target = "/v1/../a%20b?x=1";
  request.headers["Host"] = "llm:8000";
  request.headers["under_score"] = "kept";
  request.body = std::string(3 << 20, 'x');
  const auto response = world.call(request);
  CHECK(response.status == 200);
  CHECK_THAT(response.body,
             ContainsSubstring("POST /v1/../a%20b?x=1 HTTP/1.1\r\n") && ContainsSubstring("\r\nHost: llm:8000\r\n") &&
                 ContainsSubstring("\r\nunder_score: kept\r\n") && ContainsSubstring("body 3145728") &&
                 !ContainsSubstring("X-Forwarded") && !ContainsSubstring("X-User") && !ContainsSubstring("X-Real"));
  CHECK(response.header("Server") == "echo/1");
  CHECK(response.header("Date") == "Thu, 01 Jan 1970 00:00:00 GMT");
  CHECK(response.header("Location") == "http://llm:1/x");
  CHECK(response.header("X-User").empty());
}

TEST_CASE("an answer between services is passed on while it is made") {
  NginxWorld world;
  EchoApp app(world.bridge(), "app");
  world.apply({route_to(world, app)});
  http::Client client(http::tcp_connector(world.address(), 8000));
  std::string body;
  bool asked = false;
  http::Request request;
  request.target = "/stream";
  http::OnPart on_part = [&](std::string_view part) {
    body += part;
    if (asked) return;
    // Only now does the app send the rest.
    asked = true;
    http::Request go;
    go.target = "/go";
    world.call(go);
  };
  run(client.stream(request, on_part, 5000ms, 5000ms));
  CHECK(body == "firstsecond");
}

TEST_CASE("a WebSocket between services is opened and carries bytes") {
  NginxWorld world;
  EchoApp app(world.bridge(), "app");
  world.apply({route_to(world, app)});
  asio::io_context context;
  tcp::socket socket(context);
  socket.connect({asio::ip::make_address(world.address()), 8000});
  asio::write(socket, asio::buffer(std::string("GET /ws HTTP/1.1\r\nHost: llm:8000\r\nUpgrade: websocket\r\n"
                                               "Connection: Upgrade\r\nSec-WebSocket-Key: eA==\r\n\r\n")));
  std::string head;
  const auto size = asio::read_until(socket, asio::dynamic_buffer(head), "\r\n\r\n");
  CHECK(head.starts_with("HTTP/1.1 101 "));
  asio::write(socket, asio::buffer(std::string("ping")));
  CHECK(head.substr(size) + read_all(socket, 9 - (head.size() - size)) == "echo ping");
}

TEST_CASE("services share a port by name, and the users' servers keep theirs") {
  NginxWorld world;
  EchoApp llm(world.bridge(), "llm");
  EchoApp backend(world.bridge(), "backend");
  EchoApp frontend(world.bridge(), "frontend");
  world.apply({route_to(world, llm), route_to(world, backend, "backend"), route_to(world, frontend, "frontend", 80)});
  CHECK(world.first_line("llm:8000", 8000) == "llm");
  CHECK(world.first_line("backend:8000", 8000) == "backend");
  CHECK(world.first_line("other:8000", 8000) ==
        "deployctl: several services have port 8000 and none of them is called other");
  CHECK(world.first_line("frontend", 80) == "frontend");
  CHECK(world.first_line("example.org", 80) == "users");
}

TEST_CASE("a missing Nginx container is said") {
  NginxWorld world;
  run(world.engine().remove(world.id()));
  CHECK(world.error_of_apply({}).message() == "there is no Nginx container called " + world.name() +
                                                  "; start it, or correct proxy.nginx.container in agent.yaml");
}

}  // namespace deploy::tests
