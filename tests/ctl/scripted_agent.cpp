#include "tests/ctl/scripted_agent.hpp"

#include <spdlog/spdlog.h>

#include "agent/base/error.hpp"

namespace deploy::tests {

namespace {

class ScriptedBody : public http::BodySource {
 public:
  explicit ScriptedBody(Answer answer) : answer_(std::move(answer)) {}

  Task<std::optional<std::string>> next() override {
    if (!sent_ && !answer_.body.empty()) {
      sent_ = true;
      co_return answer_.body;
    }
    if (answer_.before_end) answer_.before_end();
    if (answer_.end == BodyEnd::hang) co_await sleep_real(std::chrono::hours(1));
    if (answer_.end == BodyEnd::cut) throw Error(ErrorKind::failed, "the script cuts the stream here");
    co_return std::nullopt;
  }

 private:
  Answer answer_;
  bool sent_ = false;
};

}  // namespace

ScriptedAgent::ScriptedAgent()
    : server_(context_.get_executor(), http::Limits{},
              [this](http::Request request) { return answer(std::move(request)); }) {
  spdlog::set_level(spdlog::level::off);  // streams are cut off on purpose here
  const http::UnixSocketSpec spec{socket(), 0600, ""};
  server_.listen_unix(spec);
  thread_ = std::thread([this] { context_.run(); });
}

ScriptedAgent::~ScriptedAgent() {
  asio::co_spawn(context_, server_.stop(std::chrono::milliseconds(0)), [](std::exception_ptr) {});
  thread_.join();
}

void ScriptedAgent::on(const std::string& request, Answer answer) {
  const std::lock_guard lock(mutex_);
  answers_[request].push_back(std::move(answer));
}

std::vector<std::string> ScriptedAgent::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

Task<http::Response> ScriptedAgent::answer(http::Request request) {
  const std::string asked = request.method + " " + request.target;
  const std::lock_guard lock(mutex_);
  requests_.push_back(request.body.empty() ? asked : asked + " " + request.body);
  auto& answers = answers_[asked];
  if (answers.empty()) co_return http::error_response(500, "failed", "the test has no answer to " + asked);
  Answer answer = answers.front();
  if (answers.size() > 1) answers.pop_front();
  http::Response response;
  response.status = answer.status;
  response.body_source = std::make_shared<ScriptedBody>(std::move(answer));
  co_return response;
}

ctl::Environment test_environment(std::map<std::string, std::string> variables) {
  ctl::Environment environment;
  environment.variable = [variables](const std::string& name) {
    const auto found = variables.find(name);
    return found == variables.end() ? std::string() : found->second;
  };
  environment.local_time = [](std::time_t time) {
    const std::time_t shifted = time + 9 * 3600;
    std::tm local{};
    gmtime_r(&shifted, &local);
    return local;
  };
  environment.reconnect_pause = std::chrono::milliseconds(1);
  environment.unreachable_limit = std::chrono::milliseconds(50);
  return environment;
}

Ran deployctl(std::vector<std::string> arguments, const ctl::Environment& environment) {
  std::vector<const char*> argv{"deployctl"};
  for (const auto& argument : arguments) argv.push_back(argument.c_str());
  std::ostringstream out;
  std::ostringstream err;
  const int code = ctl::run(static_cast<int>(argv.size()), argv.data(), out, err, environment);
  return {code, out.str(), err.str()};
}

}  // namespace deploy::tests
