// FastAPI. Completions are server-sent events: GET /stream?ms=… , of serve.js.
'use strict';
const { serveRoutes, version } = require('./serve');

serveRoutes(8000, { health: '/health' }, {
  'GET /health': () => ({ status: 'healthy' }),
  'POST /complete': (body) => ({ text: `${body.text} …`, version }),
});
