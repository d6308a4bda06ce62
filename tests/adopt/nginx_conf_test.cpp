#include "agent/adopt/nginx_conf.hpp"

#include <catch2/catch_test_macros.hpp>

#include "tests/adopt/nginx_fixture.hpp"

namespace deploy::tests {
namespace {

using adopt::NginxAddress;
using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("upstreams, servers and passes are found in the files that they stand in") {
  NginxFiles files("http {\n  include mime.types;\n  include conf.d/*.conf;\n  keepalive_min_timeout 5s;\n}\n");
  files.add("/etc/nginx/conf.d/a.conf", "upstream api {\n  server core-api:3000 weight=2;\n  keepalive 8;\n}\n")
      .add("/etc/nginx/conf.d/b.conf",
           "server {\n  listen 443 ssl;\n  listen [::]:443 ssl;\n  server_name a.example b.example;\n"
           "  location ^~ /api/ {\n    proxy_pass HTTP://api/v1/;\n    include snippets/proxy;\n  }\n"
           "  location /s {\n    set $to x;\n    proxy_pass http://$to;\n  }\n"
           "  location /f { fastcgi_pass unix:/run/php.sock; }\n  location /g { grpc_pass [::1]:50051; }\n}\n")
      .add("/etc/nginx/snippets/proxy", "proxy_set_header Host $host;\n");
  const auto conf = files.read();

  REQUIRE(conf.upstreams().size() == 1);
  const auto& upstream = conf.upstreams()[0];
  CHECK(upstream.name == "api");
  REQUIRE(upstream.servers.size() == 1);
  CHECK(conf.raw_words(*upstream.servers[0], 1) == "core-api:3000 weight=2");
  CHECK(conf.place(*upstream.servers[0]) == "/etc/nginx/conf.d/a.conf:2:3");
  REQUIRE(upstream.others.size() == 1);
  CHECK(conf.raw_words(*upstream.others[0]) == "keepalive 8");

  REQUIRE(conf.servers().size() == 1);
  CHECK(conf.servers()[0].listens == Texts{"443 ssl", "[::]:443 ssl"});
  CHECK(conf.servers()[0].names == Texts{"a.example", "b.example"});

  REQUIRE(conf.passes().size() == 4);
  const auto& pass = conf.passes()[0];
  CHECK(pass.scheme == "http");
  CHECK(pass.address == NginxAddress{"api", 0});
  CHECK(pass.uri == "/v1/");
  CHECK(pass.blocks.size() == 3);
  CHECK(conf.raw_words(*pass.blocks.back()) == "location ^~ /api/");
  CHECK(conf.inside(*pass.blocks.back(), "proxy_set_header").size() == 1);
  CHECK(conf.passes()[1].variables);
  CHECK(conf.passes()[2].address_text.empty());
  CHECK(conf.passes()[3].address == NginxAddress{"[::1]", 50051});

  REQUIRE(conf.in_http("keepalive_min_timeout") != nullptr);
  CHECK(conf.in_http("keepalive_min_timeout")->argument(1) == "5s");
  CHECK(conf.in_http("map") == nullptr);
}

TEST_CASE("addresses are host and port") {
  CHECK(adopt::parse_nginx_address("backend:8080") == NginxAddress{"backend", 8080});
  CHECK(adopt::parse_nginx_address("backend") == NginxAddress{"backend", 0});
  CHECK(adopt::parse_nginx_address("[::1]:80") == NginxAddress{"[::1]", 80});
  for (const auto* none : {"", ":80", "a:", "a:0", "a:65536", "a:80b", "unix:/run/x", "[::1", "a:b:1"}) {
    INFO(none);
    CHECK(!adopt::parse_nginx_address(none));
  }
}

TEST_CASE("what deployctl writes is no part of the users' configuration") {
  NginxFiles files("http { include upstreams/*.conf; upstream backend { server a:1; } }");
  files.add("/etc/nginx/upstreams/backend.conf",
            "# Written by deployctl. Changes made here are lost.\nupstream backend { server 10.0.0.1:1; }\n");
  CHECK(files.read().upstreams().size() == 1);
}

TEST_CASE("a configuration that Nginx would refuse is an error with its place") {
  NginxFiles twice("http {\n  include conf.d/*.conf;\n  upstream Backend { server b:1; }\n}\n");
  twice.add("/etc/nginx/conf.d/a.conf", "# 첫째\nupstream backend { server a:1; }\n");
  CHECK(twice.errors() ==
        "/etc/nginx/nginx.conf:3:3: error: the upstream `Backend` is defined a second time; the first is at "
        "/etc/nginx/conf.d/a.conf:2:1\n"
        "    upstream Backend { server b:1; }\n"
        "    ^\n"
        "  hint: Nginx does not start with both: remove one, or give it another name\n");

  NginxFiles circle("http {\n  include a;\n}\n");
  circle.add("/etc/nginx/a", "include b;").add("/etc/nginx/b", "\n include a;");
  CHECK(circle.errors() ==
        "/etc/nginx/b:2:2: error: includes /etc/nginx/a, which includes this file\n"
        "   include a;\n"
        "   ^\n"
        "  hint: remove one of both\n");

  NginxFiles broken("http { include a; }");
  broken.add("/etc/nginx/a", "server { listen 80 }");
  CHECK(broken.errors() ==
        "/etc/nginx/a:1:10: error: `listen 80` does not end with `;`\n"
        "  server { listen 80 }\n"
        "           ^\n"
        "  hint: add the `;`\n");

  // Each file includes the next one twice: 2^20 times the last.
  NginxFiles bomb("http { include 0; }");
  for (int i = 0; i < 20; ++i) {
    const auto next = "include " + std::to_string(i + 1) + "; ";
    bomb.add("/etc/nginx/" + std::to_string(i), next + next);
  }
  bomb.add("/etc/nginx/20", "a b;");
  CHECK(bomb.errors().find("comes after 200000 others, which no Nginx configuration has") != std::string::npos);
}

}  // namespace deploy::tests
