// Virtual time: nothing sleeps for real, and a test decides when time passes. One thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/system/system_error.hpp>
#include <chrono>
#include <exception>
#include <map>
#include <optional>
#include <type_traits>
#include <utility>

#include "agent/ports/clock.hpp"

namespace deploy::tests {

class FakeClock final : public ports::Clock {
 public:
  using Duration = std::chrono::steady_clock::duration;

  std::chrono::system_clock::time_point now() const override {
    return std::chrono::system_clock::time_point(std::chrono::hours(24 * 365 * 50)) +
           std::chrono::duration_cast<std::chrono::system_clock::duration>(elapsed_);
  }
  std::chrono::steady_clock::time_point steady_now() const override {
    return std::chrono::steady_clock::time_point(std::chrono::hours(1)) + elapsed_;
  }

  /// Sleepers wake in the order of their times, and of their calls where those are equal.
  Task<void> sleep_for(std::chrono::milliseconds duration) override {
    auto executor = co_await asio::this_coro::executor;
    if (duration <= std::chrono::milliseconds{0}) {
      co_await asio::post(executor, asio::use_awaitable);
      co_return;
    }
    Sleeper sleeper(sleepers_, executor, elapsed_ + duration);
    boost::system::error_code error;
    co_await sleeper.timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
    if (!sleeper.due) throw boost::system::system_error(error ? error : asio::error::operation_aborted);
  }

  Duration elapsed() const noexcept { return elapsed_; }
  std::size_t sleepers() const noexcept { return sleepers_.size(); }

  /// Moves time to the first sleeper's and wakes everybody who is due then; false where nobody sleeps, or nobody before
  /// `latest`. They go on when the io_context runs.
  bool advance_to_next(Duration latest = Duration::max()) {
    if (sleepers_.empty() || sleepers_.begin()->first > latest) return false;
    elapsed_ = sleepers_.begin()->first;
    while (!sleepers_.empty() && sleepers_.begin()->first == elapsed_) {
      Sleeper* sleeper = sleepers_.begin()->second;
      sleeper->wake();
    }
    return true;
  }

  /// Moves time on to `then`, where nobody sleeps until before it.
  void pass_until(Duration then) {
    if (then > elapsed_ && (sleepers_.empty() || sleepers_.begin()->first >= then)) elapsed_ = then;
  }

  /// Lets `duration` pass: runs what is ready, wakes sleepers one time after the other and runs them before the next.
  void advance(asio::io_context& context, Duration duration) {
    const Duration end = elapsed_ + duration;
    do {
      context.restart();
      context.poll();
    } while (advance_to_next(end));
    elapsed_ = end;
  }

 private:
  /// One call of sleep_for; it leaves the others when it wakes, is cancelled, or its coroutine is destroyed.
  struct Sleeper {
    using All = std::multimap<Duration, Sleeper*>;
    Sleeper(All& all, const asio::any_io_executor& executor, Duration until)
        : timer(executor, asio::steady_timer::time_point::max()), all_(all), place_(all.emplace(until, this)) {}
    Sleeper(const Sleeper&) = delete;
    ~Sleeper() {
      if (!due) all_.erase(place_);
    }
    void wake() {
      all_.erase(place_);
      due = true;
      timer.cancel();
    }
    asio::steady_timer timer;
    bool due = false;

   private:
    All& all_;
    All::iterator place_;
  };

  Duration elapsed_{0};
  Sleeper::All sleepers_;
};

/// Runs a coroutine to its end in virtual time: whenever nothing is ready, the clock moves to the next sleeper. Where
/// nobody sleeps either, real work is waited for (a thread pool, a socket). `real_work_grace` is how long such work is
/// given before the clock moves in spite of it.
template <class T>
T run_virtual(asio::io_context& context, FakeClock& clock, Task<T> task,
              std::chrono::milliseconds real_work_grace = std::chrono::milliseconds{0}) {
  std::exception_ptr failure;
  bool done = false;
  using Result = std::conditional_t<std::is_void_v<T>, bool, T>;
  std::optional<Result> result;
  asio::co_spawn(context, detail::as_optional(std::move(task)),
                 [&](std::exception_ptr cause, std::optional<Result> value) {
                   failure = cause;
                   result = std::move(value);
                   done = true;
                 });
  while (!done) {
    context.restart();
    if (context.poll() > 0) continue;
    if (clock.sleepers() > 0 && real_work_grace.count() > 0 && context.run_one_for(real_work_grace) > 0) continue;
    if (!clock.advance_to_next() && context.run_one() == 0) {
      throw std::logic_error("the coroutine waits for something that never happens");
    }
  }
  if (failure) std::rethrow_exception(failure);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

template <class T>
T run_virtual(FakeClock& clock, Task<T> task) {
  asio::io_context context;
  return run_virtual(context, clock, std::move(task));
}

}  // namespace deploy::tests
