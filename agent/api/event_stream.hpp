// Bodies that go on for as long as something happens: events, a rollout's log, containers' logs.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "agent/base/async.hpp"
#include "agent/http/message.hpp"
#include "agent/ports/container_engine.hpp"
#include "agent/rollout/journal.hpp"
#include "agent/store/event_log.hpp"
#include "agent/store/rollout_log.hpp"

namespace deploy::api {

/// Events as JSON lines, after `seq`. With `follow` it waits for more, and ends when the release (if one is named) has
/// ended.
class EventStream : public http::BodySource {
 public:
  EventStream(rollout::Journal& journal, store::EventLog& events, Signal& changed, std::int64_t seq,
              domain::ReleaseId release, bool follow);
  Task<std::optional<std::string>> next() override;

 private:
  bool release_ended();

  rollout::Journal& journal_;
  store::EventLog& events_;
  Signal& changed_;
  std::int64_t seq_;
  domain::ReleaseId release_;
  bool follow_;
};

/// A rollout's log as text. With `follow` it ends when the rollout has ended.
class RolloutLogStream : public http::BodySource {
 public:
  RolloutLogStream(rollout::Journal& journal, store::RolloutLog& log, Signal& changed, domain::RolloutId rollout,
                   bool follow)
      : journal_(journal), log_(log), changed_(changed), rollout_(rollout), follow_(follow) {}
  Task<std::optional<std::string>> next() override;

 private:
  rollout::Journal& journal_;
  store::RolloutLog& log_;
  Signal& changed_;
  domain::RolloutId rollout_;
  bool follow_;
  std::size_t offset_ = 0;
};

/// The lines of several containers as they come; each is preceded by the container's name where there is more than one.
/// A reader that is too slow loses the oldest lines, and is told so.
class ContainerLogStream : public http::BodySource {
 public:
  ContainerLogStream(asio::any_io_executor executor, ports::ContainerEngine& engine,
                     const std::vector<domain::Target>& targets, ports::LogOptions options);
  ~ContainerLogStream() override;
  Task<std::optional<std::string>> next() override;

 private:
  struct Lines;
  static Task<void> follow(ports::ContainerEngine& engine, std::string id, std::string prefix,
                           ports::LogOptions options, std::shared_ptr<Lines> lines);

  std::shared_ptr<Lines> lines_;
  TaskGroup followers_;
};

}  // namespace deploy::api
