// Changes a user's Compose file for deployctl, and nothing else in it: every other byte stays. Services that deployctl
// deploys get a profile, so that a habitual `docker compose up -d` starts no second copy of them; Nginx's service gets
// the folder of upstreams and the routing network. What cannot be changed without guessing is named, with its line, and
// then nothing is changed. Pure; a second edit changes nothing.
#pragma once

#include <string>
#include <vector>

namespace deploy::adopt {

/// Nginx's service, as it is to be.
struct NginxInCompose {
  std::string service;
  std::string mount;         // "./nginx/upstreams:/etc/nginx/upstreams:ro"; empty: it sees the folder already
  std::string mount_inside;  // "/etc/nginx/upstreams"
  std::string network;       // the routing network's name; empty: none is wanted
  std::string address;
  std::vector<std::string> aliases;
  std::vector<std::string> ports;  // "8100:8100", to be published by it
};

struct ComposeWish {
  std::vector<std::string> deployed;       // services of the file that deployctl deploys
  std::vector<std::string> without_ports;  // those of them whose published ports move to Nginx
  NginxInCompose nginx;                    // its service is empty: it is not in this file
};

struct ComposeEdit {
  std::string text;
  std::vector<std::string> changed;   // what, a sentence each, with "file:line: " in front
  std::vector<std::string> problems;  // the same; where there are any, the text is as it was
};

/// `file` is for messages. A service that the file does not define is passed over.
ComposeEdit edit_compose(const std::string& file, const std::string& text, const ComposeWish& wish);

/// The profile that deployed services get.
inline constexpr auto deployed_profile = "deployctl";

}  // namespace deploy::adopt
