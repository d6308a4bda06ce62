// What tests of hooks share.
#pragma once

#include <string>
#include <vector>

#include "tests/agent_world/world.hpp"

namespace deploy::tests {

inline domain::Hook command(std::vector<std::string> run) {
  domain::Hook hook;
  hook.run = std::move(run);
  return hook;
}

inline domain::Hook dump() {
  auto hook = command({"pg_dump", "-U", "app", "app"});
  hook.in = "postgres";
  hook.save = "backups/{service}-{revision}.sql";
  hook.keep = 2;
  hook.restore = {"psql", "-U", "app", "app"};
  return hook;
}

inline domain::Service migrating() {
  auto service = service_named("backend");
  service.hooks.before = {command({"./migrate"})};
  return service;
}

inline void add_postgres(World& world) {
  ports::ContainerSpec postgres;
  postgres.name = "postgres";
  postgres.image = "registry/backend:v1";
  postgres.settings.restart = "no";
  run_virtual(world.clock, world.engine.create(postgres));
  run_virtual(world.clock, world.engine.start("postgres"));
}

/// What a container of a hook does: exits at once.
inline void hooks_exit_with(World& world, int exit_code) {
  world.engine.behave = [exit_code](const ports::ContainerSpec& spec) {
    FakeEngine::Behaviour behaviour;
    behaviour.exits = spec.labels.contains("deployctl.hook");
    behaviour.exit_code = exit_code;
    if (behaviour.exits) behaviour.log = {"migrating", "done"};
    return behaviour;
  };
}

}  // namespace deploy::tests
