// Proof that GitHub sent a body: HMAC-SHA256 with a shared secret.
// Source: GitHub "Validating webhook deliveries" (X-Hub-Signature-256).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace deploy::webhook {

/// Does `header`, "sha256=" and 64 hexadecimal digits, sign the raw `body` with one of the secrets? More than one
/// secret is active while secrets are rotated. Digests are compared in constant time; a malformed header or an empty
/// secret never matches.
bool signature_matches(std::string_view header, std::string_view body, const std::vector<std::string>& secrets);

}  // namespace deploy::webhook
