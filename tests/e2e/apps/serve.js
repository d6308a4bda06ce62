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
// "v4 crash" exits at once, "v4 deaf" listens to nobody, "v4 slow" never answers its health check, "v4 flaps" answers it well for a
// second and badly for the next, "v4 dies" exits some seconds after it was healthy for the first time. A file /tmp/ill makes one container unhealthy for as long as it is there.
function serve(port, handle) {
  const [, fault] = version.split(' ');
  if (fault === 'crash') {
    console.error('cannot start: the database schema is newer than this version');
    process.exit(3);
  }
  let dying;
  const isIll = () => fault === 'unhealthy' || (fault === 'flaps' && Math.floor(process.uptime()) % 2 === 1) || fs.existsSync('/tmp/ill');
  const server = http.createServer((request, response) => {
    const asksHealth = request.url.endsWith('/health');
    if (asksHealth && fault === 'slow') return;
    if (asksHealth && isIll()) {
      console.error('health check: the connection pool is exhausted');
      return sendJson(response, 503, { status: 'DOWN' });
    }
    if (asksHealth && fault === 'dies') dying ??= setTimeout(() => process.exit(4), 8000);
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
