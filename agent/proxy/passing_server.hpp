// A server of ours that passes a call from service to service on as it came. Pure text.
// Source: nginx.org, ngx_http_core, ngx_http_proxy, ngx_http_grpc and ngx_http_v2 modules.
#pragma once

#include <string>

namespace deploy::proxy {

enum class Protocol {
  http,            // HTTP/1.1 and what is upgraded from it, such as WebSocket
  grpc,            // HTTP/2 without TLS, on both sides
  grpc_by_listen,  // the same for Nginx before 1.25.1, where HTTP/2 is a parameter of `listen`
};

struct PassingServer {
  std::string listen;       // parameters of `listen`
  std::string name;         // server_name
  std::string callers;      // CIDR: who may call
  std::string destination;  // name of an upstream
};

/// A `server` block.
std::string passing_server(const PassingServer& server, Protocol protocol);

}  // namespace deploy::proxy
