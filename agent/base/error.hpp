// The one exception type of the project. Effects that fail throw it; whoever knows more adds context on the way up.
// It is caught in three places only: the step runner, the request handler and main.
#pragma once

#include <exception>
#include <string>
#include <string_view>

namespace deploy {

enum class ErrorKind {
  failed,       // it was tried and did not work; trying again unchanged will not help
  invalid,      // what was asked for makes no sense (a user's input, a broken file)
  not_found,    // the thing named does not exist
  conflict,     // the thing exists already, or is in use
  unreachable,  // the other side could not be reached; may work later
  timed_out,    // the deadline passed
  cancelled,    // somebody asked for it to stop
  disk_full,    // no space left on the device
  in_doubt,     // it failed half-way, and what is in effect now is not known
};

/// The kind's name in the API ("not_found"), and back; an unknown name reads as `failed`.
std::string error_kind_name(ErrorKind kind);
ErrorKind error_kind_from(std::string_view name);

/// What happened, to what, and what to do next, in one message. Messages read as a sentence without a final period.
class Error : public std::exception {
 public:
  Error(ErrorKind kind, std::string message);

  ErrorKind kind() const noexcept { return kind_; }
  const std::string& message() const noexcept { return message_; }
  const char* what() const noexcept override { return message_.c_str(); }

  /// The same error, its message preceded by "context: ".
  Error with_context(std::string_view context) const;

  /// May the same call succeed later without anybody changing anything?
  bool transient() const noexcept { return kind_ == ErrorKind::unreachable || kind_ == ErrorKind::timed_out; }

 private:
  ErrorKind kind_;
  std::string message_;
};

/// The message of any exception; an Error's message as it stands.
std::string message_of(const std::exception_ptr& cause);

/// The kind of any exception; `failed` for what is not an Error.
ErrorKind kind_of(const std::exception_ptr& cause) noexcept;

}  // namespace deploy
