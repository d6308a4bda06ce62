// What a container wrote, out of the engine's framing and cut into lines. Source: Engine API v1.41, "Attach to a
// container", stream format: frames of an 8-byte header (stream, three zeros, big-endian length) and a payload; no
// frames with a TTY.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace deploy::engine {

/// Takes the frames apart. Payloads are handed on as they come, so a frame of any length needs no memory.
class LogFrames {
 public:
  /// `stream` is 1 for standard output and 2 for standard error; 1 with a TTY.
  using OnData = std::function<void(int stream, std::string_view data)>;

  LogFrames(bool tty, OnData on_data) : tty_(tty), on_data_(std::move(on_data)) {}

  /// Throws Error(failed) where a header is none; nothing after it can be understood.
  void feed(std::string_view bytes);

 private:
  void read_header();

  bool tty_;
  OnData on_data_;
  std::array<unsigned char, 8> header_{};
  std::size_t header_size_ = 0;
  std::size_t payload_left_ = 0;
  int stream_ = 1;
};

/// Joins parts of two streams into lines, each stream for itself. Lines lose their end (LF or CR LF) and are split
/// where they are longer than line_bytes_max.
class LineSplitter {
 public:
  static constexpr std::size_t line_bytes_max = 16 * 1024;
  using OnLine = std::function<void(std::string_view line)>;

  explicit LineSplitter(OnLine on_line) : on_line_(std::move(on_line)) {}

  void feed(int stream, std::string_view data);
  /// Hands out what came without a line end.
  void finish();

 private:
  void emit(std::string& line);

  OnLine on_line_;
  std::array<std::string, 3> pending_;
};

}  // namespace deploy::engine
