// Where deployd listens: for deployctl, and for webhooks. One thread.
#pragma once

#include "agent/config/schema.hpp"
#include "agent/http/server.hpp"

namespace deploy::daemon {

/// What one webhook, and how many at a time, may take.
http::Limits webhook_limits();

/// Both throw Error where the socket or port cannot be had.
void listen_for_commands(http::Server& server, const config::SocketSettings& settings);
void listen_for_webhooks(http::Server& server, const config::WebhookSettings& webhook);

}  // namespace deploy::daemon
