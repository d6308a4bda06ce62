// Runs a coroutine to its end, on an io_context of its own.
#pragma once

#include <boost/asio/io_context.hpp>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include "agent/base/async.hpp"
#include "agent/base/error.hpp"

namespace deploy::tests {

/// Returns the task's result or throws what it threw.
template <class T>
T run(Task<T> task) {
  asio::io_context context;
  std::exception_ptr failure;
  if constexpr (std::is_void_v<T>) {
    asio::co_spawn(context, std::move(task), [&failure](std::exception_ptr cause) { failure = cause; });
    context.run();
    if (failure) std::rethrow_exception(failure);
  } else {
    std::optional<T> result;
    asio::co_spawn(context, detail::as_optional(std::move(task)),
                   [&](std::exception_ptr cause, std::optional<T> value) {
                     failure = cause;
                     result = std::move(value);
                   });
    context.run();
    if (failure) std::rethrow_exception(failure);
    return std::move(*result);
  }
}

/// The error that a call throws; a test fails where it throws none or another type.
template <class F>
Error error_of(F&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  throw std::logic_error("expected an Error, and nothing was thrown");
}

}  // namespace deploy::tests
