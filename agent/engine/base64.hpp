// Base64. Source: RFC 4648.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace deploy::engine {

/// Section 4. nullopt for what is not base64.
std::optional<std::string> base64_decode(std::string_view text);

/// Section 5, for headers: '-' and '_' in place of '+' and '/', padded.
std::string base64_url(std::string_view bytes);

}  // namespace deploy::engine
