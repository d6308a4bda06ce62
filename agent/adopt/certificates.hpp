// When the certificates that Nginx reads end. Pure. Source: RFC 7468 (PEM), RFC 5280, 4.1.2.5 (Validity).
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace deploy::adopt {

/// When the first certificate of a PEM file ends, which is the server's own where a chain follows; nullopt where the
/// text holds none.
std::optional<std::chrono::system_clock::time_point> certificate_end(std::string_view pem);

}  // namespace deploy::adopt
