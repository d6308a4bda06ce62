// What the three apps share: a server that names its service and version in every answer and stops gracefully.
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const net = require('net');
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

const streams = new Set(); // that are under way; SIGTERM cuts them, so that a drain that was too short is seen

// Calls tick every 100 ms and end after as long as the query says ("?ms=3000").
function keepTelling(request, socket, tick, end) {
  const until = Date.now() + Number(new URL(request.url, 'http://app').searchParams.get('ms'));
  const timer = setInterval(() => {
    if (Date.now() < until) return tick();
    clearInterval(timer);
    streams.delete(socket);
    return end();
  }, 100);
  streams.add(socket);
  socket.on('close', () => {
    clearInterval(timer);
    streams.delete(socket);
  });
}

function sendEvents(request, response) {
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'X-Service': service, 'X-Version': version });
  const event = (text) => response.write(`data: ${text}\n\n`);
  keepTelling(request, request.socket, () => event('tick'), () => {
    event('end');
    response.end();
  });
}

// RFC 6455, as much of it as a server that only sends short texts needs.
function openWebSocket(request, socket) {
  const key = request.headers['sec-websocket-key'];
  const accept = crypto.createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
    `Sec-WebSocket-Accept: ${accept}\r\nX-Service: ${service}\r\nX-Version: ${version}\r\n\r\n`);
  const message = (text) => socket.write(Buffer.concat([Buffer.from([0x81, text.length]), Buffer.from(text)]));
  socket.on('error', () => {}); // a client that goes away
  keepTelling(request, socket, () => message('tick'), () => {
    message('end');
    socket.write(Buffer.from([0x88, 2, 0x03, 0xe8])); // close, 1000
    socket.on('data', () => socket.end());
  });
}

// VERSION may name a fault, so that a commit can be one that never works: "v4 unhealthy" answers its health check 503,
// "v4 crash" exits at once, "v4 deaf" listens to nobody, "v4 slow" never answers its health check, "v4 flaps" answers it well for a
// second and badly for the next, "v4 dies" exits some seconds after it was healthy for the first time. A file /tmp/ill makes one container unhealthy for as long as it is there.
function serve(port, handle, isHealth = (url) => url.endsWith('/health')) {
  const [, fault] = version.split(' ');
  if (fault === 'crash') {
    console.error('cannot start: the database schema is newer than this version');
    process.exit(3);
  }
  let dying;
  const isIll = () => fault === 'unhealthy' || (fault === 'flaps' && Math.floor(process.uptime()) % 2 === 1) || fs.existsSync('/tmp/ill');
  const server = http.createServer((request, response) => {
    const asksHealth = isHealth(request.url);
    if (asksHealth && fault === 'slow') return;
    if (asksHealth && isIll()) {
      console.error('health check: the connection pool is exhausted');
      return sendJson(response, 503, { status: 'DOWN' });
    }
    if (asksHealth && fault === 'dies') dying ??= setTimeout(() => process.exit(4), 8000);
    if (request.url.includes('/stream?')) return sendEvents(request, response);
    return handle(request, response).catch((error) => sendJson(response, 500, { error: error.message }));
  });
  server.on('upgrade', openWebSocket);
  // Longer than any client or proxy keeps an idle connection, so that it is never this side that closes one.
  server.keepAliveTimeout = 120000;
  if (fault !== 'deaf') server.listen(port, () => console.log(`${service} ${version} listens on ${port}`));
  const idle = setInterval(() => {}, 60000);
  process.on('SIGTERM', () => {
    console.log(`${service} ${version} stops`);
    clearInterval(idle);
    for (const socket of streams) socket.destroy();
    server.close(() => process.exit(0));
    server.closeIdleConnections();
  });
}

// `routes`: 'METHOD /path' to a function of the body's JSON that returns a page (text), JSON, or { status, body }. `health`: the path of
// the health check.
function serveRoutes(port, { health }, routes) {
  serve(port, async (request, response) => {
    const route = routes[`${request.method} ${request.url.split('?')[0]}`];
    if (!route) return sendJson(response, 404, { error: 'not found' });
    const text = await readBody(request);
    try {
      const answer = await route(text ? JSON.parse(text) : {});
      if (typeof answer === 'string') return send(response, 200, 'text/html', answer);
      return answer.body ? sendJson(response, answer.status, answer.body) : sendJson(response, 200, answer);
    } catch (error) {
      console.error(`${request.method} ${request.url}: ${error.message}`);
      return sendJson(response, 502, { error: error.message });
    }
  }, (url) => url.split('?')[0] === health);
}

// Another service's JSON, over a connection of its own and without a retry. With a body it is a POST.
async function call(url, body) {
  const request = body ? { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) } : {};
  const answer = await fetch(url, request);
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}`);
  return answer.json();
}

// Does anybody listen there? A database, for instance.
function reach(host, port) {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host, port: Number(port), timeout: 3000 }, () => {
      socket.destroy();
      resolve();
    });
    socket.on('timeout', () => socket.destroy(new Error(`${host}:${port} does not answer`)));
    socket.on('error', reject);
  });
}

module.exports = { call, reach, readBody, send, sendJson, serve, serveRoutes, version };
