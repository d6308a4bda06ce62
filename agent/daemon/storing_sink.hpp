// Where the webhook's deliveries go: into the database, and then somebody hears of them. One thread.
#pragma once

#include <functional>
#include <utility>

#include "agent/ports/clock.hpp"
#include "agent/store/delivery_inbox.hpp"
#include "webhook/receiver.hpp"

namespace deploy::daemon {

class StoringSink final : public webhook::Sink {
 public:
  StoringSink(store::DeliveryInbox& inbox, ports::Clock& clock, std::function<void()> on_stored)
      : inbox_(inbox), clock_(clock), on_stored_(std::move(on_stored)) {}

  Task<webhook::StoredDelivery> store(domain::Delivery delivery) override {
    const auto stored = inbox_.store(delivery, clock_.now());
    on_stored_();
    webhook::StoredDelivery answer;
    answer.id = stored.id;
    answer.duplicate = stored.duplicate;
    co_return answer;
  }

 private:
  store::DeliveryInbox& inbox_;
  ports::Clock& clock_;
  std::function<void()> on_stored_;
};

}  // namespace deploy::daemon
