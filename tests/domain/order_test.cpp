#include "agent/domain/order.hpp"

#include <catch2/catch_all.hpp>

#include "tests/fakes/run.hpp"

using namespace deploy;
using Names = std::vector<std::string>;

namespace {

domain::Service service(const std::string& name, Names depends_on = {}) {
  domain::Service result;
  result.name = name;
  result.depends_on = std::move(depends_on);
  return result;
}

}  // namespace

TEST_CASE("what a service depends on comes before it, and the rest stays in order") {
  CHECK(domain::dependency_order({}) == Names{});
  CHECK(domain::dependency_order({service("frontend", {"backend"}), service("admin"),
                                  service("backend", {"llm", "postgres"}), service("llm")}) ==
        Names{"llm", "backend", "frontend", "admin"});
  CHECK(domain::dependency_order({service("a", {"b", "c"}), service("b", {"d"}), service("c", {"d"}), service("d")}) ==
        Names{"d", "b", "c", "a"});
}

TEST_CASE("cycles are found once each and named from the first listed") {
  CHECK(domain::dependency_cycles({service("a", {"b"}), service("b")}).empty());
  CHECK(domain::dependency_cycles({service("a", {"a"})}) == std::vector<Names>{{"a", "a"}});
  CHECK(domain::dependency_cycles({service("x", {"b"}), service("a", {"b"}), service("b", {"c"}), service("c", {"a"}),
                                   service("y", {"z"}), service("z", {"y"})}) ==
        std::vector<Names>{{"a", "b", "c", "a"}, {"y", "z", "y"}});
  CHECK(tests::error_of([] {
          domain::dependency_order({service("a", {"b"}), service("b", {"a"})});
        }).message() ==
        "services depend on each other in a circle: a -> b -> a: remove one of these from `depends_on`");
}
