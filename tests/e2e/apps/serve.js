// What the three apps share: a server that names its service and version in every answer and stops gracefully.
'use strict';
const fs = require('fs');
const http = require('http');
const path = require('path');

const service = fs.readFileSync(path.join(__dirname, 'SERVICE'), 'utf8').trim();
const version = fs.readFileSync(path.join(__dirname, 'VERSION'), 'utf8').trim();

function send(response, status, type, body) {
  response.writeHead(status, {
    'Content-Type': type,
    'Content-Length': Buffer.byteLength(body),
    'X-Service': service,
    'X-Version': version,
  });
  response.end(body);
}

function sendJson(response, status, value) {
  send(response, status, 'application/json', JSON.stringify(value) + '\n');
}

async function readBody(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts).toString();
}

// VERSION may name a fault, so that a commit can be one that never works: "v4 unhealthy" answers its health check 503,
// "v4 crash" exits at once, "v4 deaf" listens to nobody. A file /tmp/ill makes one container unhealthy for as long as it is there.
function serve(port, handle) {
  const [, fault] = version.split(' ');
  if (fault === 'crash') {
    console.error('cannot start: the database schema is newer than this version');
    process.exit(3);
  }
  const server = http.createServer((request, response) => {
    if (request.url.endsWith('/health') && (fault === 'unhealthy' || fs.existsSync('/tmp/ill'))) {
      console.error('health check: the connection pool is exhausted');
      return sendJson(response, 503, { status: 'DOWN' });
    }
    return handle(request, response).catch((error) => sendJson(response, 500, { error: error.message }));
  });
  // Longer than any client or proxy keeps an idle connection, so that it is never this side that closes one.
  server.keepAliveTimeout = 120000;
  if (fault !== 'deaf') server.listen(port, () => console.log(`${service} ${version} listens on ${port}`));
  const idle = setInterval(() => {}, 60000);
  process.on('SIGTERM', () => {
    console.log(`${service} ${version} stops`);
    clearInterval(idle);
    server.close(() => process.exit(0));
    server.closeIdleConnections();
  });
}

module.exports = { readBody, send, sendJson, serve, version };
