// Coroutines: the only place in the project that races, detaches or offloads work.
// Everything here runs on one io_context thread unless it says otherwise.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <exception>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace deploy {

namespace asio = boost::asio;

/// Every coroutine of the project. Parameters of coroutines are taken by value.
template <class T = void>
using Task = asio::awaitable<T>;

/// The error of an operation as a part of its result: auto [error, size] = co_await socket.async_read_some(buffer,
/// as_result).
inline constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

/// A wait that ends the race in first_of: a deadline, a shutdown, a cancel.
using Limit = Task<void>;

namespace detail {
template <class T>
Task<std::optional<T>> as_optional(Task<T> work) {
  co_return std::optional<T>(co_await std::move(work));
}
Task<std::optional<bool>> as_optional(Task<void> work);
}  // namespace detail

/// Runs `work` beside `limit`. Returns the work's result if it finished first and nullopt if the limit did; the other
/// is cancelled and waited for. An exception of the work is thrown; a result that came in spite of the limit is kept.
/// For Task<void> the result is optional<bool>, always true.
template <class T>
auto first_of(Task<T> work, Limit limit) -> Task<std::optional<std::conditional_t<std::is_void_v<T>, bool, T>>> {
  auto executor = co_await asio::this_coro::executor;
  auto group = asio::experimental::make_parallel_group(
      asio::co_spawn(executor, detail::as_optional(std::move(work)), asio::deferred),
      asio::co_spawn(executor, std::move(limit), asio::deferred));
  auto [order, work_error, result, limit_error] =
      co_await group.async_wait(asio::experimental::wait_for_one(), asio::use_awaitable);
  if (order[0] == 0 && work_error) std::rethrow_exception(work_error);
  if (order[0] == 1 && limit_error) std::rethrow_exception(limit_error);
  co_return std::move(result);
}

/// Runs all of them at once and returns when each has ended. The first exception cancels the others and is thrown.
Task<void> all_of(std::vector<Task<void>> tasks);

/// Waits on the real clock. Code that decides about rollouts waits on ports::Clock instead.
Task<void> sleep_real(std::chrono::steady_clock::duration duration);

/// Runs `work` with a deadline on the real clock; throws Error(timed_out) "<what> took longer than <n> s" when it
/// passes.
template <class T>
Task<T> with_deadline(Task<T> work, std::chrono::milliseconds deadline, std::string what);

[[noreturn]] void throw_deadline(std::chrono::milliseconds deadline, const std::string& what);

template <class T>
Task<T> with_deadline(Task<T> work, std::chrono::milliseconds deadline, std::string what) {
  auto result = co_await first_of(std::move(work), sleep_real(deadline));
  if (!result) throw_deadline(deadline, what);
  if constexpr (std::is_void_v<T>) {
    co_return;
  } else {
    co_return std::move(*result);
  }
}

/// Runs a blocking function on the pool; the coroutine goes on where it was. A cancellation waits until the function
/// has ended.
template <class F>
auto offload(asio::thread_pool& pool, F function) -> Task<std::invoke_result_t<F>> {
  using Result = std::invoke_result_t<F>;
  auto body = [](F call) -> Task<Result> { co_return call(); };
  // Without a slot: Asio 1.26 would emit the cancellation on a thread of the pool, at a signal that is gone by then if
  // the function has just ended.
  constexpr auto not_cancelled = [] {
    return asio::bind_cancellation_slot(asio::cancellation_slot(), asio::use_awaitable);
  };
  if constexpr (std::is_void_v<Result>) {
    co_await asio::co_spawn(pool, body(std::move(function)), not_cancelled());
  } else {
    // The wrapper lets Result be a type without a default constructor.
    co_return *co_await asio::co_spawn(pool, detail::as_optional(body(std::move(function))), not_cancelled());
  }
}

/// Coroutines that run beside their owner and end before it: nothing is ever detached without one of these.
/// Not thread-safe. Destroy it only after wait() returned or the io_context was stopped for good.
class TaskGroup {
 public:
  using OnError = std::function<void(const std::string& name, std::exception_ptr cause)>;

  /// `on_error` hears of every exception that escapes a task, except of those that were cancelled.
  TaskGroup(asio::any_io_executor executor, OnError on_error);
  ~TaskGroup();
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  void spawn(std::string name, Task<void> task);

  /// Emits terminal cancellation to every task.
  void cancel();

  /// Returns when no task is left.
  Task<void> wait();

  std::size_t size() const noexcept;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// Wakes everybody who waits, now. A notification without a waiter is lost: check the condition first.
class Signal {
 public:
  explicit Signal(const asio::any_io_executor& executor);
  void notify_all();
  Task<void> wait();

 private:
  asio::steady_timer timer_;
};

/// Lets at most `permits` coroutines of one thread in at a time.
class AsyncSemaphore {
 public:
  AsyncSemaphore(const asio::any_io_executor& executor, int permits) : permits_(permits), released_(executor) {}

  /// A permit that is given back when it goes out of scope.
  class Lock {
   public:
    explicit Lock(AsyncSemaphore* of) : of_(of) {}
    Lock(Lock&& other) noexcept : of_(std::exchange(other.of_, nullptr)) {}
    Lock& operator=(Lock&&) = delete;
    ~Lock();

   private:
    AsyncSemaphore* of_;
  };

  Task<Lock> lock();

 private:
  int permits_;
  Signal released_;
};

class AsyncMutex : public AsyncSemaphore {
 public:
  explicit AsyncMutex(const asio::any_io_executor& executor) : AsyncSemaphore(executor, 1) {}
};

}  // namespace deploy
