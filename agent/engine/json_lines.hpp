// The engine's progress streams: JSON values one after another, each on a line. Source: Engine API v1.41, POST /build.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "agent/engine/docker_json.hpp"

namespace deploy::engine {

class JsonLines {
 public:
  static constexpr std::size_t line_bytes_max = std::size_t{16} << 20;
  using OnValue = std::function<void(const Json& value)>;

  explicit JsonLines(OnValue on_value) : on_value_(std::move(on_value)) {}

  /// Throws Error(failed) for a line that is no JSON object or too long.
  void feed(std::string_view part);
  /// The last line needs no end.
  void finish();

 private:
  void parse(std::string_view line);

  OnValue on_value_;
  std::string pending_;
};

/// The error that a progress stream reports; empty where this value is none.
std::string stream_error(const Json& value);

}  // namespace deploy::engine
