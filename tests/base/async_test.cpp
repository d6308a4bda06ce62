#include "agent/base/async.hpp"

#include <atomic>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch_all.hpp>
#include <future>
#include <thread>

#include "agent/base/error.hpp"
#include "tests/fakes/run.hpp"

using namespace std::chrono_literals;
using namespace deploy;
using deploy::tests::run;

namespace {

Task<int> answer_after(std::chrono::milliseconds delay, int answer) {
  co_await sleep_real(delay);
  co_return answer;
}

Task<void> fail_at_once() {
  throw Error(ErrorKind::failed, "it broke");
  co_return;
}

}  // namespace

TEST_CASE("first_of returns the work's result when the work is first") {
  run([]() -> Task<void> {
    const auto result = co_await first_of(answer_after(0ms, 42), sleep_real(10s));
    CHECK(result == 42);
  }());
}

TEST_CASE("first_of returns nothing, and cancels the work, when the limit is first") {
  run([]() -> Task<void> {
    const auto result = co_await first_of(answer_after(10s, 42), sleep_real(0ms));
    CHECK_FALSE(result.has_value());
  }());
}

TEST_CASE("first_of throws the work's own failure and not a timeout") {
  run([]() -> Task<void> {
    std::string message;
    try {
      co_await first_of(fail_at_once(), sleep_real(10s));
    } catch (const Error& error) {
      message = error.message();
    }
    CHECK(message == "it broke");
  }());
}

TEST_CASE("all_of waits for each, and of nothing for nothing") {
  run([]() -> Task<void> {
    int ended = 0;
    const auto work = [&ended](std::chrono::milliseconds delay) -> Task<void> {
      co_await sleep_real(delay);
      ++ended;
    };
    std::vector<Task<void>> tasks;
    co_await all_of(std::move(tasks));
    tasks.clear();
    tasks.push_back(work(5ms));
    tasks.push_back(work(0ms));
    co_await all_of(std::move(tasks));
    CHECK(ended == 2);
  }());
}

TEST_CASE("all_of throws the first failure and cancels the others") {
  run([]() -> Task<void> {
    bool cancelled = false;
    const auto sleeper = [&cancelled]() -> Task<void> {
      try {
        co_await sleep_real(1h);
      } catch (...) {
        cancelled = true;
        throw;
      }
    };
    std::vector<Task<void>> tasks;
    tasks.push_back(sleeper());
    tasks.push_back(fail_at_once());
    std::string message;
    try {
      co_await all_of(std::move(tasks));
    } catch (const Error& error) {
      message = error.message();
    }
    CHECK(message == "it broke");
    CHECK(cancelled);
  }());
}

TEST_CASE("a deadline that passes says what took too long") {
  run([]() -> Task<void> {
    std::string message;
    try {
      co_await with_deadline(answer_after(10s, 1), 1ms, "the answer");
    } catch (const Error& error) {
      message = error.message();
    }
    CHECK(message == "the answer took longer than 0.001 s");
  }());
}

TEST_CASE("an offload that is cancelled while its function ends touches nothing afterwards") {
  asio::thread_pool threads(2);
  // The sanitizers see it where a cancellation reaches the pool when the function has just ended; not in each round.
  for (int round = 0; round < 500; ++round) {
    asio::io_context context;
    asio::cancellation_signal stop;
    std::atomic<bool> begun = false;
    int calls = 0;
    bool ended = false;
    const auto function = [&] {
      begun = true;
      ++calls;
    };
    asio::co_spawn(context, offload(threads, function),
                   asio::bind_cancellation_slot(stop.slot(), [&ended](std::exception_ptr) { ended = true; }));
    context.poll();
    while (!begun) std::this_thread::yield();
    stop.emit(asio::cancellation_type::terminal);
    context.restart();
    context.run();
    CHECK(ended);
    CHECK(calls == 1);
  }
  threads.join();
}

TEST_CASE("offload runs on another thread and comes back") {
  asio::thread_pool pool(1);
  run([](asio::thread_pool& threads) -> Task<void> {
    const auto here = std::this_thread::get_id();
    const auto there = co_await offload(threads, [] { return std::this_thread::get_id(); });
    CHECK((there != here));
    CHECK((std::this_thread::get_id() == here));
  }(pool));
}

TEST_CASE("a task group waits for its tasks, cancels them, and reports what escapes") {
  asio::io_context context;
  std::string escaped;
  TaskGroup group(context.get_executor(), [&escaped](const std::string& name, std::exception_ptr cause) {
    escaped = name + ": " + message_of(cause);
  });
  group.spawn("fails", fail_at_once());
  group.spawn("sleeps", sleep_real(10s));
  bool ended = false;
  asio::co_spawn(
      context,
      [&]() -> Task<void> {
        co_await sleep_real(1ms);
        group.cancel();
        co_await group.wait();
        ended = true;
      },
      asio::detached);
  context.run();
  CHECK(escaped == "fails: it broke");
  CHECK(ended);
  CHECK(group.size() == 0);
}

TEST_CASE("a mutex lets one coroutine in at a time") {
  asio::io_context context;
  AsyncMutex mutex(context.get_executor());
  int inside = 0;
  int most = 0;
  int done = 0;
  for (int i = 0; i < 5; ++i) {
    asio::co_spawn(
        context,
        [&]() -> Task<void> {
          const auto lock = co_await mutex.lock();
          most = std::max(most, ++inside);
          co_await sleep_real(1ms);
          --inside;
          ++done;
        },
        asio::detached);
  }
  context.run();
  CHECK(most == 1);
  CHECK(done == 5);
}
