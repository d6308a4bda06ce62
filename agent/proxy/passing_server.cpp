#include "agent/proxy/passing_server.hpp"

#include <fmt/format.h>

#include <string_view>

namespace deploy::proxy {

namespace {

/// What ends in "off" undoes what http {} may have set.
constexpr std::string_view common_settings = R"(    deny all;
    auth_basic off;
    access_log off;
    # Requests: any header, any length, passed on while they arrive.
    underscores_in_headers on;
    ignore_invalid_headers off;
    large_client_header_buffers 8 64k;
    client_max_body_size 0;
    client_body_timeout 1h;
    keepalive_timeout 1h;
    keepalive_requests 1000000;
    send_timeout 1h;
    gzip off;
    charset off;
    expires off;
    limit_rate 0;
    # One of ours keeps those of http {} from being inherited; so does each X-Deployctl-None.
    add_header X-Deployctl-None "";
    error_page 599 /;
)";

constexpr std::string_view http_settings = R"(    proxy_request_buffering off;
    proxy_http_version 1.1;
    proxy_set_header Host $http_host;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $deployctl_connection;
    proxy_connect_timeout 5s;
    proxy_send_timeout 1h;
    proxy_ignore_client_abort off;
    # Another target is tried only where no connection came about, or for a request that may be repeated.
    proxy_next_upstream error timeout;
    proxy_next_upstream_timeout 30s;
    proxy_next_upstream_tries 0;
    # Answers: as they are, at once.
    proxy_buffering off;
    proxy_buffer_size 32k;
    proxy_buffers 8 32k;
    proxy_busy_buffers_size 64k;
    proxy_cache off;
    proxy_store off;
    proxy_read_timeout 1h;
    proxy_redirect off;
    proxy_cookie_domain off;
    proxy_cookie_path off;
    proxy_intercept_errors off;
    proxy_ignore_headers X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Buffering X-Accel-Charset;
    proxy_pass_header X-Accel-Redirect;
    proxy_pass_header X-Accel-Expires;
    proxy_pass_header X-Accel-Limit-Rate;
    proxy_pass_header X-Accel-Buffering;
    proxy_pass_header X-Accel-Charset;
    proxy_pass_header X-Pad;
    proxy_pass_header Server;
    proxy_pass_header Date;
    proxy_hide_header X-Deployctl-None;
)";

/// Nginx always passes gRPC's requests and answers on while they arrive.
constexpr std::string_view grpc_settings = R"(    grpc_set_header Host $http_host;
    grpc_connect_timeout 5s;
    grpc_send_timeout 1h;
    grpc_read_timeout 1h;
    # Another target is tried only where no connection came about: a call is a POST.
    grpc_next_upstream error timeout;
    grpc_next_upstream_timeout 30s;
    grpc_next_upstream_tries 0;
    grpc_buffer_size 32k;
    grpc_intercept_errors off;
    grpc_ignore_headers X-Accel-Redirect X-Accel-Charset;
    grpc_pass_header X-Accel-Redirect;
    grpc_pass_header X-Accel-Charset;
    grpc_pass_header Server;
    grpc_pass_header Date;
    grpc_hide_header X-Deployctl-None;
)";

}  // namespace

std::string passing_server(const PassingServer& server, Protocol protocol) {
  const bool http = protocol == Protocol::http;
  return fmt::format(
      R"(server {{
    listen {listen}{parameter};
{directive}    server_name {name};
    allow {callers};
{common}{own}    location / {{
        {pass}{destination};
    }}
}}
)",
      fmt::arg("listen", server.listen), fmt::arg("parameter", protocol == Protocol::grpc_by_listen ? " http2" : ""),
      fmt::arg("directive", protocol == Protocol::grpc ? "    http2 on;\n" : ""), fmt::arg("name", server.name),
      fmt::arg("callers", server.callers), fmt::arg("common", common_settings),
      fmt::arg("own", http ? http_settings : grpc_settings),
      fmt::arg("pass", http ? "proxy_pass http://" : "grpc_pass grpc://"), fmt::arg("destination", server.destination));
}

}  // namespace deploy::proxy
