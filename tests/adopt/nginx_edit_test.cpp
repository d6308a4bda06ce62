#include "agent/adopt/nginx_edit.hpp"

#include <catch2/catch_test_macros.hpp>

#include "tests/adopt/nginx_fixture.hpp"

namespace deploy::tests {
namespace {

using adopt::NginxWish;
using Texts = std::vector<std::string>;

/// One service, backend:8080, with the upstream `backend`.
const NginxWish backend_wish{{in_nginx("backend", 8080)}, upstreams_folder};

/// A main file with these lines in http {}, and the include that deployctl wants, so that a test sees its own edits.
std::string http_with(const std::string& inner) {
  return "http {\n" + inner + "    include /etc/nginx/upstreams/*.conf;\n}\n";
}
std::string server_with(const std::string& inner) { return http_with("    server {\n" + inner + "    }\n"); }

/// What is wrong with `backend` in this configuration; checks that nothing was changed.
Texts left(const std::string& main, const NginxWish& wish = backend_wish) {
  NginxFiles files(main);
  const auto edit = files.edit(wish);
  CHECK(edit.files.empty());
  CHECK(files.text() == main);
  CHECK(edit.services.at(0).left);
  auto lines = lines_of(edit.findings);
  REQUIRE(!lines.empty());
  return lines;
}

}  // namespace

TEST_CASE("the Host that the app receives stays the same") {
  const auto location = [](const std::string& inner, const std::string& before = "") {
    return server_with(before + "        location /api/ {\n" + inner + "        }\n");
  };
  const auto pass = [](const std::string& address) { return "            proxy_pass http://" + address + ";\n"; };
  const std::string redirect = "            proxy_redirect http://backend:8080/v1/ /api/;\n";
  const auto edited = [&](const std::string& main) {
    NginxFiles files(main);
    const auto edit = files.edit(backend_wish);
    CHECK(!edit.services.at(0).left);
    return files.text();
  };
  SECTION("no level sets a header: Nginx's own default is written out") {
    CHECK(edited(location(pass("backend:8080/v1/"))) ==
          location(pass("backend/v1/") + "            proxy_set_header Host backend:8080;\n" + redirect));
  }
  SECTION("the location sets Host") {
    const std::string host = "            proxy_set_header host $host;\n";
    CHECK(edited(location(host + pass("backend:8080/v1/"))) == location(host + pass("backend/v1/") + redirect));
  }
  SECTION("the location sets another header only") {
    const std::string other = "            proxy_set_header X-A 1;\n";
    CHECK(edited(location(other + pass("backend:8080/v1/"))) ==
          location(other + pass("backend/v1/") + "            proxy_set_header Host backend:8080;\n" + redirect));
  }
  SECTION("an outer level sets Host, and is inherited") {
    const std::string host = "        proxy_set_header Host $host;\n";
    CHECK(edited(location(pass("backend:8080/v1/"), host)) == location(pass("backend/v1/") + redirect, host));
  }
  SECTION("an outer level sets another header: it is stated again, because the first one here ends inheritance") {
    const std::string outer = "        proxy_set_header   X-Name \"a b; $host\";\n        proxy_set_header X-B '';\n";
    CHECK(edited(location(pass("backend:8080/v1/"), outer)) ==
          location(pass("backend/v1/") +
                       "            proxy_set_header X-Name \"a b; $host\";\n            proxy_set_header X-B '';\n"
                       "            proxy_set_header Host backend:8080;\n" +
                       redirect,
                   outer));
  }
  SECTION("headers that name the address keep what they said") {
    const std::string outer =
        "        proxy_set_header Host $proxy_host;\n        proxy_set_header X-To ${proxy_port}-$proxy_hosts;\n";
    CHECK(edited(location(pass("backend:8080/v1/"), outer)) ==
          location(pass("backend/v1/") +
                       "            proxy_set_header Host backend:8080;\n"
                       "            proxy_set_header X-To 8080-$proxy_hosts;\n" +
                       redirect,
                   outer));
    CHECK(edited(location("            proxy_set_header Host  $proxy_host;\n" + pass("backend:8080/v1/"))) ==
          location("            proxy_set_header Host backend:8080;\n" + pass("backend/v1/") + redirect));
  }
  SECTION("a snippet's header counts as the location's own") {
    NginxFiles files(location(pass("backend:8080/v1/") + "            include proxy_params;\n"));
    files.add("/etc/nginx/proxy_params", "proxy_set_header Host $http_host;\n");
    files.edit(backend_wish);
    CHECK(files.text() == location(pass("backend/v1/") + redirect + "            include proxy_params;\n"));
  }
  SECTION("the port that HTTP has anyway is not in the Host") {
    NginxFiles files(location(pass("web:80")));
    files.edit({{{"backend", "backend", {{"web", 80}}}}, upstreams_folder});
    CHECK(files.text() == location(pass("backend") + "            proxy_set_header Host web;\n"
                                                     "            proxy_redirect http://web:80/ /;\n"));
  }
  SECTION("the location says itself how redirects are rewritten") {
    const std::string host = "            proxy_set_header Host $host;\n";
    for (const std::string own : {"off", "http://a/ /b/"}) {
      const auto line = "            proxy_redirect " + own + ";\n";
      CHECK(edited(location(host + pass("backend:8080/v1/") + line)) == location(host + pass("backend/v1/") + line));
    }
    CHECK(edited(location(host + pass("backend:8080/v1/") + "            proxy_redirect default;\n")) ==
          location(host + pass("backend/v1/") + redirect));
  }
  SECTION("gRPC") {
    NginxFiles files(location("            grpc_pass grpc://backend:8080;\n"));
    files.edit(backend_wish);
    CHECK(files.text() ==
          location("            grpc_pass grpc://backend;\n            grpc_set_header Host backend:8080;\n"));
    NginxFiles bare(location("            grpc_pass backend:8080;\n            grpc_set_header Host x;\n"));
    bare.edit(backend_wish);
    CHECK(bare.text() == location("            grpc_pass backend;\n            grpc_set_header Host x;\n"));
  }
}

TEST_CASE("two blocks of one service with the same settings become one upstream") {
  const std::string rest =
      "    server {\n        location / {\n            proxy_pass http://backend;\n        }\n"
      "        location /ws {\n            proxy_pass http://WS;\n";
  NginxFiles files(
      http_with("    upstream backend { server backend:8080; keepalive 8; }\n"
                "    upstream ws { server backend:8080; keepalive 8; }\n" +
                rest + "        }\n    }\n"));
  const auto edit = files.edit(backend_wish);
  CHECK(files.text() ==
        "http {\n    # upstream backend: deployctl writes it to /etc/nginx/upstreams/backend.conf\n"
        "    # upstream ws: its requests go to the upstream backend, which deployctl writes to "
        "/etc/nginx/upstreams/backend.conf\n"
        "    server {\n        location / {\n            proxy_pass http://backend;\n        }\n"
        "        location /ws {\n            proxy_pass http://backend;\n"
        "            proxy_set_header Host WS;\n            proxy_redirect http://WS/ /;\n        }\n    }\n"
        "    include /etc/nginx/upstreams/*.conf;\n}\n");
  CHECK(edit.services[0].directives == Texts{"keepalive 8"});
}

TEST_CASE("a configuration on one line stays on its line where it can") {
  NginxFiles files(
      "events{} http { upstream backend { server backend:8080; } server { location / { proxy_pass http://backend; } "
      "location /b { proxy_pass http://backend:8080; } } }");
  files.edit(backend_wish);
  CHECK(files.text() ==
        "events{} http { # upstream backend: deployctl writes it to /etc/nginx/upstreams/backend.conf\n"
        "server { location / { proxy_pass http://backend; } location /b { proxy_pass http://backend; proxy_set_header "
        "Host "
        "backend:8080; proxy_redirect http://backend:8080/ /; } } include /etc/nginx/upstreams/*.conf; }");
}

TEST_CASE("the include goes to a file that can be changed") {
  NginxFiles files("http { include conf.d/*.conf; }\n");
  files.add(NginxFiles::main_path, "http { include conf.d/*.conf; }\n", false)
      .add("/etc/nginx/conf.d/default.conf", "server {\n  location / {\n    proxy_pass http://backend:8080/;\n  }\n}");
  const auto edit = files.edit(backend_wish);
  CHECK(files.text() == "http { include conf.d/*.conf; }\n");
  CHECK(files.text("/etc/nginx/conf.d/default.conf") ==
        "server {\n  location / {\n    proxy_pass http://backend/;\n    proxy_set_header Host backend:8080;\n"
        "    proxy_redirect http://backend:8080/ /;\n  }\n}\ninclude /etc/nginx/upstreams/*.conf;\n");
  CHECK(lines_of(edit.findings).back() ==
        "changed /etc/nginx/conf.d/default.conf: ends with `include /etc/nginx/upstreams/*.conf;`");
  CHECK(files.edit(backend_wish).files.empty());

  NginxFiles none("");
  none.add(NginxFiles::main_path, "http { server { location / { proxy_pass http://backend:8080; } } }", false);
  const auto nothing = none.edit(backend_wish);
  CHECK(nothing.files.empty());
  CHECK(
      lines_of(nothing.findings) ==
      Texts{"left /etc/nginx/nginx.conf: backend: would have to be changed, and cannot be from here; mount it from a "
            "file of this host",
            "left /etc/nginx/nginx.conf:1:1: backend: nothing of this service was changed; once the above is done, run "
            "this again",
            "left /etc/nginx/nginx.conf:1:1: `include /etc/nginx/upstreams/*.conf;` is missing in http {}, and no file "
            "that could hold it can be changed from here; add it"});
}

TEST_CASE("what would have to be guessed is named, and nothing of the service is changed") {
  const std::string place = "left /etc/nginx/nginx.conf:";
  const std::string nothing =
      place + "1:1: backend: nothing of this service was changed; once the above is done, run this again";
  const auto block = [](const std::string& inner) {
    return http_with("    upstream backend { " + inner +
                     " }\n    server { location / { proxy_pass http://backend; } }\n");
  };
  SECTION("several servers") {
    CHECK(
        left(block("server backend:8080; server backend-2:8080 backup;")) ==
        Texts{place +
                  "2:5: backend: the upstream backend has 2 servers (backend:8080, backend-2:8080), and deployctl puts "
                  "the targets of one service in the place of one; leave the service's own line only",
              nothing});
  }
  SECTION("parameters and directives") {
    for (const std::string parameter : {"backup", "resolve", "down", "route=a"}) {
      CHECK(left(block("server backend:8080 weight=2 " + parameter + ";")) ==
            Texts{place + "2:5: backend: the upstream backend has the server parameter `" + parameter +
                      "`, which means nothing for targets that come and go; remove it if you can do without",
                  nothing});
    }
    for (const std::string directive : {"zone backend 64k", "hash \"a b\"", "include more"}) {
      auto said = directive;
      std::erase(said, '"');
      CHECK(left(block("server backend:8080; " + directive + ";"))[0] ==
            place + "2:5: backend: the upstream backend holds `" + said +
                "`, which deployctl's file cannot; remove it if you can do without");
    }
  }
  SECTION("names that could end a comment") {
    CHECK(left(http_with("    upstream \"a\\nb\" { server backend:8080; }\n"))[0] ==
          place +
              "2:5: backend: the upstream a\nb has a name that cannot be written into a comment; use letters, digits, "
              "`_`, `.` and `-`");
  }
  SECTION("an upstream of that name leads elsewhere") {
    for (const std::string server : {"unix:/run/app.sock", "other:8080", "backend:9090"}) {
      CHECK(left(block("server " + server + ";")) ==
            Texts{place + "2:5: backend: the upstream backend leads elsewhere; choose another `proxy.upstream`",
                  nothing});
    }
  }
  SECTION("two upstreams of the service with other settings") {
    CHECK(
        left(http_with(
            "    upstream backend { server backend:8080; }\n    upstream ws { server backend:8080; ip_hash; }\n"))[0] ==
        place +
            "3:5: backend: the upstream ws leads to this service with other settings than backend, and deployctl "
            "writes "
            "one upstream for it; give both the same");
  }
  SECTION("an upstream that a variable may name gets another name") {
    CHECK(
        left(http_with("    upstream ws { server backend:8080; }\n"
                       "    server { location / { proxy_pass http://$pool; } }\n"))[0] ==
        place +
            "3:27: backend: `proxy_pass http://$pool` may lead to the upstream ws, which would be replaced by backend; "
            "write the upstream's name in its place");
  }
  SECTION("another port of the upstream's name") {
    CHECK(
        left(server_with("        location /metrics { proxy_pass http://backend:9090; }\n"))[0] ==
        place +
            "3:29: backend: `proxy_pass http://backend:9090` leads to port 9090, which is not the service's, and would "
            "have to share its upstream's name; choose another `proxy.upstream` than backend");
  }
  SECTION("other protocols") {
    CHECK(
        left(server_with("        location / { fastcgi_pass backend:8080; }\n"))[0] ==
        place +
            "3:22: backend: `fastcgi_pass backend:8080` is not HTTP, and deployctl probes and switches HTTP only; take "
            "this service out of deployctl, or serve HTTP");
    CHECK(left(server_with("        location / { proxy_pass https://backend:8080; }\n"))[0] ==
          place +
              "3:22: backend: `proxy_pass https://backend:8080` speaks TLS to the service, which names and checks the "
              "host by the address that would change; pass plain http to it, or leave it out of deployctl");
  }
  SECTION("places that take no header") {
    CHECK(
        left(server_with("        location / { if ($a) { proxy_pass http://backend:8080; } }\n"))[0] ==
        place +
            "3:32: backend: `proxy_pass http://backend:8080`: `if` may not hold `proxy_set_header Host backend:8080;`, "
            "which is needed to keep the headers; write it into the location, and run this again");
    CHECK(
        left(server_with(
            "        location / { proxy_pass http://backend:8080; location /b { proxy_pass http://c:1; } }\n"))[0] ==
        place +
            "3:22: backend: `proxy_pass http://backend:8080`: `proxy_pass http://c:1` at /etc/nginx/nginx.conf:3:68 is "
            "nested in the same location and would inherit the `proxy_redirect` that is needed; move it out, or give "
            "it its own");
  }
  SECTION("files that are not here") {
    CHECK(left(server_with("        location / { include proxy_params; proxy_pass http://backend:8080; }\n"))[0] ==
          place +
              "3:44: backend: `proxy_pass http://backend:8080`: proxy_params could not be read, and may set headers; "
              "make it readable");
  }
  SECTION("words with escapes") {
    CHECK(left(server_with("        location / { proxy_pass \"http://backend:8080/\\\"\"; }\n"))[0] ==
          place +
              "3:22: backend: `proxy_pass http://backend:8080/\"` is written with escapes; write the address without");
  }
  SECTION("no http {} at all") {
    CHECK(
        left("server { listen 80; }") ==
        Texts{
            "left /etc/nginx/nginx.conf: has no http {} block, so nothing in it passes requests on; is it Nginx's main "
            "file?"});
  }
}

TEST_CASE("snippets that several places include are changed only where that is right everywhere") {
  NginxFiles same(server_with("        location /a { include p; }\n        location /b { include p; }\n"));
  same.add("/etc/nginx/p", "proxy_pass http://backend:8080;");
  same.edit(backend_wish);
  CHECK(same.text("/etc/nginx/p") ==
        "proxy_pass http://backend; proxy_set_header Host backend:8080; proxy_redirect http://backend:8080/ /;");

  NginxFiles other(
      server_with("        location /a { include p; }\n"
                  "        location /b { include p; proxy_set_header Host $host; }\n"));
  other.add("/etc/nginx/p", "proxy_pass http://backend:8080;");
  CHECK(
      lines_of(other.edit(backend_wish).findings)[0] ==
      "left /etc/nginx/p:1:1: backend: `proxy_pass http://backend:8080` is included in places with different headers; "
      "write it into each of them");

  NginxFiles host(server_with("        location /a { include h; proxy_pass http://backend:8080; }\n"));
  host.add("/etc/nginx/h", "proxy_set_header Host $proxy_host;");
  CHECK(
      lines_of(host.edit(backend_wish).findings)[0] ==
      "left /etc/nginx/nginx.conf:3:34: backend: `proxy_pass http://backend:8080`: `proxy_set_header Host $proxy_host` "
      "at "
      "/etc/nginx/h:1:1 depends on the address's name, and other locations may include it; write it into the location");
}

TEST_CASE("what is not ours to change is said") {
  NginxFiles files("stream { upstream db { server postgres:5432; } server { listen 9; proxy_pass backend:8080; } }\n" +
                   http_with("    log_format up '$proxy_host $status';\n    include missing.conf;\n    server {\n"
                             "        location /v { proxy_pass $target; }\n"
                             "        location /g { proxy_pass http://grafana:3000; }\n    }\n"
                             "    upstream backend { server backend:8080; }\n    server {\n        location / { "
                             "proxy_pass http://backend; }\n    }\n"));
  const auto edit = files.edit(backend_wish);
  CHECK(
      lines_of(edit.findings) ==
      Texts{
          "changed /etc/nginx/nginx.conf:9:5: backend: the upstream backend (server backend:8080) goes: deployctl "
          "writes it "
          "to /etc/nginx/upstreams/backend.conf",
          "left /etc/nginx/nginx.conf:6:23: `proxy_pass $target` takes its destination from a variable, so nobody can "
          "tell "
          "before a request comes which service it is for; write the upstream's name in its place, or leave it if it "
          "is "
          "not for these services",
          "left /etc/nginx/nginx.conf:1:67: backend: `proxy_pass backend:8080` passes TCP or UDP on, in stream {}; "
          "deployctl switches HTTP only, so these connections end at each rollout",
          "note /etc/nginx/nginx.conf:4:5: /etc/nginx/missing.conf could not be read; whether it has to do with these "
          "services is not known"});

  NginxFiles cached(
      http_with("    log_format up '$proxy_host $status';\n    server {\n        location / {\n"
                "            proxy_cache c;\n            proxy_pass http://backend:8080;\n        }\n    }\n"));
  CHECK(
      lines_of(cached.edit(backend_wish).findings) ==
      Texts{
          "changed /etc/nginx/nginx.conf:6:13: backend: `proxy_pass http://backend:8080` goes to the upstream backend; "
          "`proxy_set_header Host backend:8080; proxy_redirect http://backend:8080/ /;` keeps the headers as they were",
          "note /etc/nginx/nginx.conf:6:13: backend: what Nginx has cached here is fetched once more, because the keys "
          "of "
          "its cache begin with the address",
          "note /etc/nginx/nginx.conf:2:5: `log_format up $proxy_host $status` holds $proxy_host or $proxy_port, which "
          "give the upstream's name and port 80 from now on"});
}

TEST_CASE("a name without a port and without a block is taken for the upstream's") {
  NginxFiles files("http {\n  server { location / { proxy_pass http://backend; } }\n}\n");
  CHECK(lines_of(files.edit(backend_wish).findings)[0] ==
        "note /etc/nginx/nginx.conf:2:25: backend: `proxy_pass http://backend` asks port 80 now, and goes to the "
        "upstream "
        "backend from now on");
  CHECK(files.edit(backend_wish).findings.empty());
}

TEST_CASE("an upstream's name is proposed from what the configuration has") {
  const auto conf = NginxFiles(
                        "http { upstream a { server x:1; server y:1; } upstream deployctl-x { server x:1; } "
                        "upstream api_x { server X:1 weight=2; } upstream z { server z; } }")
                        .read();
  CHECK(adopt::upstream_leading_to(conf, {{"x", 1}}) == "api_x");
  CHECK(adopt::upstream_leading_to(conf, {{"z", 80}}) == "z");
  CHECK(!adopt::upstream_leading_to(conf, {{"y", 1}}));
}

}  // namespace deploy::tests
