// Documents that several people edit: WebSockets, of serve.js.
'use strict';
const { serveRoutes } = require('./serve');

serveRoutes(3000, { health: '/health' }, { 'GET /health': () => ({ status: 'ok' }) });
