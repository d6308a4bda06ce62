// The labels by which we know our own containers, images and networks.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace deploy::domain::labels {

inline constexpr auto instance = "deployctl.instance";  // this installation; nothing without it is ever changed
inline constexpr auto service = "deployctl.service";
inline constexpr auto revision = "deployctl.revision";
inline constexpr auto rollout = "deployctl.rollout";
inline constexpr auto target = "deployctl.target";
inline constexpr auto hook = "deployctl.hook";  // a container that a hook runs in: never a target

/// Empty where there is none.
std::string text(const std::map<std::string, std::string>& all, const char* name);
/// 0 where there is none, or it is no number.
std::int64_t number(const std::map<std::string, std::string>& all, const char* name);

}  // namespace deploy::domain::labels
