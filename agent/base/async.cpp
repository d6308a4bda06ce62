#include "agent/base/async.hpp"

#include <boost/system/system_error.hpp>

#include "agent/base/error.hpp"

namespace deploy {

namespace detail {
Task<std::optional<bool>> as_optional(Task<void> work) {
  co_await std::move(work);
  co_return true;
}
}  // namespace detail

Task<void> all_of(std::vector<Task<void>> tasks) {
  if (tasks.empty()) co_return;  // a group of nothing would never end
  auto executor = co_await asio::this_coro::executor;
  using Operation = decltype(asio::co_spawn(executor, std::move(tasks.front()), asio::deferred));
  std::vector<Operation> operations;
  for (auto& task : tasks) operations.push_back(asio::co_spawn(executor, std::move(task), asio::deferred));
  auto group = asio::experimental::make_parallel_group(std::move(operations));
  auto [order, errors] = co_await group.async_wait(asio::experimental::wait_for_one_error(), asio::use_awaitable);
  for (const auto position : order) {
    if (errors[position]) std::rethrow_exception(errors[position]);
  }
}

Task<void> sleep_real(std::chrono::steady_clock::duration duration) {
  asio::steady_timer timer(co_await asio::this_coro::executor, duration);
  co_await timer.async_wait(asio::use_awaitable);
}

void throw_deadline(std::chrono::milliseconds deadline, const std::string& what) {
  const auto seconds = static_cast<double>(deadline.count()) / 1000.0;
  std::string number = std::to_string(seconds);
  number.erase(number.find_last_not_of('0') + 1);
  if (number.back() == '.') number.pop_back();
  throw Error(ErrorKind::timed_out, what + " took longer than " + number + " s");
}

struct TaskGroup::State {
  State(asio::any_io_executor ex, OnError on_err)
      : executor(std::move(ex)), on_error(std::move(on_err)), emptied(executor) {}
  asio::any_io_executor executor;
  OnError on_error;
  std::list<asio::cancellation_signal> running;
  bool cancelled = false;
  Signal emptied;
};

TaskGroup::TaskGroup(asio::any_io_executor executor, OnError on_error)
    : state_(std::make_shared<State>(std::move(executor), std::move(on_error))) {}

TaskGroup::~TaskGroup() = default;

void TaskGroup::spawn(std::string name, Task<void> task) {
  auto position = state_->running.emplace(state_->running.end());
  // The state outlives the group object while a task's last handler is still queued.
  auto finished = [state = state_, position, name = std::move(name)](std::exception_ptr cause) {
    if (cause && !state->cancelled) state->on_error(name, cause);
    state->running.erase(position);
    if (state->running.empty()) state->emptied.notify_all();
  };
  asio::co_spawn(state_->executor, std::move(task),
                 asio::bind_cancellation_slot(position->slot(), std::move(finished)));
}

void TaskGroup::cancel() {
  state_->cancelled = true;
  // A cancelled task may end and erase itself while its signal is being emitted.
  for (auto next = state_->running.begin(); next != state_->running.end();) {
    auto current = next++;
    current->emit(asio::cancellation_type::terminal);
  }
}

Task<void> TaskGroup::wait() {
  auto state = state_;
  while (!state->running.empty()) co_await state->emptied.wait();
}

std::size_t TaskGroup::size() const noexcept { return state_->running.size(); }

Signal::Signal(const asio::any_io_executor& executor) : timer_(executor, asio::steady_timer::time_point::max()) {}

void Signal::notify_all() { timer_.cancel(); }

Task<void> Signal::wait() {
  auto slot_state = co_await asio::this_coro::cancellation_state;
  try {
    co_await timer_.async_wait(asio::use_awaitable);
  } catch (const boost::system::system_error&) {
    // notify_all() and a cancellation of this coroutine both end the wait in the same way.
    if (slot_state.cancelled() != asio::cancellation_type::none) throw;
  }
}

AsyncSemaphore::Lock::~Lock() {
  if (of_ == nullptr) return;
  ++of_->permits_;
  of_->released_.notify_all();
}

Task<AsyncSemaphore::Lock> AsyncSemaphore::lock() {
  while (permits_ == 0) co_await released_.wait();
  --permits_;
  co_return Lock(this);
}

}  // namespace deploy
