// DockerClient: images, pulls and builds. Source: Docker Engine API v1.41, "Images".
#include <algorithm>
#include <optional>
#include <utility>

#include "agent/base/error.hpp"
#include "agent/base/text.hpp"
#include "agent/domain/image_reference.hpp"
#include "agent/engine/base64.hpp"
#include "agent/engine/base_images.hpp"
#include "agent/engine/build_context.hpp"
#include "agent/engine/build_trace.hpp"
#include "agent/engine/docker_client.hpp"
#include "agent/engine/image_errors.hpp"
#include "agent/engine/json_lines.hpp"
#include "agent/engine/pull_progress.hpp"

namespace deploy::engine {

using namespace std::chrono_literals;

namespace {

std::string image_path(const std::string& reference, std::string_view rest) {
  if (reference.empty()) throw Error(ErrorKind::invalid, "the image's name is empty");
  return "/images/" + http::url_encode(reference) + std::string(rest);
}

std::string build_path(const ports::BuildRequest& request) {
  std::string path = "/build?version=2&rm=1&forcerm=1&dockerfile=" + http::url_encode(request.dockerfile);
  if (!request.tag.empty()) path += "&t=" + http::url_encode(request.tag);
  if (!request.target.empty()) path += "&target=" + http::url_encode(request.target);
  if (!request.args.empty()) path += "&buildargs=" + http::url_encode(Json(request.args).dump());
  if (!request.labels.empty()) path += "&labels=" + http::url_encode(Json(request.labels).dump());
  if (request.from_scratch) path += "&nocache=1";
  return path;
}

/// Everything that the progress of one build tells us.
class BuildProgress {
 public:
  explicit BuildProgress(ports::OnLog on_log) : log_(on_log), on_log_(std::move(on_log)) {}

  void add(const Json& value) {
    if (auto message = stream_error(value); !message.empty()) error = std::move(message);
    const std::string id = value.value("id", "");
    const auto aux = value.find("aux");
    if (aux == value.end()) {
      // What the engine itself says, outside of the trace.
      if (const auto text = value.find("stream"); text != value.end() && text->is_string())
        on_log_(trim(text->get_ref<const std::string&>()));
    } else if (id == "moby.buildkit.trace" && aux->is_string()) {
      const auto bytes = base64_decode(aux->get<std::string>());
      if (!bytes) throw Error(ErrorKind::failed, "the engine's build trace is not valid base64");
      log_.add(decode_trace(*bytes));
    } else if (aux->is_object() && aux->contains("ID") && aux->at("ID").is_string()) {
      image_id = aux->at("ID").get<std::string>();
    }
  }

  /// What the failing command wrote last, to follow the error's message; empty where it is no command that failed.
  std::string last_output() const {
    const auto output = log_.failed_output();
    std::string text = output.empty() ? "" : "; it wrote last:";
    for (const auto& line : output) text += "\n  " + line;
    return text;
  }

  void finish() { log_.finish(); }

  std::string image_id;
  std::string error;

 private:
  BuildLog log_;
  ports::OnLog on_log_;
};

}  // namespace

Task<RegistryLogin> DockerClient::login_for(domain::Reference image) {
  RegistryLogin none;
  if (logins_ == nullptr) co_return none;
  co_return co_await logins_->find(domain::registry_of(image));
}

/// BuildKit takes logins from a session alone, which needs a gRPC server on our side; an image that is here already it
/// does not ask for.
Task<void> DockerClient::pull_private_bases(std::shared_ptr<ports::SourceTree> context, std::string dockerfile,
                                            ports::OnLog on_log) {
  auto read = [context, dockerfile] {
    const auto& entries = context->entries();
    const auto found =
        std::find_if(entries.begin(), entries.end(), [&](const auto& entry) { return entry.path == dockerfile; });
    return found == entries.end() ? std::string() : context->load(*found);
  };
  const auto text = co_await offload(pool_, std::move(read));
  const auto images = base_images(text);
  for (const auto& image : images) {
    std::optional<domain::Reference> reference;
    try {
      reference = domain::parse_reference(image);
    } catch (const Error&) {
      continue;  // the build says better what is wrong with it
    }
    const auto login = co_await login_for(*reference);
    if (login.header.empty()) continue;
    const auto here = co_await inspect_image(image);
    if (!here) co_await pull(image, on_log);
  }
}

Task<std::string> DockerClient::build(ports::BuildRequest request, ports::OnLog on_log) {
  if (logins_ != nullptr) co_await pull_private_bases(request.context, request.dockerfile, on_log);
  EngineCall call;
  call.what = "build " + (request.tag.empty() ? request.dockerfile : request.tag);
  const std::string what = call.what;
  call.method = "POST";
  call.path = build_path(request);
  call.deadline = 1h;  // until the first progress, which may be after the whole upload
  const std::string dockerfile = request.dockerfile;
  auto plan = [tree = request.context, dockerfile, what] {
    try {
      return context_entries(*tree, dockerfile);
    } catch (const Error& error) {
      throw error.with_context(what);
    }
  };
  auto entries = co_await offload(pool_, std::move(plan));
  auto body = std::make_shared<TarBody>(pool_, request.context, std::move(entries));

  BuildProgress progress(std::move(on_log));
  JsonLines lines([&progress](const Json& value) { progress.add(value); });
  http::OnPart on_part = [&lines](std::string_view part) { lines.feed(part); };
  co_await engine_.stream(std::move(call), body, on_part);
  lines.finish();
  progress.finish();
  if (!progress.error.empty()) throw build_error(what, dockerfile, progress.error, progress.last_output());
  if (progress.image_id.empty()) {
    throw Error(ErrorKind::failed, what +
                                       ": the engine ended the build without an image; look at Docker's own log "
                                       "(journalctl -u docker) and try again");
  }
  co_return progress.image_id;
}

Task<ports::Image> DockerClient::pull(std::string reference, ports::OnLog on_log) {
  const auto wanted = domain::parse_reference(reference);
  const auto login = co_await login_for(wanted);
  EngineCall call;
  call.what = "pull " + to_string(wanted);
  call.registry_auth = login.header;
  call.method = "POST";
  call.path = "/images/create?fromImage=" + http::url_encode(wanted.repository) +
              "&tag=" + http::url_encode(wanted.digest.empty() ? wanted.tag : wanted.digest);
  call.deadline = 10min;  // until the registry has answered the engine
  call.error_from = [wanted, login](int status, const std::string& message) {
    return pull_error(wanted, status, message, login);
  };
  PullProgress progress(std::move(on_log));
  std::string failure;
  JsonLines lines([&](const Json& value) {
    if (auto message = stream_error(value); !message.empty()) failure = std::move(message);
    progress.add(value);
  });
  http::OnPart on_part = [&lines](std::string_view part) { lines.feed(part); };
  co_await engine_.stream(std::move(call), nullptr, on_part);
  lines.finish();
  if (!failure.empty()) throw pull_error(wanted, 500, failure, login);
  auto image = co_await inspect_image(to_string(wanted));
  if (!image) {
    throw Error(ErrorKind::not_found,
                "pull " + to_string(wanted) + ": the image was removed right after it came; roll out again");
  }
  co_return std::move(*image);
}

// Source: Docker Engine API v1.41, "DistributionInspect".
Task<std::string> DockerClient::remote_digest(std::string reference) {
  const auto wanted = domain::parse_reference(reference);
  const auto login = co_await login_for(wanted);
  EngineCall call;
  call.what = "ask the registry for " + to_string(wanted);
  call.registry_auth = login.header;
  const std::string what = call.what;
  call.path = "/distribution/" + http::url_encode(to_string(wanted)) + "/json";
  call.answer_bytes_max = std::size_t{1} << 20;
  call.error_from = [wanted, login](int status, const std::string& message) {
    return pull_error(wanted, status, message, login);
  };
  const auto value = co_await engine_.ask(std::move(call));
  const auto digest = value.value(Json::json_pointer("/Descriptor/digest"), std::string());
  if (domain::parse_reference(wanted.repository + "@" + digest).digest.empty()) {
    throw Error(ErrorKind::failed, what + ": the engine's answer holds no digest");
  }
  co_return digest;
}

Task<Json> DockerClient::image_json(std::string id) {
  EngineCall call;
  call.what = "inspect image " + id;
  call.path = image_path(id, "/json");
  auto value = co_await engine_.find(std::move(call));
  co_return value ? std::move(*value) : Json();
}

Task<std::optional<ports::Image>> DockerClient::inspect_image(std::string reference) {
  domain::parse_reference(reference);  // says what is wrong with a name better than the engine; an id passes, too
  const auto value = co_await image_json(reference);
  if (value.is_null()) co_return std::nullopt;
  co_return image_from_inspect(value);
}

Task<std::vector<ports::Image>> DockerClient::images(ports::Labels labels) {
  EngineCall call;
  call.what = "list images";
  call.path = "/images/json?filters=" + http::url_encode(label_filter(labels).dump());
  const auto value = co_await engine_.ask(std::move(call));
  std::vector<ports::Image> images;
  for (const auto& entry : value) images.push_back(image_from_list(entry));
  co_return images;
}

Task<bool> DockerClient::remove_image(std::string reference) {
  EngineCall call;
  call.what = "remove image " + reference;
  call.method = "DELETE";
  call.path = image_path(reference, "");
  call.deadline = 120s;
  try {
    co_await engine_.call(std::move(call));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::not_found && error.kind() != ErrorKind::conflict) throw;
    co_return false;
  }
  co_return true;
}

}  // namespace deploy::engine
