// Which images are databases, caches, proxies and other parts of an infrastructure, by their names. Pure.
#pragma once

#include <string>

namespace deploy::adopt {

/// Wherever it comes from: "redis", "bitnami/redis:7", "registry.example/x/redis@sha256:…".
bool is_infrastructure(const std::string& image);

/// The last part of an image's name, without tag and digest.
std::string image_name(const std::string& image);

}  // namespace deploy::adopt
