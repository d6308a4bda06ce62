// The webhook's endpoint: verifies, reads, decides, has the delivery stored, and only then answers.
// One thread. Holds references only: the sink outlives the receiver.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/async.hpp"
#include "agent/domain/config_change.hpp"
#include "agent/domain/delivery.hpp"
#include "agent/domain/service.hpp"
#include "agent/http/message.hpp"

namespace deploy::webhook {

struct StoredDelivery {
  domain::DeliveryId id;
  bool duplicate = false;  // this body was stored before: `id` is that delivery's, and nothing new was stored
};

/// Where verified deliveries go.
class Sink {
 public:
  virtual ~Sink() = default;
  /// Returns when the delivery, and the work that its changes ask for, will survive a crash. Throws where it cannot
  /// promise that.
  virtual Task<StoredDelivery> store(domain::Delivery delivery) = 0;
};

class Receiver {
 public:
  using Services = std::function<std::shared_ptr<const std::vector<domain::Service>>()>;

  /// Throws Error(invalid) where there is no secret or an empty one. `services` is asked for each delivery, so that a
  /// reload takes effect at once.
  Receiver(std::vector<std::string> secrets, Services services, Sink& sink,
           std::optional<domain::ConfigRepo> config_repo = std::nullopt);

  /// Answers 202 where something is deployed or the configuration is pulled, 200 where nothing is (with the reason) or
  /// the delivery was received before, 400 for a signed body that cannot be read (recorded too), 401 for a missing or
  /// wrong signature, 405, and 503 where the delivery could not be stored: GitHub then shows it as failed and it can be
  /// sent again.
  Task<http::Response> receive(http::Request request);

  /// What a person should know, in a sentence; empty: nothing.
  std::string note() const;

 private:
  void tell_refused();

  std::vector<std::string> secrets_;
  Services services_;
  Sink& sink_;
  std::optional<domain::ConfigRepo> config_repo_;
  std::uint64_t refused_ = 0;
  std::uint64_t refused_told_next_ = 1;
  std::uint64_t wrong_signatures_ = 0;  // since one was right; what has none at all is not GitHub's
};

}  // namespace deploy::webhook
