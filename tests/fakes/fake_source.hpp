// A SourceMirror of repositories in memory.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/error.hpp"
#include "agent/ports/source_mirror.hpp"
#include "tests/fakes/memory_tree.hpp"

namespace deploy::tests {

class FakeSource final : public ports::SourceMirror {
 public:
  std::map<std::string, std::string> refs;  // url + " " + ref -> commit
  std::optional<Error> fail_fetch;
  bool has_dockerfile = true;
  /// Adds what else a commit holds.
  std::function<void(MemoryTree& tree, const std::string& commit)> fill;
  /// Hears "source.fetch"; may throw.
  std::function<void(std::string_view point)> on_point;

  Task<void> fetch(domain::GitSource, std::function<void(std::string_view)> on_progress) override {
    if (on_point) on_point("source.fetch");
    if (fail_fetch) throw *fail_fetch;
    on_progress("fetched");
    co_return;
  }

  std::map<std::string, Error> fail_tip;        // by address
  std::map<std::string, std::string> messages;  // of commits; others say nothing
  std::vector<std::string> tips_asked;          // url + " " + branch, in order

  Task<std::string> tip(domain::GitSource source, std::string branch) override {
    if (on_point) on_point("source.tip");
    tips_asked.push_back(source.url + " " + branch);
    if (const auto failure = fail_tip.find(source.url); failure != fail_tip.end()) throw failure->second;
    const auto found = refs.find(source.url + " " + branch);
    if (found == refs.end()) throw Error(ErrorKind::not_found, source.url + " has no branch \"" + branch + "\"");
    co_return found->second;
  }

  Task<std::string> message(domain::GitSource, std::string commit) override {
    const auto found = messages.find(commit);
    co_return found == messages.end() ? "" : found->second;
  }

  Task<std::string> resolve(domain::GitSource source, std::string ref) override {
    if (ref.size() == 40) co_return ref;
    const auto found = refs.find(source.url + " " + ref);
    if (found == refs.end()) throw Error(ErrorKind::not_found, "there is no branch, tag or commit \"" + ref + "\"");
    co_return found->second;
  }

  Task<std::unique_ptr<ports::SourceTree>> tree(domain::GitSource, std::string commit) override {
    auto tree = std::make_unique<MemoryTree>();
    if (has_dockerfile) tree->add("Dockerfile", "FROM scratch\n");
    if (fill) fill(*tree, commit);
    co_return tree;
  }
};

}  // namespace deploy::tests
