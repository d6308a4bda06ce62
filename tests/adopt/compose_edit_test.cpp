// What `init` changes in a user's Compose file, byte for byte, and what it leaves.
#include "agent/adopt/compose_edit.hpp"

#include <catch2/catch_all.hpp>

namespace deploy::tests {
namespace {

using adopt::ComposeEdit;
using adopt::ComposeWish;
using Texts = std::vector<std::string>;

constexpr auto file = "/srv/app/docker-compose.yml";

adopt::NginxInCompose nginx() {
  adopt::NginxInCompose wish;
  wish.service = "nginx";
  wish.mount = "./nginx/upstreams:/etc/nginx/upstreams:ro";
  wish.mount_inside = "/etc/nginx/upstreams";
  wish.network = "deployctl";
  wish.address = "10.213.176.2";
  wish.aliases = {"backend", "frontend"};
  return wish;
}

ComposeEdit edit(const std::string& text, const ComposeWish& wish) { return adopt::edit_compose(file, text, wish); }

/// Edits it, checks that a second edit changes nothing, and returns the text.
std::string edited(const std::string& text, const ComposeWish& wish) {
  const auto first = edit(text, wish);
  CHECK(first.problems.empty());
  const auto second = edit(first.text, wish);
  CHECK(second.text == first.text);
  CHECK(second.changed.empty());
  CHECK(second.problems.empty());
  return first.text;
}

}  // namespace

TEST_CASE("services get a profile, Nginx the folder and the network, and every other byte stays") {
  const std::string before = R"(version: '3.8'

# 서비스
services:
  frontend:
    build:
      context: ./frontend   # here
    ports:
      - "3100:3000"
    networks:
      - cowrite

  # the API
  backend:

    image: "shop/backend"
    profiles: [apps]
  redis:
    image: redis:7-alpine
    depends_on: [backend]
    networks: [cowrite]

  nginx:
    image: nginx:alpine
    ports:
      - "80:80"
    volumes:
      - ./nginx/nginx.conf:/etc/nginx/nginx.conf:ro  # ours
    depends_on:
      - frontend
      - redis
    networks:
      - cowrite # shared

# end of services
volumes:
  redis_data:

networks:
  cowrite:
    driver: bridge
)";
  ComposeWish wish{{"frontend", "backend"}, {"frontend"}, nginx()};
  wish.nginx.ports = {"3100:3100"};
  CHECK(edited(before, wish) == R"(version: '3.8'

# 서비스
services:
  frontend:
    profiles: [deployctl]
    build:
      context: ./frontend   # here
    networks:
      - cowrite

  # the API
  backend:

    image: "shop/backend"
    profiles: [apps]
  redis:
    image: redis:7-alpine
    networks: [cowrite]

  nginx:
    image: nginx:alpine
    ports:
      - "80:80"
      - "3100:3100"
    volumes:
      - ./nginx/nginx.conf:/etc/nginx/nginx.conf:ro  # ours
      - "./nginx/upstreams:/etc/nginx/upstreams:ro"
    depends_on:
      - redis
    networks:
      cowrite: # shared
      deployctl: { ipv4_address: 10.213.176.2, aliases: [backend, frontend] }

# end of services
volumes:
  redis_data:

networks:
  cowrite:
    driver: bridge
  deployctl:
    external: true
)");
  CHECK(
      edit(before, wish).changed ==
      Texts{
          "/srv/app/docker-compose.yml:5: the service frontend gets the profile deployctl, so that `docker compose up "
          "-d` starts no second copy of it",
          "/srv/app/docker-compose.yml:8: the ports of frontend go: Nginx listens there",
          "/srv/app/docker-compose.yml:20: redis depends on backend no more, which Compose does not start now",
          "/srv/app/docker-compose.yml:29: nginx depends on frontend no more, which Compose does not start now",
          "/srv/app/docker-compose.yml:23: nginx sees the folder of upstreams: "
          "./nginx/upstreams:/etc/nginx/upstreams:ro",
          "/srv/app/docker-compose.yml:23: nginx publishes the port 3100:3100",
          "/srv/app/docker-compose.yml:23: nginx is on the network deployctl as 10.213.176.2, with the names backend, "
          "frontend",
          "/srv/app/docker-compose.yml:39: the network deployctl is deployctl's"});
}

TEST_CASE("a service of Nginx's without networks, volumes and ports gets them") {
  auto wish = ComposeWish{{}, {}, nginx()};
  wish.nginx.ports = {"8100:8100", "8102:8102"};
  CHECK(edited("services:\n    nginx:\n        image: nginx\n", wish) == R"(services:
    nginx:
        image: nginx
        volumes:
            - "./nginx/upstreams:/etc/nginx/upstreams:ro"
        ports:
            - "8100:8100"
            - "8102:8102"
        networks:
            default:
            deployctl: { ipv4_address: 10.213.176.2, aliases: [backend, frontend] }

networks:
    deployctl:
        external: true
)");
}

TEST_CASE("lists on one line, maps of networks and Windows' line ends stay what they are") {
  const auto wish = ComposeWish{{}, {}, nginx()};
  CHECK(edited("services:\r\n  nginx:\r\n    volumes: [ \"./a:/a\" ]\r\n    networks:\r\n      internal:\r\n        "
               "aliases: [proxy]\r\nnetworks: {}\r\n",
               wish) ==
        "services:\r\n  nginx:\r\n    volumes: [ \"./a:/a\" , \"./nginx/upstreams:/etc/nginx/upstreams:ro\"]\r\n    "
        "networks:\r\n      internal:\r\n        aliases: [proxy]\r\n      deployctl: { ipv4_address: 10.213.176.2, "
        "aliases: [backend, frontend] }\r\nnetworks:\r\n  deployctl:\r\n    external: true\r\n");
  CHECK(edited("services:\n  nginx:\n    volumes: [\"/u:/etc/nginx/upstreams\"]\n    networks: [internal, \"b\"]\n",
               wish) ==
        R"(services:
  nginx:
    volumes: ["/u:/etc/nginx/upstreams"]
    networks:
      internal:
      b:
      deployctl: { ipv4_address: 10.213.176.2, aliases: [backend, frontend] }

networks:
  deployctl:
    external: true
)");
}

TEST_CASE("a service that came later gets its name on Nginx's entry") {
  auto wish = ComposeWish{{}, {}, nginx()};
  const auto before = edited("services:\n  nginx:\n    image: nginx\n", wish);
  wish.nginx.aliases.emplace_back("llm");
  const auto after = edit(before, wish);
  CHECK(after.text.find("aliases: [backend, frontend, llm] }") != std::string::npos);
  CHECK(after.changed.size() == 1);
}

TEST_CASE("what stands where no line can be added is named, and nothing is changed") {
  const auto wish = ComposeWish{{"backend", "flow"}, {}, nginx()};
  const std::string text =
      "services:\n  backend: { image: b }\n  flow: &anchor\n    image: f\n  nginx:\n    network_mode: host\n    "
      "volumes: "
      "*shared\n";
  const auto result = edit(text, wish);
  CHECK(result.text == text);
  CHECK(result.changed.empty());
  CHECK(
      result.problems ==
      Texts{
          "/srv/app/docker-compose.yml:2: the service backend is written in one line; write its keys in lines of their "
          "own",
          "/srv/app/docker-compose.yml:7: `volumes` of nginx is no list of lines; write it so, or add "
          "\"./nginx/upstreams:/etc/nginx/upstreams:ro\" yourself",
          "/srv/app/docker-compose.yml:6: nginx has `network_mode`, and so cannot be on the network deployctl; remove "
          "it"});
}

TEST_CASE("dependencies in the long form go with all that belongs to them") {
  const auto wish = ComposeWish{{"backend"}, {}, {}};
  CHECK(edited(R"(services:
  nginx:
    depends_on:
      backend:
        condition: service_healthy
      redis:
        condition: service_started
  cron:
    depends_on:
    - backend
    image: cron
  backend:
    depends_on: [redis]
)",
               wish) == R"(services:
  nginx:
    depends_on:
      redis:
        condition: service_started
  cron:
    image: cron
  backend:
    profiles: [deployctl]
    depends_on: [redis]
)");
}

}  // namespace deploy::tests
