#include "agent/adopt/infrastructure.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

namespace deploy::adopt {

namespace {

constexpr std::array<std::string_view, 60> infrastructure{
    "adminer",     "alertmanager",  "busybox",      "cadvisor",
    "caddy",       "cassandra",     "certbot",      "clickhouse-server",
    "cloudflared", "consul",        "couchdb",      "elasticsearch",
    "envoy",       "etcd",          "fluent-bit",   "fluentd",
    "grafana",     "haproxy",       "influxdb",     "jaeger",
    "kafka",       "keycloak",      "kibana",       "localstack",
    "logstash",    "loki",          "mailhog",      "mailpit",
    "mariadb",     "meilisearch",   "memcached",    "minio",
    "mongo",       "mongo-express", "mssql-server", "mysql",
    "nats",        "neo4j",         "nginx",        "node-exporter",
    "opensearch",  "pgadmin4",      "pgbouncer",    "pgvector",
    "phpmyadmin",  "portainer-ce",  "postgis",      "postgres",
    "prometheus",  "promtail",      "qdrant",       "rabbitmq",
    "redis",       "redis-stack",   "registry",     "traefik",
    "valkey",      "vault",         "watchtower",   "zookeeper"};

}  // namespace

std::string image_name(const std::string& image) {
  auto name = image.substr(0, image.find('@'));
  name = name.substr(name.rfind('/') == std::string::npos ? 0 : name.rfind('/') + 1);
  return name.substr(0, name.find(':'));
}

bool is_infrastructure(const std::string& image) {
  auto name = image_name(image);
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::ranges::find(infrastructure, name) != infrastructure.end();
}

}  // namespace deploy::adopt
