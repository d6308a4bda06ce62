// DockerClient: the engine itself. Source: Docker Engine API v1.41, "System".
#include <sys/statvfs.h>

#include "agent/base/error.hpp"
#include "agent/engine/docker_client.hpp"
#include "agent/engine/json_lines.hpp"

namespace deploy::engine {

using namespace std::chrono_literals;

namespace {

/// An event's actor carries the container's labels beside its name, image and exit code.
ports::EngineEvent event_from(const Json& value) {
  ports::EngineEvent event;
  event.action = value.value("Action", "");
  const auto actor = value.value("Actor", Json::object());
  event.container_id = actor.value("ID", "");
  const auto attributes = actor.value("Attributes", Json::object());  // named: it must outlive the loop
  for (const auto& [name, text] : attributes.items()) {
    if (text.is_string()) event.labels.emplace(name, text.get<std::string>());
  }
  if (const auto name = event.labels.find("name"); name != event.labels.end()) event.container_name = name->second;
  return event;
}

}  // namespace

Task<ports::EngineVersion> DockerClient::version() { return engine_.version(); }

Task<void> DockerClient::follow_events(ports::OnEvent on_event) {
  EngineCall call;
  call.what = "follow the engine's events";
  // What a person or the engine does to a container; not each exec and attach.
  const Json filters{{"type", {"container"}},
                     {"event", {"start", "die", "destroy", "rename", "pause", "unpause", "health_status"}}};
  call.path = "/events?filters=" + http::url_encode(filters.dump());
  call.deadline = 24h * 365;  // a quiet engine's answer has no header before its first event
  JsonLines lines([&on_event](const Json& value) { on_event(event_from(value)); });
  http::OnPart on_part = [&lines](std::string_view part) { lines.feed(part); };
  co_await engine_.stream(std::move(call), nullptr, on_part);
}

Task<std::optional<ports::DiskSpace>> DockerClient::disk_space() {
  EngineCall call;
  call.what = "ask the engine where its images are";
  call.path = "/info";
  const auto info = co_await engine_.ask(std::move(call));
  ports::DiskSpace space;
  space.folder = info.value("DockerRootDir", "");
  struct statvfs system {};
  if (space.folder.empty() || ::statvfs(space.folder.c_str(), &system) != 0) co_return std::nullopt;
  space.free_bytes = static_cast<std::uint64_t>(system.f_bavail) * system.f_frsize;
  co_return space;
}

}  // namespace deploy::engine
