#include "agent/api/views.hpp"

#include <catch2/catch_all.hpp>
#include <nlohmann/json.hpp>

#include "agent/http/message.hpp"

using namespace deploy;
using namespace deploy::api;
using nlohmann::json;

namespace {

/// Written out, compared, and read back.
template <class View>
void check_form(const View& view, const char* text) {
  CHECK(json(view) == json::parse(text));
  CHECK(json::parse(text).get<View>() == view);
}

}  // namespace

TEST_CASE("every form has its documented keys") {
  check_form(VersionView{"0.1.0", 1, "20.10.24", "1.41"},
             R"({"version":"0.1.0","api":1,"engine":"20.10.24","engine_api":"1.41"})");
  check_form(AcceptedView{7, {{12, "llm"}}}, R"({"release":7,"rollouts":[{"id":12,"service":"llm"}]})");
  check_form(EventView{3, "t", 7, 12, "llm", "note", "text"},
             R"({"seq":3,"time":"t","release":7,"rollout":12,"service":"llm","kind":"note","text":"text"})");
  check_form(ErrorView{"invalid", "why"}, R"({"error":{"kind":"invalid","message":"why"}})");
  check_form(RolloutRequest{{"llm", "backend"}, "main", ""},
             R"({"services":["llm","backend"],"ref":"main","image":""})");
  check_form(RollbackRequest{"llm", "llm-1", 0, true},
             R"({"service":"llm","to":"llm-1","release":0,"confirmed":true})");
  check_form(PlanView{{PlannedView{"llm", "llm-2", "llm-1", "rolling", {"fetch"}, {"proxy.port: 1 -> 2"}, {"a note"}}},
                      {"another"}},
             R"({"services":[{"service":"llm","live":"llm-2","revision":"llm-1","strategy":"rolling","steps":["fetch"],
                 "differences":["proxy.port: 1 -> 2"],"notes":["a note"]}],"notes":["another"]})");
  check_form(
      StatusView{{ServiceView{"llm", {}, {}, {}, {}, {}}},
                 {"a note"},
                 {"a change"},
                 DeliveryView{"t", "push", "you/llm", "accepted"},
                 {}},
      R"({"services":[{"service":"llm","live":null,"targets":[],"rollout":null,"last":null,"paused":null}],"notes":["a note"],"drift":["a change"],
          "last_delivery":{"received":"t","event":"push","repo":"you/llm","outcome":"accepted"},"config_repo":null})");
  check_form(ConfigRepoView{"you/infra", "main", "/srv/app", {}, ConfigChangeView{3, "c", "k", "applied", "why", "t"}},
             R"({"repo":"you/infra","branch":"main","folder":"/srv/app","now":null,
          "last":{"id":3,"commit":"c","cause":"k","phase":"applied","reason":"why","finished":"t"}})");
  check_form(ServiceView{"llm",
                         LiveView{"r", "c", "i", "t"},
                         {{"n", "a", 80, "live"}},
                         ActiveView{2, "running", "build"},
                         LastView{1, "succeeded", "", "t"},
                         PauseView{"", "why", "who", "t"}},
             R"({"service":"llm","live":{"revision":"r","commit":"c","image":"i","since":"t"},
          "targets":[{"name":"n","address":"a","port":80,"state":"live"}],
          "rollout":{"id":2,"phase":"running","step":"build"},
          "last":{"id":1,"phase":"succeeded","reason":"","finished":"t"},
          "paused":{"service":"","reason":"why","who":"who","since":"t"}})");
  check_form(CancelRequest{"llm", 0}, R"({"service":"llm","rollout":0})");
  check_form(PauseRequest{"llm", "why"}, R"({"service":"llm","reason":"why"})");
  const RolloutView rollout{
      1,   2,           "llm", "deploy", "r", "p", "c", "k",
      "i", "succeeded", "",    {"line"}, "t", "u", "v", {StepView{"build", "build it", "succeeded", 1, "s", "f", "d"}}};
  check_form(
      HistoryView{{rollout}},
      R"({"rollouts":[{"id":1,"release":2,"service":"llm","kind":"deploy","revision":"r","previous":"p","cause":"c",
          "commit":"k","image":"i","phase":"succeeded","reason":"","log":["line"],"created":"t","started":"u","finished":"v",
          "steps":[{"kind":"build","label":"build it","state":"succeeded","attempts":1,"started":"s","finished":"f",
                    "detail":"d"}]}]})");
}

TEST_CASE("errors are read as the HTTP server writes them") {
  const auto response = http::error_response(Error(ErrorKind::conflict, "it is there already"));
  CHECK(json::parse(response.body).get<ErrorView>() == ErrorView{"conflict", "it is there already"});
}

TEST_CASE("a form of another version is read as far as it is known") {
  const auto view = json::parse(R"({"id":4,"phase":null,"colour":"blue"})").get<RolloutView>();
  CHECK(view.id == 4);
  CHECK(view.phase.empty());
}

TEST_CASE("a form of a wrong type is refused") {
  CHECK_THROWS_AS(json::parse(R"({"id":"four"})").get<RolloutView>(), json::exception);
  CHECK_THROWS_AS(json::parse("[]").get<RolloutView>(), json::exception);
  CHECK_THROWS_AS(json::parse("null").get<RolloutView>(), json::exception);
}

TEST_CASE("phases end or do not") {
  CHECK(is_final_phase("succeeded"));
  CHECK(is_final_phase("needs_operator"));
  CHECK(is_final_phase("superseded"));
  CHECK_FALSE(is_final_phase("undoing"));
  CHECK_FALSE(is_final_phase("baking"));
}

TEST_CASE("kinds of errors have names") {
  CHECK(error_kind_name(ErrorKind::not_found) == "not_found");
  CHECK(error_kind_from("disk_full") == ErrorKind::disk_full);
  CHECK(error_kind_from("of a later version") == ErrorKind::failed);
}
