#include "agent/domain/image_reference.hpp"

#include <catch2/catch_all.hpp>

#include "agent/base/error.hpp"
#include "tests/fakes/run.hpp"

using namespace deploy;
using domain::parse_reference;
using domain::Reference;
using tests::error_of;

TEST_CASE("references: an empty tag means latest") {
  const std::string digest = "sha256:" + std::string(64, 'a');
  CHECK(parse_reference("nginx") == Reference{"nginx", "latest", ""});
  CHECK(parse_reference("nginx:") == Reference{"nginx", "latest", ""});
  CHECK(parse_reference("team/app:1.2") == Reference{"team/app", "1.2", ""});
  CHECK(parse_reference("localhost:5000/app") == Reference{"localhost:5000/app", "latest", ""});
  CHECK(parse_reference("localhost:5000/app:x") == Reference{"localhost:5000/app", "x", ""});
  CHECK(parse_reference("app@" + digest) == Reference{"app", "", digest});
  CHECK(to_string(parse_reference("app:1@" + digest)) == "app@" + digest);
  CHECK(to_string(parse_reference("app")) == "app:latest");
  for (const auto* text :
       {"", ":1", "App", "a b", "a//b", "/a", "a/", "app:-x", "app@sha256:xyz", "app@", "app:a:b", "http://a/b"}) {
    INFO(text);
    const auto error = error_of([&] { parse_reference(text); });
    CHECK(error.message() ==
          "\"" + std::string(text) +
              "\" is not an image reference; write it as repository:tag or repository@sha256:digest");
  }
}
