#include "webhook/signature.hpp"

#include <catch2/catch_all.hpp>

#include "agent/base/text.hpp"

using deploy::webhook::signature_matches;

namespace {

// The vector of GitHub's "Validating webhook deliveries".
const std::string documented_secret = "It's a Secret to Everybody";
const std::string body = "Hello, World!";
const std::string signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

}  // namespace

TEST_CASE("GitHub's documented signature is right, in either case of its digits") {
  CHECK(signature_matches(signature, body, {documented_secret}));
  CHECK(signature_matches("sha256=757107EA0EB2509FC211221CCE984B8A37570B6D7586C22C46F4379C8B043E17", body,
                          {documented_secret}));
}

TEST_CASE("any of the active secrets may have signed") {
  CHECK(signature_matches(signature, body, {"the next one", documented_secret}));
  CHECK(signature_matches(signature, body, {documented_secret, "the next one"}));
  CHECK_FALSE(signature_matches(signature, body, {"the next one", "the one after"}));
  CHECK_FALSE(signature_matches(signature, body, {}));
}

TEST_CASE("one changed byte of the body is a wrong signature") {
  CHECK_FALSE(signature_matches(signature, "Hello, World?", {documented_secret}));
  CHECK_FALSE(signature_matches(signature, "Hello, World!\n", {documented_secret}));
  CHECK_FALSE(signature_matches(signature, "", {documented_secret}));
}

TEST_CASE("an empty secret signs nothing") {
  const std::string signed_with_nothing = "sha256=" + deploy::hmac_sha256_hex("", body);
  CHECK_FALSE(signature_matches(signed_with_nothing, body, {""}));
  CHECK_FALSE(signature_matches(signed_with_nothing, body, {"", documented_secret}));
}

TEST_CASE("a malformed signature header is a wrong signature") {
  const auto header = GENERATE(as<std::string>{}, "", "sha256=", "sha256",
                               // without the prefix, with another one, in another case
                               "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
                               "sha1=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
                               "SHA256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
                               // a digit too few, too many, not a digit, space around it
                               "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e1",
                               "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e177",
                               "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e1g",
                               " sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
                               "sha256= 57107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17");
  CAPTURE(header);
  CHECK_FALSE(signature_matches(header, body, {documented_secret}));
}
