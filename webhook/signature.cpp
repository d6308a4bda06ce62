#include "webhook/signature.hpp"

#include <algorithm>
#include <cctype>

#include "agent/base/text.hpp"

namespace deploy::webhook {

bool signature_matches(std::string_view header, std::string_view body, const std::vector<std::string>& secrets) {
  constexpr std::string_view prefix = "sha256=";
  if (!header.starts_with(prefix)) return false;
  std::string wanted(header.substr(prefix.size()));
  const bool hexadecimal =
      std::all_of(wanted.begin(), wanted.end(), [](unsigned char c) { return std::isxdigit(c) != 0; });
  if (wanted.size() != 64 || !hexadecimal) return false;
  std::transform(wanted.begin(), wanted.end(), wanted.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  bool matches = false;
  for (const auto& secret : secrets) {
    // Anybody can sign with an empty secret. All others are tried, so that the time does not tell which one matched.
    if (!secret.empty() && equal_in_constant_time(hmac_sha256_hex(secret, body), wanted)) matches = true;
  }
  return matches;
}

}  // namespace deploy::webhook
