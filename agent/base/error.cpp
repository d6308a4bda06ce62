#include "agent/base/error.hpp"

#include <array>
#include <utility>

namespace deploy {

namespace {

constexpr std::array<std::pair<ErrorKind, std::string_view>, 9> kind_names{{{ErrorKind::failed, "failed"},
                                                                            {ErrorKind::invalid, "invalid"},
                                                                            {ErrorKind::not_found, "not_found"},
                                                                            {ErrorKind::conflict, "conflict"},
                                                                            {ErrorKind::unreachable, "unreachable"},
                                                                            {ErrorKind::timed_out, "timed_out"},
                                                                            {ErrorKind::cancelled, "cancelled"},
                                                                            {ErrorKind::disk_full, "disk_full"},
                                                                            {ErrorKind::in_doubt, "in_doubt"}}};

}  // namespace

std::string error_kind_name(ErrorKind kind) {
  for (const auto& [value, name] : kind_names) {
    if (value == kind) return std::string(name);
  }
  return "failed";
}

ErrorKind error_kind_from(std::string_view wanted) {
  for (const auto& [value, name] : kind_names) {
    if (name == wanted) return value;
  }
  return ErrorKind::failed;
}

Error::Error(ErrorKind kind, std::string message) : kind_(kind), message_(std::move(message)) {}

Error Error::with_context(std::string_view context) const {
  return Error(kind_, std::string(context) + ": " + message_);
}

std::string message_of(const std::exception_ptr& cause) {
  try {
    std::rethrow_exception(cause);
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "an exception that is not a std::exception";
  }
}

ErrorKind kind_of(const std::exception_ptr& cause) noexcept {
  try {
    std::rethrow_exception(cause);
  } catch (const Error& error) {
    return error.kind();
  } catch (...) {
    return ErrorKind::failed;
  }
}

}  // namespace deploy
