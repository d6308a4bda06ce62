// What the engine streams: log frames, lines of JSON, BuildKit's trace, a pull's progress.
#include <catch2/catch_all.hpp>
#include <fstream>
#include <sstream>

#include "agent/base/error.hpp"
#include "agent/engine/base64.hpp"
#include "agent/engine/build_trace.hpp"
#include "agent/engine/json_lines.hpp"
#include "agent/engine/log_frames.hpp"
#include "agent/engine/pull_progress.hpp"
#include "tests/fakes/run.hpp"

namespace deploy::engine {
namespace {

using tests::error_of;
using Lines = std::vector<std::string>;

std::string frame(int stream, const std::string& payload) {
  std::string bytes{static_cast<char>(stream), '\0', '\0', '\0'};
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(payload.size() >> shift & 0xff);
  return bytes + payload;
}

/// The lines of a log that arrives in parts of `step` bytes.
Lines lines_of(const std::string& bytes, std::size_t step, bool tty = false) {
  Lines lines;
  LineSplitter splitter([&lines](std::string_view line) { lines.emplace_back(line); });
  LogFrames frames(tty, [&splitter](int stream, std::string_view data) { splitter.feed(stream, data); });
  for (std::size_t i = 0; i < bytes.size(); i += step) frames.feed(std::string_view(bytes).substr(i, step));
  splitter.finish();
  return lines;
}

TEST_CASE("log frames: lines come whole, however the bytes are cut") {
  const auto bytes =
      frame(1, "one\ntw") + frame(2, "err") + frame(1, "o\n\n") + frame(1, "") + frame(2, "or\r\n") + frame(1, "end");
  for (std::size_t step = 1; step <= bytes.size(); ++step) {
    CHECK(lines_of(bytes, step) == Lines{"one", "two", "", "error", "end"});
  }
}

TEST_CASE("log frames: with a TTY there are none") {
  CHECK(lines_of("one\r\ntwo\r\n$ ", 3, true) == Lines{"one", "two", "$ "});
}

TEST_CASE("log frames: a header that is none is an error") {
  const std::vector<std::string> headers{std::string("\x03\0\0\0\0\0\0\0", 8), std::string("\x01\x01\0\0\0\0\0\0", 8),
                                         "2026-11-"};
  for (const auto& header : headers) {
    const auto error = error_of([&] { lines_of(header, 100); });
    CHECK(error.message() == "the engine's log stream holds a frame that is not valid");
  }
}

TEST_CASE("log frames: a frame that claims 4 GiB needs no memory, and an endless line is cut") {
  std::string bytes = frame(1, "");
  bytes.replace(4, 4, "\xff\xff\xff\xff");
  bytes += std::string(LineSplitter::line_bytes_max * 2 + 5, 'x');
  const auto lines = lines_of(bytes, 1000);
  REQUIRE(lines.size() == 3);
  CHECK(lines[0].size() == LineSplitter::line_bytes_max);
  CHECK(lines[2] == "xxxxx");
}

TEST_CASE("JSON lines: values come whole, the last without an end") {
  std::vector<Json> values;
  JsonLines lines([&values](const Json& value) { values.push_back(value); });
  const std::string text = "{\"a\":1}\r\n\r\n{\"b\":\n";
  CHECK_THROWS_AS(lines.feed(text), Error);
  REQUIRE(values.size() == 1);
  for (const char c : std::string("{\"c\":2}\n{\"d\":3}")) lines.feed(std::string(1, c));
  lines.finish();
  CHECK(values.back() == Json{{"d", 3}});
  CHECK(values.size() == 3);
  const auto error = error_of([&] { lines.feed("[1]\n"); });
  CHECK(error.message() == "the engine's progress holds a line that is no JSON object");
  CHECK_THROWS_AS(lines.feed(std::string(JsonLines::line_bytes_max + 1, ' ')), Error);
}

TEST_CASE("a stream's error is found in both of its forms") {
  CHECK(stream_error(Json::parse(R"({"errorDetail":{"code":1,"message":"m"},"error":"e"})")) == "m");
  CHECK(stream_error(Json::parse(R"({"error":"e"})")) == "e");
  CHECK(stream_error(Json::parse(R"({"status":"fine"})")).empty());
  CHECK(stream_error(Json::parse(R"({"errorDetail":7})")).empty());
}

TEST_CASE("base64 is decoded, and what is none refused") {
  CHECK(base64_decode("") == "");
  CHECK(base64_decode("Zg==") == "f");
  CHECK(base64_decode("Zm8=") == "fo");
  CHECK(base64_decode("Zm9v") == "foo");
  CHECK(base64_decode("Zm9vYmFy") == "foobar");
  CHECK(base64_decode("+/+/") == "\xfb\xff\xbf");
  CHECK(base64_decode("Zg=") == std::nullopt);
  CHECK(base64_decode("Z===") == std::nullopt);
  CHECK(base64_decode("Zm 9") == std::nullopt);
  for (const std::string text : {"", "f", "fo", "foo", "foobar", R"({"username":"a~?","password":"ÿ"})"}) {
    auto encoded = base64_url(text);
    CHECK(encoded.find_first_of("+/") == std::string::npos);
    std::replace(encoded.begin(), encoded.end(), '-', '+');
    std::replace(encoded.begin(), encoded.end(), '_', '/');
    CHECK(base64_decode(encoded) == text);
  }
}

TEST_CASE("build trace: a real failed build becomes lines and the output of what failed") {
  std::ifstream file(DEPLOY_SOURCE_DIR "/tests/engine/data/failed_build.jsonl");
  std::ostringstream text;
  text << file.rdbuf();
  Lines log;
  BuildLog build([&log](std::string_view line) { log.emplace_back(line); });
  std::string error;
  JsonLines lines([&](const Json& value) {
    if (auto message = stream_error(value); !message.empty()) error = message;
    if (value.contains("aux")) build.add(decode_trace(base64_decode(value.at("aux").get<std::string>()).value()));
  });
  lines.feed(text.str());
  build.finish();
  const std::string script = "echo hello from build; echo oops >&2; printf 'no newline'; exit 3";
  CHECK(error == "executor failed running [/bin/sh -c " + script + "]: exit code: 3");
  CHECK(log == Lines{"[1/3] COPY busybox /bin/busybox", "[2/3] RUN [\"/bin/busybox\",\"--install\",\"-s\",\"/bin\"]",
                     "[3/3] RUN " + script, "hello from build", "oops", "no newline"});
  CHECK(build.failed_output() == Lines{"hello from build", "oops", "no newline"});
}

TEST_CASE("build trace: of a long output the last lines are kept, each cut") {
  Lines log;
  BuildLog build([&log](std::string_view line) { log.emplace_back(line); });
  Trace trace;
  trace.vertexes.push_back({"d", "[1/1] RUN make", false, true, false, ""});
  for (int i = 0; i < 30; ++i) trace.logs.push_back({"d", 1, "line " + std::to_string(i) + "\n"});
  trace.logs.push_back({"d", 2, "10%\r50%\r" + std::string(5000, 'x') + "\n"});
  build.add(trace);
  CHECK(build.failed_output().empty());
  build.add({{{"d", "[1/1] RUN make", false, true, true, "exit code: 2"}}, {}});
  const auto output = build.failed_output();
  REQUIRE(output.size() == BuildLog::tail_lines_max);
  CHECK(output.front() == "line 11");
  CHECK(output.back() == std::string(BuildLog::tail_line_bytes_max, 'x'));
  CHECK(log.size() == 32);
}

TEST_CASE("build trace: no prefix of a real trace, and no damage to it, is more than an error") {
  const std::string digest = "sha256:0123";
  // vertex { digest, name, cached, started {}, error }, log { vertex, stream, msg }
  std::string bytes = "\x0a";
  const std::string inner = std::string("\x0a\x0b") + digest + std::string("\x1a\x03RUN\x20\x01\x2a\x00\x3a\x02no", 13);
  bytes += static_cast<char>(inner.size());
  bytes += inner;
  const auto trace = decode_trace(bytes);
  REQUIRE(trace.vertexes.size() == 1);
  CHECK(trace.vertexes[0] == TraceVertex{digest, "RUN", true, true, false, "no"});
  for (std::size_t size = 1; size < bytes.size(); ++size) CHECK_THROWS_AS(decode_trace(bytes.substr(0, size)), Error);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    for (int value = 0; value < 256; ++value) {
      auto damaged = bytes;
      damaged[i] = static_cast<char>(value);
      try {
        decode_trace(damaged);
      } catch (const Error& error) {
        CHECK(error.message() == "the engine's build trace is not valid protobuf");
      }
    }
  }
  CHECK_THROWS_AS(decode_trace(std::string(11, '\xff')), Error);
}

TEST_CASE("pull progress: a line a layer") {
  Lines log;
  PullProgress progress([&log](std::string_view line) { log.emplace_back(line); });
  for (const auto* text : {R"({"status":"Pulling from team/app","id":"1.0"})",
                           R"({"status":"Already exists","id":"aa"})", R"({"status":"Pulling fs layer","id":"bb"})",
                           R"({"status":"Downloading","id":"bb","progressDetail":{"current":1,"total":2}})",
                           R"({"status":"Pull complete","id":"bb"})", R"({"status":"Pull complete","id":"bb"})",
                           R"({"status":"Digest: sha256:1"})", R"({"aux":{}})"}) {
    progress.add(Json::parse(text));
  }
  CHECK(log == Lines{"Pulling from team/app", "layer 1 of 1: aa", "layer 2 of 2: bb", "Digest: sha256:1"});
}

}  // namespace
}  // namespace deploy::engine
