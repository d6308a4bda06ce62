// The labels by which we know our own containers, images and networks.
#pragma once

namespace deploy::domain::labels {

inline constexpr auto instance = "deployctl.instance";  // this installation; nothing without it is ever changed
inline constexpr auto service = "deployctl.service";
inline constexpr auto revision = "deployctl.revision";
inline constexpr auto rollout = "deployctl.rollout";
inline constexpr auto target = "deployctl.target";

}  // namespace deploy::domain::labels
