#include "tests/sim/users.hpp"

namespace deploy::sim {

using std::chrono::milliseconds;

void Users::plan(Duration horizon) {
  const int deeds = random_.between(1, 9);
  const auto most = std::chrono::duration_cast<milliseconds>(horizon);
  for (int i = 0; i < deeds; ++i) {
    const auto when = random_.between(milliseconds(0), most);
    Deed deed = Deed::push;
    if (random_.chance(120)) deed = Deed::redelivery;
    if (random_.chance(120)) deed = Deed::rollout;
    if (random_.chance(150)) deed = Deed::rollback;
    if (random_.chance(100)) deed = Deed::cancel;
    if (random_.chance(50)) deed = Deed::pause;
    planned_.emplace(when, deed);
    // What is pushed together.
    if (deed == Deed::push && random_.chance(300))
      planned_.emplace(when + random_.between(milliseconds(0), milliseconds(8000)), deed);
  }
}

bool Users::act(tests::Agent& agent) {
  if (planned_.empty() || planned_.begin()->first > stage_.world.clock.elapsed()) return false;
  const auto deed = planned_.begin()->second;
  planned_.erase(planned_.begin());
  try {
    switch (deed) {
      case Deed::push:
        push(agent);
        break;
      case Deed::redelivery:
        redeliver(agent);
        break;
      case Deed::rollout:
        roll_out(agent);
        break;
      case Deed::rollback:
        roll_back(agent);
        break;
      case Deed::cancel:
        cancel(agent);
        break;
      case Deed::pause:
        pause(agent);
        break;
      case Deed::resume:
        resume(agent);
        break;
    }
    agent.dispatcher.wake();
  } catch (const Error& error) {
    trace_.add("refused:", error.message());
  } catch (const Crash&) {  // killed before it could answer
  }
  return true;
}

void Users::push(tests::Agent& agent) {
  domain::Delivery delivery;
  delivery.event = "push";
  delivery.repo = "o/r";
  delivery.guid = "guid-" + std::to_string(sent_.size());
  delivery.body_sha256 = "body-" + std::to_string(sent_.size());
  std::string names;
  for (const auto& service : stage_.world.services) {
    if (!delivery.changes.empty() && random_.chance(700)) continue;
    if (delivery.changes.empty() && &service != &stage_.world.services.back() && random_.chance(500)) continue;
    delivery.changes.push_back({service.name, stage_.new_commit(service.name), "main", ""});
    names += " " + service.name + " " + delivery.changes.back().commit.substr(0, 7);
  }
  sent_.push_back(delivery);
  // Where the agent polls, it finds what it was never told of.
  const bool lost = stage_.world.poll.count() > 0 && random_.chance(300);
  trace_.add(lost ? "---- push that is not delivered" : "---- push", delivery.body_sha256, names);
  if (!lost) deliver(agent, delivery);
}

void Users::redeliver(tests::Agent& agent) {
  if (sent_.empty()) return;
  const auto& delivery = random_.pick(sent_);
  trace_.add("---- redelivery", delivery.body_sha256);
  deliver(agent, delivery);
}

void Users::deliver(tests::Agent& agent, const domain::Delivery& delivery) {
  const auto stored = agent.inbox.store(delivery, stage_.world.clock.now());
  for (const auto& earlier : accepted_) {
    if (earlier.body_sha256 != delivery.body_sha256) continue;
    if (!stored.duplicate)
      watch_.broken("a delivery that was answered 2xx was not there any more: " + delivery.body_sha256);
    return;
  }
  accepted_.push_back(delivery);
}

api::Commands Users::commands(tests::Agent& agent) {
  return {agent.journal, agent.releases, stage_.world.services, [&agent] { agent.dispatcher.wake(); }};
}

void Users::roll_out(tests::Agent& agent) {
  const auto& service = random_.pick(stage_.world.services);
  if (!service.source.git || !stage_.world.source.refs.contains(service.source.git->url + " main")) return;
  api::RolloutRequest request;
  request.services = {service.name};
  request.ref = random_.chance(500) ? "main" : "";
  trace_.add("---- rollout", service.name, request.ref);
  commands(agent).rollout(request, "somebody");
}

void Users::roll_back(tests::Agent& agent) {
  const auto& service = random_.pick(stage_.world.services).name;
  const auto revisions = agent.journal.revisions.promoted(service);
  if (revisions.empty()) return;
  api::RollbackRequest request;
  request.service = service;
  request.to = random_.chance(500) ? "" : random_.pick(revisions).name;
  trace_.add("---- rollback", service, request.to);
  commands(agent).rollback(request, "somebody");
}

void Users::cancel(tests::Agent& agent) {
  const auto unfinished = agent.journal.rollouts.unfinished();
  if (unfinished.empty()) {
    // Nothing to cancel: somebody does it during the next rollout.
    if (!planned_.empty())
      planned_.emplace(planned_.begin()->first + random_.between(milliseconds(5000), milliseconds(60000)),
                       Deed::cancel);
    return;
  }
  api::CancelRequest request;
  const auto& rollout = random_.pick(unfinished);
  request.service = rollout.service;
  if (random_.chance(500)) request.rollout = rollout.id.value;
  trace_.add("---- cancel", rollout.service, std::to_string(request.rollout));
  commands(agent).cancel(request, "somebody");
}

void Users::pause(tests::Agent& agent) {
  api::PauseRequest request;
  if (random_.chance(500)) request.service = random_.pick(stage_.world.services).name;
  request.reason = "a migration";
  trace_.add("---- pause", request.service);
  planned_.emplace(stage_.world.clock.elapsed() + random_.between(milliseconds(0), milliseconds(120000)), Deed::resume);
  commands(agent).pause(request, "somebody");
}

void Users::resume(tests::Agent& agent) {
  for (const auto& pause : agent.journal.pauses.all()) {
    api::PauseRequest request;
    request.service = pause.service;
    trace_.add("---- resume", request.service);
    commands(agent).resume(request, "somebody");
  }
}

void Users::resume_all(tests::Agent& agent) { resume(agent); }

}  // namespace deploy::sim
