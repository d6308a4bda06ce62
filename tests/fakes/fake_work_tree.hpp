// A WorkTree in memory: which commit's files are there, and which commit its branch is at.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/base/error.hpp"
#include "agent/ports/work_tree.hpp"

namespace deploy::tests {

class FakeWorkTree final : public ports::WorkTree {
 public:
  std::string head;                                       // of the branch
  std::string files_of;                                   // the commit whose files are there; "torn": neither's
  std::set<std::string> held;                             // commits before head
  std::map<std::string, std::vector<std::string>> files;  // commit -> what it changes
  std::deque<Error> fail_prepare;
  std::deque<Error> fail_write;
  std::deque<Error> fail_put_back;
  std::deque<Error> fail_keep;
  /// Hears "tree.prepare", "tree.write.torn", "tree.write", "tree.put_back" and "tree.keep"; may throw.
  std::function<void(std::string_view point)> on_point;

  Task<bool> contains(std::string commit) override { co_return commit == head || held.contains(commit); }

  Task<ports::Pull> prepare(std::string commit) override {
    reach("tree.prepare");
    if (auto error = take(fail_prepare)) throw *error;
    auto pull = pull_of(head, commit);
    co_return pull;
  }

  Task<ports::Pull> recall(std::string from, std::string to) override {
    auto pull = pull_of(from, to);
    co_return pull;
  }

  Task<std::vector<ports::TextChange>> texts(ports::Pull) override {
    std::vector<ports::TextChange> none;
    co_return none;
  }

  Task<void> write(ports::Pull pull) override {
    files_of = "torn";
    reach("tree.write.torn");
    if (auto error = take(fail_write)) throw *error;
    files_of = pull.to;
    reach("tree.write");
    co_return;
  }

  Task<void> put_back(ports::Pull pull) override {
    reach("tree.put_back");
    if (auto error = take(fail_put_back)) throw *error;
    files_of = pull.from;
    co_return;
  }

  Task<void> keep(ports::Pull pull) override {
    reach("tree.keep");
    if (auto error = take(fail_keep)) throw *error;
    held.insert(head);
    head = pull.to;
    co_return;
  }

 private:
  ports::Pull pull_of(const std::string& from, const std::string& to) const {
    const auto changed = files.find(to);
    if (from == to) return {from, to, {}};
    return {from, to, changed == files.end() ? std::vector<std::string>{"nginx.conf"} : changed->second};
  }
  void reach(std::string_view point) const {
    if (on_point) on_point(point);
  }
  static std::optional<Error> take(std::deque<Error>& queue) {
    if (queue.empty()) return std::nullopt;
    std::optional<Error> first(std::move(queue.front()));
    queue.pop_front();
    return first;
  }
};

}  // namespace deploy::tests
