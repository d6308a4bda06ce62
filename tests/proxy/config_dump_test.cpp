#include "agent/proxy/config_dump.hpp"

#include <catch2/catch_test_macros.hpp>
#include <string>

#include "agent/proxy/upstream_file.hpp"

namespace deploy::proxy {
namespace {

using std::chrono::milliseconds;
using Ports = std::set<std::uint16_t>;

ConfigDump dump_of(const std::string& text) {
  return read_dump("# configuration file /etc/nginx/nginx.conf:\n" + text);
}

TEST_CASE("ports of the users' servers are told apart by address") {
  const auto dump = dump_of(R"(
http {
  server { listen 80 default_server; listen [::]:81; }
  server { listen *:8080; listen 127.0.0.1:9000; }
  server { listen 0.0.0.0:8443 ssl; listen unix:/run/a.sock; listen 10.0.0.1; }
  server { listen 127.0.0.1:8080; }  # server { listen 7777; }
  server { location ~ "^/a{2};$" { return 200 "listen 6666;"; } listen 82; }
})");
  CHECK(dump.wildcard_ports == Ports{80, 82, 8080, 8443});
  CHECK(dump.address_ports == Ports{9000});
  CHECK_FALSE(dump.has_own_files);
}

TEST_CASE("a server without listen takes port 80") {
  CHECK(dump_of("http { upstream u { server a:1; } server { server_name a; } }").wildcard_ports == Ports{80});
  CHECK(dump_of("http { upstream u { server a:1; } }").wildcard_ports.empty());
}

TEST_CASE("an upstream is unnamed only where no request can reach it") {
  const auto unnamed = [](const std::string& text, std::set<std::string> upstreams) {
    return read_dump("# configuration file /etc/nginx/nginx.conf:\n" + text, upstreams).unnamed;
  };
  using Names = std::set<std::string>;
  const std::string shop = "http { server { location / { proxy_pass http://shop/a; } } }";
  CHECK(unnamed(shop, {"shop", "front"}) == Names{"front"});
  CHECK(unnamed(shop, {}).empty());
  CHECK(unnamed("http { map $host $to { a Front; } server { location / { grpc_pass grpc://shop; } } }", {"front"})
            .empty());
  // Comments and longer words count: a file that stays for nothing costs nothing.
  CHECK(unnamed("http { } # proxy_pass http://frontend;", {"front"}).empty());
  // What a variable holds is not known here.
  CHECK(unnamed("http { server { location / { proxy_pass http://$to; } } }", {"front"}).empty());
  CHECK(unnamed("http { server { set $to front; proxy_set_header A $to; } }", {"back"}) == Names{"back"});
  // In our own files a name counts for nothing, and a dump without its beginning proves nothing.
  const std::string own =
      "\n# configuration file /etc/nginx/u/front.conf:\n" + std::string(file_header) + "upstream front {}\n";
  CHECK(unnamed(shop + own, {"front"}) == Names{"front"});
  CHECK(read_dump("http { }" + own, {"front"}).unnamed.empty());
}

TEST_CASE("our own files are left out") {
  const auto dump =
      dump_of("http { include u/*.conf; server { listen 80; } }\n# configuration file /etc/nginx/u/deployctl.conf:\n" +
              std::string(file_header) +
              "server { listen 8000; keepalive_min_timeout 9s; }\n\n# configuration file /etc/nginx/x.conf:\n"
              "server { listen 81; }\n");
  CHECK(dump.wildcard_ports == Ports{80, 81});
  CHECK(dump.keepalive_min_timeout == std::nullopt);
  CHECK(dump.has_own_files);
}

TEST_CASE("the largest keepalive_min_timeout counts") {
  CHECK(dump_of("http { keepalive_min_timeout 5s; server { listen 1; keepalive_min_timeout 1500ms; } }")
            .keepalive_min_timeout == milliseconds(5000));
  CHECK(dump_of("http { keepalive_min_timeout 1m30s; }").keepalive_min_timeout == milliseconds(90000));
  CHECK(dump_of("http { keepalive_min_timeout 7; }").keepalive_min_timeout == milliseconds(7000));
  CHECK(dump_of("http { keepalive_min_timeout \"1m 1s\"; }").keepalive_min_timeout == milliseconds(61000));
}

TEST_CASE("a dump that is cut off gives what is there") {
  CHECK(dump_of("http { server { listen 80; location / { return 200 \"abc").wildcard_ports == Ports{80});
  CHECK(dump_of("http { server { listen ${").wildcard_ports.empty());
  CHECK(dump_of("").complete);
  CHECK_FALSE(read_dump("listen 80; }\n# configuration file /etc/nginx/x.conf:\n").complete);
  CHECK(read_dump("").wildcard_ports.empty());
  CHECK(read_dump("# configuration file /etc/nginx").wildcard_ports.empty());
}

TEST_CASE("messages of Nginx may stand anywhere in the dump") {
  const auto dump = read_dump(
      "nginx: [warn] one\n# configuration file /etc/nginx/nginx.conf:\nhttp { server { lis"
      "nginx: [warn] conflicting server name \"a\" on 0.0.0.0:80, ignored\nten 81; } }\nnginx: [warn] three");
  CHECK(dump.complete);
  CHECK(dump.wildcard_ports == Ports{81});
}

TEST_CASE("versions are read from nginx -v") {
  CHECK(read_version("nginx version: nginx/1.22.1\n").number == std::array<int, 3>{1, 22, 1});
  CHECK(read_version("nginx version: nginx/1.30.6 (Debian)\n").text == "nginx/1.30.6");
  CHECK(read_version("nginx version: openresty/1.25.3.1\n").number == std::array<int, 3>{1, 25, 3});
  CHECK(read_version("").number == std::array<int, 3>{0, 0, 0});
  CHECK_FALSE(has_keepalive_min_timeout(read_version("nginx version: nginx/1.27.3")));
  CHECK(has_keepalive_min_timeout(read_version("nginx version: nginx/1.27.4")));
  CHECK(has_keepalive_min_timeout(read_version("nginx version: nginx/1.30.0")));
  CHECK_FALSE(has_http2_directive(read_version("nginx version: nginx/1.25.0")));
  CHECK(has_http2_directive(read_version("nginx version: nginx/1.25.1")));
}

}  // namespace
}  // namespace deploy::proxy
