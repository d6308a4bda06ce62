#include "agent/proxy/upstream_file.hpp"

#include <catch2/catch_test_macros.hpp>
#include <fstream>
#include <sstream>

#include "tests/fakes/run.hpp"

namespace deploy::proxy {
namespace {

ports::Route route(std::string service, std::string upstream, std::uint16_t port,
                   std::vector<ports::Endpoint> targets) {
  ports::Route result;
  result.service = std::move(service);
  result.settings.upstream = std::move(upstream);
  result.settings.port = port;
  result.targets = std::move(targets);
  return result;
}

UpstreamFilesInput input(std::vector<ports::Route> routes) {
  UpstreamFilesInput result;
  result.routes = std::move(routes);
  result.generation = "1700000000001";
  result.marker_port = 19010;
  result.routing_subnet = "10.213.176.0/22";
  result.nginx_address = "10.213.176.2";
  return result;
}

/// Golden files are rewritten with DEPLOY_UPDATE_GOLDEN=1; read the difference before you commit it.
void compare_with_golden(const std::string& name, const std::string& text) {
  const std::string path = std::string(DEPLOY_SOURCE_DIR) + "/tests/proxy/data/" + name;
  if (std::getenv("DEPLOY_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << text;
  std::ifstream file(path);
  std::ostringstream wanted;
  wanted << file.rdbuf();
  CHECK(text == wanted.str());
}

int count(const std::string& text, const std::string& part) {
  int found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST_CASE("a file whose text was changed since it was written is noticed") {
  const std::string text = std::string(file_header) + "upstream backend {\n    server 10.213.176.10:8080;\n}\n";
  CHECK(sealed(text).starts_with(text + "# Unchanged since deployctl wrote it: "));
  CHECK(unsealed(sealed(text)) == text);
  CHECK(unsealed(text) == text);
  CHECK(sealed(sealed(text)) == sealed(text));
  using Names = std::vector<std::string>;
  const auto edited = [&](const std::string& content) {
    return edited_in({{"backend.conf", content}, {"deployctl.conf", sealed(text)}});
  };
  CHECK(edited(sealed(text)).empty());
  CHECK(edited(sealed(text) + "\n") == Names{"backend.conf"});
  CHECK(edited(sealed(text).replace(text.find("8080"), 4, "8081")) == Names{"backend.conf"});
  CHECK(edited(text) == Names{"backend.conf"});
  CHECK(edited(std::string(file_header) + "upstream backend { server 127.0.0.1:1 down; }\n").empty());
  CHECK(edited_in({{"backend.conf", text}}).empty());
}

TEST_CASE("an upstream keeps the user's parameters and directives") {
  auto backend = route("backend", "backend_pool", 8080, {{"10.213.176.10", 8080}, {"10.213.176.11", 8080}});
  backend.settings.server_parameters = "max_fails=3 fail_timeout=10s";
  backend.settings.directives = {"least_conn", "keepalive 32"};
  const auto files = render_upstream_files(input({backend}));
  CHECK(unsealed(files.at("backend_pool.conf")) ==
        "# Written by deployctl. Changes made here are lost.\n"
        "# Service backend, for traffic from outside.\n"
        "upstream backend_pool {\n"
        "    server 10.213.176.10:8080 max_fails=3 fail_timeout=10s;\n"
        "    server 10.213.176.11:8080 max_fails=3 fail_timeout=10s;\n"
        "    least_conn;\n"
        "    keepalive 32;\n"
        "}\n");
}

TEST_CASE("an upstream without targets is one that loads and answers 502") {
  const auto files = render_upstream_files(input({route("backend", "backend", 8080, {})}));
  CHECK(unsealed(files.at("backend.conf")) ==
        "# Written by deployctl. Changes made here are lost.\n"
        "# Service backend, for traffic from outside.\n"
        "upstream backend {\n"
        "    server 127.0.0.1:1 down;  # no target: answered 502\n"
        "}\n");
}

TEST_CASE("an upstream that was renamed stays, with the targets and parameters that its service has now") {
  auto shop = route("frontend", "shop", 80, {{"10.213.176.11", 80}});
  shop.settings.server_parameters = "max_fails=3";
  shop.settings.directives = {"keepalive 32"};
  auto renamed = input({shop});
  renamed.present_upstreams = {{"frontend", "frontend"}, {"front", "frontend"}, {"shop", "frontend"}};
  const auto files = render_upstream_files(renamed);
  CHECK(files.size() == 4);
  CHECK(
      unsealed(files.at("frontend.conf")) ==
      "# Written by deployctl. Changes made here are lost.\n"
      "# Service frontend had this upstream and has the upstream shop now. deployctl removes this file when nothing in "
      "Nginx's configuration names it.\n"
      "upstream frontend {\n"
      "    server 10.213.176.11:80 max_fails=3;\n"
      "    keepalive 32;\n"
      "}\n");
  CHECK(unsealed(files.at("front.conf"))
            .ends_with("upstream front {\n    server 10.213.176.11:80 max_fails=3;\n    keepalive 32;\n}\n"));
  CHECK(unsealed(files.at("shop.conf")) ==
        "# Written by deployctl. Changes made here are lost.\n"
        "# Service frontend, for traffic from outside.\n"
        "upstream shop {\n    server 10.213.176.11:80 max_fails=3;\n    keepalive 32;\n}\n");
}

TEST_CASE("an upstream that was taken from its service stays, with the service's targets") {
  auto inside = input({route("frontend", "", 80, {{"10.213.176.11", 80}})});
  inside.present_upstreams = {{"frontend", "frontend"}};
  CHECK(unsealed(render_upstream_files(inside).at("frontend.conf")) ==
        "# Written by deployctl. Changes made here are lost.\n"
        "# Service frontend had this upstream and has none now. deployctl removes this file when nothing in Nginx's "
        "configuration names it.\n"
        "upstream frontend {\n    server 10.213.176.11:80;\n}\n");
}

TEST_CASE("an upstream whose service has no route stays, without targets") {
  auto former = input({});
  former.present_upstreams = {{"billing", "billing"}, {"shop", ""}};
  const auto files = render_upstream_files(former);
  CHECK(unsealed(files.at("billing.conf")) ==
        "# Written by deployctl. Changes made here are lost.\n"
        "# Service billing had this upstream and gets no traffic any more. deployctl removes this file when nothing in "
        "Nginx's configuration names it.\n"
        "upstream billing {\n"
        "    server 127.0.0.1:1 down;  # no target: answered 502\n"
        "}\n");
  CHECK(unsealed(files.at("shop.conf")) ==
        "# Written by deployctl. Changes made here are lost.\n"
        "# No service in deploy.d has this upstream. deployctl removes this file when nothing in Nginx's configuration "
        "names it.\n"
        "upstream shop {\n"
        "    server 127.0.0.1:1 down;  # no target: answered 502\n"
        "}\n");
}

TEST_CASE("an upstream that another service took is that service's") {
  auto taken = input({route("frontend", "shop", 80, {{"10.213.176.11", 80}}),
                      route("landing", "frontend", 80, {{"10.213.176.12", 80}})});
  taken.present_upstreams = {{"frontend", "frontend"}};
  const auto files = render_upstream_files(taken);
  CHECK(files.at("frontend.conf").find("10.213.176.12:80") != std::string::npos);
  CHECK(files.at("frontend.conf").find("10.213.176.11:80") == std::string::npos);
}

TEST_CASE("which service an upstream belongs to can be read back, in whatever form it was written") {
  using Upstreams = std::map<std::string, std::string>;
  auto all = input({route("frontend", "shop", 80, {}), route("llm", "", 8000, {})});
  all.present_upstreams = {{"front", "frontend"}, {"answers", "llm"}, {"billing", "accounts"}, {"unknown", ""}};
  const Upstreams wanted{
      {"shop", "frontend"}, {"front", "frontend"}, {"answers", "llm"}, {"billing", "accounts"}, {"unknown", ""}};
  const auto files = render_upstream_files(all);
  CHECK(upstreams_in(files) == wanted);
  all.present_upstreams = upstreams_in(files);
  CHECK(render_upstream_files(all) == files);
  CHECK(upstreams_in({{"a.conf", "# Service of somebody else"}, {"deployctl.conf", ""}}) == Upstreams{{"a", ""}});
}

TEST_CASE("the internal file of one service on a port of its own") {
  const auto files = render_upstream_files(input({route("llm", "", 8000, {{"10.213.176.12", 8000}})}));
  CHECK(files.size() == 1);
  compare_with_golden("one_service.conf", files.at("deployctl.conf"));
}

TEST_CASE("the internal file of services that share ports with each other and with the users' servers") {
  auto shared = input({route("backend", "backend", 8080, {{"10.213.176.10", 8080}}), route("llm", "", 8080, {}),
                       route("frontend", "frontend", 80, {{"10.213.176.11", 80}}), route("mailer", "", 0, {})});
  shared.wildcard_ports = {80};
  const auto files = render_upstream_files(shared);
  CHECK(files.size() == 3);
  compare_with_golden("shared_ports.conf", files.at("deployctl.conf"));
}

TEST_CASE("the internal file of a service that is called with gRPC") {
  auto grpc = input({route("greeter", "", 50051, {{"10.213.176.12", 50051}})});
  grpc.routes[0].settings.grpc = true;
  const auto text = render_upstream_files(grpc).at("deployctl.conf");
  compare_with_golden("grpc.conf", text);
  CHECK(count(text, "listen 10.213.176.2:50051 default_server;\n    http2 on;\n") == 1);
  grpc.http2_directive = false;
  const auto earlier = render_upstream_files(grpc).at("deployctl.conf");
  CHECK(count(earlier, "listen 10.213.176.2:50051 default_server http2;\n    server_name greeter;\n") == 1);
  CHECK(count(earlier, "http2") == 1);
}

TEST_CASE("a service that is found by Docker's DNS has no server for calls between services") {
  auto by_name = input({route("queue", "queue", 5000, {{"10.213.176.12", 5000}}), route("greeter", "", 5000, {})});
  by_name.routes[0].settings.dns = true;
  by_name.routes[1].settings.grpc = true;
  CHECK(blocked_services(by_name).empty());
  const auto files = render_upstream_files(by_name);
  CHECK(files.at("queue.conf").find("server 10.213.176.12:5000;") != std::string::npos);
  CHECK(files.at("deployctl.conf").find("queue") == std::string::npos);
  CHECK(count(files.at("deployctl.conf"), "listen 10.213.176.2:5000 default_server;") == 1);
}

TEST_CASE("nginx.conf passes requests on with the directive of the service's protocol") {
  domain::ProxySettings settings;
  settings.upstream = "backend";
  CHECK(pass_directive(settings) == "proxy_pass http://backend;");
  settings.grpc = true;
  CHECK(pass_directive(settings) == "grpc_pass grpc://backend;");
}

TEST_CASE("a service that is called with gRPC has no server on a port that others have, and theirs stay") {
  using Names = std::vector<std::string>;
  auto shared = input({route("greeter", "", 50051, {})});
  shared.routes[0].settings.grpc = true;
  CHECK(blocked_services(shared).empty());
  shared.wildcard_ports = {50051};
  CHECK(blocked_services(shared) == Names{"greeter"});
  CHECK(render_upstream_files(shared).at("deployctl.conf").find("greeter") == std::string::npos);
  shared.wildcard_ports = {};
  shared.routes.push_back(route("llm", "", 50051, {}));
  CHECK(blocked_services(shared) == Names{"greeter"});
  const auto text = render_upstream_files(shared).at("deployctl.conf");
  CHECK(text.find("greeter") == std::string::npos);
  CHECK(count(text, "listen 10.213.176.2:50051 default_server;\n    server_name llm;") == 1);
}

TEST_CASE("an Nginx on this host answers what it has loaded to this host alone") {
  auto on_host = input({route("llm", "", 8000, {})});
  on_host.on_host = true;
  const auto text = render_upstream_files(on_host).at("deployctl.conf");
  CHECK(count(text, "    listen 127.0.0.1:19010;\n    access_log off;\n    allow 127.0.0.1;\n    deny all;\n") == 1);
  CHECK(count(text, "listen ") == 2);  // and takes no port of the host's own addresses
  CHECK(count(text, "listen 10.213.176.2:8000 default_server;") == 1);
}

TEST_CASE("a port is listened on once for every address, and never where the users listen on it") {
  auto all =
      input({route("a", "", 8080, {}), route("b", "", 8080, {}), route("c", "", 80, {}), route("d", "", 9000, {})});
  all.wildcard_ports = {80};
  all.address_ports = {9000};
  const auto text = render_upstream_files(all).at("deployctl.conf");
  CHECK(count(text, "listen 8080;") == 1);
  CHECK(count(text, "listen 80;") == 0);
  CHECK(count(text, "listen 9000;") == 0);
  CHECK(count(text, "listen 10.213.176.2:8080 default_server;") == 1);
  CHECK(count(text, "listen 10.213.176.2:80 default_server;") == 1);
  CHECK(count(text, "listen 10.213.176.2:9000 default_server;") == 1);
}

TEST_CASE("a service without traffic has no server") {
  const auto files = render_upstream_files(input({route("mailer", "", 0, {{"10.213.176.10", 0}})}));
  CHECK(files.size() == 1);
  CHECK(files.at("deployctl.conf").find("mailer") == std::string::npos);
}

TEST_CASE("the targets can be read back") {
  using Endpoints = std::vector<ports::Endpoint>;
  auto all = input({route("backend", "backend", 8080, {{"10.213.176.11", 8080}, {"10.213.176.10", 8080}}),
                    route("frontend", "shop", 80, {{"10.213.176.12", 80}}), route("llm", "", 80, {}),
                    route("mailer", "", 0, {{"10.213.176.13", 0}}), route("old", "old", 80, {})});
  all.routes[0].settings.server_parameters = "max_fails=3 fail_timeout=10s";
  all.wildcard_ports = {80};
  all.present_upstreams = {{"billing", "billing"}, {"front", "frontend"}};
  CHECK(targets_in(render_upstream_files(all)) ==
        Endpoints{{"10.213.176.10", 8080}, {"10.213.176.11", 8080}, {"10.213.176.12", 80}});
  CHECK(targets_in(render_upstream_files(input({}))).empty());
  CHECK(targets_in(FileMap{}).empty());
  // A file that somebody edited, or that was cut off.
  CHECK(targets_in({{"a.conf", "upstream a { server 10.0.0.1:80; server name:80; server 10.0.0.2:8x; server 10.0.0.3;"},
                    {"b.conf", "upstream b { server 10.0.0.4:80"}}) == Endpoints{{"10.0.0.1", 80}, {"10.0.0.4", 80}});
}

TEST_CASE("the generation can be read back") {
  const auto files = render_upstream_files(input({}));
  CHECK(generation_in(files) == "1700000000001");
  CHECK(generation_in(FileMap{}) == std::nullopt);
  CHECK(generation_in(FileMap{{"deployctl.conf", "server {}\n"}}) == std::nullopt);
}

TEST_CASE("what cannot stand in an Nginx file is refused") {
  const auto message = [](ports::Route bad) {
    return tests::error_of([&] { render_upstream_files(input({bad})); }).message();
  };
  CHECK(message(route("a b", "", 80, {})) ==
        "the service name \"a b\" cannot stand in an Nginx file; use letters, digits, '-', '_' and '.'");
  CHECK(message(route("a", "../b", 80, {})) ==
        "the upstream name \"../b\" cannot stand in an Nginx file; use letters, digits, '-', '_' and '.'");
  CHECK(
      message(route("a", "deployctl", 80, {})) ==
      "service a cannot have the upstream name deployctl: the file deployctl.conf is used for calls between services; "
      "choose another name");
  auto injected = route("a", "a", 80, {});
  injected.settings.directives = {"keepalive 1; } server { listen 1"};
  CHECK(message(injected) ==
        "the directive \"keepalive 1; } server { listen 1\" of upstream a must be one Nginx directive's arguments "
        "without '{', "
        "'}', ';', '#' and line ends");
  const auto twice = tests::error_of([] {
    render_upstream_files(input({route("a", "x", 80, {}), route("b", "x", 80, {})}));
  });
  CHECK(twice.message() == "two services have the upstream x; each needs its own");
  CHECK(twice.kind() == ErrorKind::invalid);
}

}  // namespace
}  // namespace deploy::proxy
