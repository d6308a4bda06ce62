#include "agent/engine/build_trace.hpp"

#include <utility>

#include "agent/base/error.hpp"

namespace deploy::engine {

namespace {

/// Reads the fields of one protobuf message. Source: protobuf.dev, "Encoding".
class ProtoReader {
 public:
  explicit ProtoReader(std::string_view bytes) : rest_(bytes) {}

  /// Goes to the next field; false at the end.
  bool next() {
    if (rest_.empty()) return false;
    const auto tag = take_varint();
    number_ = tag >> 3;
    bytes_ = {};
    value_ = 0;
    switch (tag & 7) {
      case 0:
        value_ = take_varint();
        break;
      case 1:
        take_bytes(8);
        break;
      case 2:
        bytes_ = take_bytes(take_varint());
        break;
      case 5:
        take_bytes(4);
        break;
      default:
        malformed();
    }
    return true;
  }

  std::uint64_t number() const { return number_; }
  std::uint64_t value() const { return value_; }
  std::string_view bytes() const { return bytes_; }
  std::string text() const { return std::string(bytes_); }

 private:
  [[noreturn]] static void malformed() {
    throw Error(ErrorKind::failed, "the engine's build trace is not valid protobuf");
  }

  std::uint64_t take_varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) malformed();
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    malformed();
  }

  std::string_view take_bytes(std::uint64_t count) {
    if (count > rest_.size()) malformed();
    const auto taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }

  std::string_view rest_;
  std::uint64_t number_ = 0;
  std::uint64_t value_ = 0;
  std::string_view bytes_;
};

TraceVertex decode_vertex(std::string_view bytes) {
  TraceVertex vertex;
  for (ProtoReader field(bytes); field.next();) {
    switch (field.number()) {
      case 1:
        vertex.digest = field.text();
        break;
      case 3:
        vertex.name = field.text();
        break;
      case 4:
        vertex.cached = field.value() != 0;
        break;
      case 5:
        vertex.started = true;
        break;
      case 6:
        vertex.completed = true;
        break;
      case 7:
        vertex.error = field.text();
        break;
      default:
        break;
    }
  }
  return vertex;
}

TraceLog decode_log(std::string_view bytes) {
  TraceLog log;
  for (ProtoReader field(bytes); field.next();) {
    switch (field.number()) {
      case 1:
        log.vertex = field.text();
        break;
      case 3:
        log.stream = static_cast<int>(field.value() & 3);
        break;
      case 4:
        log.data = field.text();
        break;
      default:
        break;
    }
  }
  return log;
}

}  // namespace

Trace decode_trace(std::string_view bytes) {
  Trace trace;
  for (ProtoReader field(bytes); field.next();) {
    if (field.number() == 1) trace.vertexes.push_back(decode_vertex(field.bytes()));
    if (field.number() == 3) trace.logs.push_back(decode_log(field.bytes()));
  }
  return trace;
}

void BuildLog::add(const Trace& trace) {
  for (const auto& vertex : trace.vertexes) add_vertex(vertex);
  for (const auto& log : trace.logs) add_log(log);
}

void BuildLog::add_vertex(const TraceVertex& vertex) {
  if (steps_.size() >= vertexes_max && !steps_.contains(vertex.digest)) return;
  auto& step = steps_[vertex.digest];
  step.failed = step.failed || !vertex.error.empty();
  // BuildKit's own steps ("[internal] load …", "copy /context /") say nothing to the users.
  const bool shown = vertex.name.starts_with('[') && !vertex.name.starts_with("[internal]");
  if (shown && !step.announced && (vertex.started || vertex.cached)) {
    step.announced = true;
    on_log_(vertex.cached ? vertex.name + " (cached)" : vertex.name);
  }
  if (vertex.completed) {
    for (auto& [stream, line] : step.pending) {
      if (!line.empty()) emit(step, std::exchange(line, {}));
    }
  }
}

void BuildLog::add_log(const TraceLog& log) {
  if (steps_.size() >= vertexes_max && !steps_.contains(log.vertex)) return;
  auto& step = steps_[log.vertex];
  auto& pending = step.pending[log.stream];
  std::string_view rest = log.data;
  while (!rest.empty()) {
    const auto end = rest.find('\n');
    pending += rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    const bool complete = end != std::string_view::npos;
    if (complete || pending.size() >= 64 * tail_line_bytes_max) emit(step, std::exchange(pending, {}));
  }
}

void BuildLog::emit(Step& step, std::string line) {
  if (line.ends_with('\r')) line.pop_back();
  on_log_(line);
  // A progress bar redraws its line with carriage returns: the last state is what counts.
  const auto redrawn = line.rfind('\r');
  if (redrawn != std::string::npos) line.erase(0, redrawn + 1);
  if (line.size() > tail_line_bytes_max) line.resize(tail_line_bytes_max);
  step.tail.push_back(std::move(line));
  if (step.tail.size() > tail_lines_max) step.tail.pop_front();
}

void BuildLog::finish() {
  for (auto& [digest, step] : steps_) {
    for (auto& [stream, line] : step.pending) {
      if (!line.empty()) emit(step, std::exchange(line, {}));
    }
  }
}

std::vector<std::string> BuildLog::failed_output() const {
  for (const auto& [digest, step] : steps_) {
    if (step.failed && !step.tail.empty()) return {step.tail.begin(), step.tail.end()};
  }
  return {};
}

}  // namespace deploy::engine
