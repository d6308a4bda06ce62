#include "agent/engine/log_frames.hpp"

#include <algorithm>

#include "agent/base/error.hpp"

namespace deploy::engine {

void LogFrames::feed(std::string_view bytes) {
  if (tty_) {
    if (!bytes.empty()) on_data_(1, bytes);
    return;
  }
  while (!bytes.empty()) {
    if (payload_left_ > 0) {
      const auto part = bytes.substr(0, payload_left_);
      on_data_(stream_, part);
      payload_left_ -= part.size();
      bytes.remove_prefix(part.size());
      continue;
    }
    header_[header_size_++] = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    if (header_size_ == header_.size()) read_header();
  }
}

void LogFrames::read_header() {
  header_size_ = 0;
  if (header_[0] > 2 || header_[1] != 0 || header_[2] != 0 || header_[3] != 0) {
    throw Error(ErrorKind::failed, "the engine's log stream holds a frame that is not valid");
  }
  // 0 is standard input, which the engine echoes as output.
  stream_ = std::max<int>(header_[0], 1);
  payload_left_ = 0;
  for (std::size_t i = 4; i < header_.size(); ++i) payload_left_ = payload_left_ << 8 | header_[i];
}

void LineSplitter::feed(int stream, std::string_view data) {
  auto& line = pending_.at(static_cast<std::size_t>(stream));
  while (!data.empty()) {
    const auto room = data.substr(0, line_bytes_max - line.size());
    const auto end = room.find('\n');
    line += room.substr(0, end);
    if (end != std::string_view::npos) {
      data.remove_prefix(end + 1);
      if (!line.empty() && line.back() == '\r') line.pop_back();
      emit(line);
    } else {
      data.remove_prefix(room.size());
      if (line.size() == line_bytes_max) emit(line);
    }
  }
}

void LineSplitter::emit(std::string& line) {
  // The line is taken first: what on_line throws must not hand it out twice.
  const std::string complete = std::exchange(line, {});
  on_line_(complete);
}

void LineSplitter::finish() {
  for (auto& line : pending_) {
    if (!line.empty()) emit(line);
  }
}

}  // namespace deploy::engine
