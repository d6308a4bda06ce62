// An agent for the command line's tests: answers on a real unix socket what the test wrote down, and remembers what it
// was asked.
#pragma once

#include <boost/asio/io_context.hpp>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "agent/ctl/app.hpp"
#include "agent/http/server.hpp"
#include "tests/fakes/temp_dir.hpp"

namespace deploy::tests {

/// What follows the parts of a streamed body.
enum class BodyEnd { complete, cut, hang };

struct Answer {
  int status = 200;
  std::string body;
  BodyEnd end = BodyEnd::complete;
  std::function<void()> before_end;  // called when the body has been sent
};

class ScriptedAgent {
 public:
  ScriptedAgent();
  /// Stops the server and waits for its thread.
  ~ScriptedAgent();

  /// The answer to "GET /v1/status" and the like, query included. Several answers to one request are given in turn, and
  /// the last of them again and again. What was not written down is answered 500.
  void on(const std::string& request, Answer answer);
  void on(const std::string& request, const nlohmann::json& body) { on(request, Answer{200, body.dump(), {}, {}}); }

  std::string socket() const { return folder_ / "deployd.sock"; }
  /// "GET /v1/status", followed by a space and the body where there is one.
  std::vector<std::string> requests() const;

 private:
  Task<http::Response> answer(http::Request request);

  TempDir folder_;
  mutable std::mutex mutex_;
  std::map<std::string, std::deque<Answer>> answers_;
  std::vector<std::string> requests_;
  asio::io_context context_;
  http::Server server_;
  std::thread thread_;
};

/// What a run of deployctl left behind.
struct Ran {
  int code = 0;
  std::string out;
  std::string err;
};

/// The time zone of these tests is nine hours ahead of UTC, and neither output is a terminal.
ctl::Environment test_environment(std::map<std::string, std::string> variables = {});

Ran deployctl(std::vector<std::string> arguments, const ctl::Environment& environment = test_environment());

}  // namespace deploy::tests
