// The agent between the API and its tools; answers may also be streamed: GET /stream?ms=… , of serve.js.
'use strict';
const { call, serveRoutes, version } = require('./serve');

const tools = process.env.MCP_SERVER_URL;

serveRoutes(8001, { health: '/health' }, {
  'GET /health': () => ({ status: 'healthy' }),
  'POST /run': async (body) => ({ version, tool: await call(`${tools}/tool`, body) }),
});
