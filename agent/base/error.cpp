#include "agent/base/error.hpp"

#include <utility>

namespace deploy {

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
