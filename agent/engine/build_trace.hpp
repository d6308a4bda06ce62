// BuildKit's progress, out of its protobuf and into lines. Source: moby/buildkit api/services/control/control.proto,
// StatusResponse, as the Engine sends it: base64 in the "aux" of messages called "moby.buildkit.trace".
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/ports/container_engine.hpp"

namespace deploy::engine {

/// One instruction of a build, or one step of BuildKit's own.
struct TraceVertex {
  std::string digest;
  std::string name;  // "[2/3] RUN make"
  bool cached = false;
  bool started = false;
  bool completed = false;
  std::string error;
  bool operator==(const TraceVertex&) const = default;
};

/// What a vertex wrote.
struct TraceLog {
  std::string vertex;  // digest
  int stream = 0;      // 1 standard output, 2 standard error
  std::string data;
  bool operator==(const TraceLog&) const = default;
};

struct Trace {
  std::vector<TraceVertex> vertexes;
  std::vector<TraceLog> logs;
};

/// Decodes one StatusResponse; fields that we do not use are skipped. Throws Error(failed) for what is no protobuf.
Trace decode_trace(std::string_view bytes);

/// Turns traces into lines for people and keeps what the failing step wrote last.
class BuildLog {
 public:
  static constexpr std::size_t tail_lines_max = 20;
  static constexpr std::size_t tail_line_bytes_max = 1024;
  static constexpr std::size_t vertexes_max = 10'000;

  explicit BuildLog(ports::OnLog on_log) : on_log_(std::move(on_log)) {}

  void add(const Trace& trace);
  /// Hands out lines that came without an end.
  void finish();

  /// The last lines of the vertex that failed; empty where none did, or it wrote nothing.
  std::vector<std::string> failed_output() const;

 private:
  struct Step {
    bool announced = false;
    bool failed = false;
    std::map<int, std::string> pending;  // per stream, a line that has no end yet
    std::deque<std::string> tail;
  };

  void add_vertex(const TraceVertex& vertex);
  void add_log(const TraceLog& log);
  void emit(Step& step, std::string line);

  ports::OnLog on_log_;
  std::map<std::string, Step> steps_;
};

}  // namespace deploy::engine
