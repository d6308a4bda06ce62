// Responses as bytes. Pure but for the Date field. Source: RFC 9112.
#pragma once

#include <string>
#include <string_view>

#include "agent/http/message.hpp"

namespace deploy::http {

/// How the client learns where the body ends.
enum class Framing { length, chunked, until_close, no_body };

/// Status line and fields up to the empty line. Fields about framing and the connection are set here and not taken from
/// the response; control characters in values become spaces, so that a value cannot start a field of its own.
std::string response_head(const Response& response, Framing framing, bool keep_alive);

/// One chunk of chunked coding; `part` is not empty, since an empty chunk is the end.
std::string chunk(std::string_view part);

/// Never has a body: 1xx, 204 and 304.
bool bodyless(int status) noexcept;

}  // namespace deploy::http
