#include "agent/http/router.hpp"

#include <catch2/catch_all.hpp>
#include <stdexcept>

#include "tests/fakes/run.hpp"

using namespace deploy;
using namespace deploy::http;
using deploy::tests::run;

namespace {

/// Answers with its own name and the parameters it was called with.
Router::Handler named(std::string name) {
  return [name](Request, Params params) -> Task<Response> {
    std::string text = name;
    for (const auto& [key, value] : params) text += " " + key + "=" + value;
    Response response;
    response.body = text;
    co_return response;
  };
}

Response ask(const Router& router, const std::string& method, const std::string& target) {
  Request request;
  request.method = method;
  request.target = target;
  return run(router.handle(request));
}

Router example() {
  Router router;
  router.add("GET", "/", named("root"));
  router.add("GET", "/services", named("list"));
  router.add("GET", "/services/{service}", named("one"));
  router.add("DELETE", "/services/{service}", named("remove"));
  router.add("GET", "/services/{service}/logs/{line}", named("line"));
  router.add("GET", "/services/all", named("all"));
  router.add("POST", "/rollouts", named("start"));
  return router;
}

}  // namespace

TEST_CASE("a request goes to the handler of its method and path") {
  const auto router = example();
  CHECK(ask(router, "GET", "/").body == "root");
  CHECK(ask(router, "GET", "/services").body == "list");
  CHECK(ask(router, "GET", "/services?limit=5").body == "list");
  CHECK(ask(router, "GET", "/services/backend").body == "one service=backend");
  CHECK(ask(router, "DELETE", "/services/backend").body == "remove service=backend");
  CHECK(ask(router, "GET", "/services/backend/logs/7").body == "line line=7 service=backend");
  CHECK(ask(router, "HEAD", "/services").body == "list");
}

TEST_CASE("a literal segment is preferred, whichever route came first") {
  const auto router = example();
  CHECK(ask(router, "GET", "/services/all").body == "all");
  Router reversed;
  reversed.add("GET", "/{any}", named("any"));
  reversed.add("GET", "/all", named("all"));
  CHECK(ask(reversed, "GET", "/all").body == "all");
}

TEST_CASE("parameters are decoded one segment at a time") {
  const auto router = example();
  CHECK(ask(router, "GET", "/services/a%20b").body == "one service=a b");
  CHECK(ask(router, "GET", "/services/a%2Fb").body == "one service=a/b");
  CHECK(ask(router, "GET", "/services/a+b").body == "one service=a+b");
  const auto broken = ask(router, "GET", "/services/a%2");
  CHECK(broken.status == 400);
  CHECK(broken.body ==
        "{\"error\":{\"kind\":\"invalid\",\"message\":\"the path holds a malformed percent escape\"}}\n");
}

TEST_CASE("an unknown path is 404") {
  const auto router = example();
  const auto target =
      GENERATE(as<std::string>{}, "/nothing", "/services/", "/services/backend/", "//", "/services/a/logs", "*");
  const auto response = ask(router, "GET", target);
  CHECK(response.status == 404);
  CHECK(response.header("Content-Type") == "application/json");
  CHECK(response.body == "{\"error\":{\"kind\":\"not_found\",\"message\":\"there is nothing at " + target + "\"}}\n");
}

TEST_CASE("another method is 405 with the methods that are allowed") {
  const auto response = ask(example(), "PUT", "/services/backend");
  CHECK(response.status == 405);
  CHECK(response.header("Allow") == "DELETE, GET");
  CHECK(response.body ==
        "{\"error\":{\"kind\":\"invalid\",\"message\":\"/services/backend takes DELETE, GET and not PUT\"}}\n");
  CHECK(ask(example(), "HEAD", "/rollouts").status == 405);
}

TEST_CASE("a route that is added twice is a bug") {
  auto router = example();
  CHECK_THROWS_AS(router.add("GET", "/services", named("again")), std::logic_error);
}
