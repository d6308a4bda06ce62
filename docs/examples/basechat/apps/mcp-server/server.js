// Tools.
'use strict';
const { serveRoutes, version } = require('./serve');

serveRoutes(8002, { health: '/health' }, {
  'GET /health': () => ({ status: 'healthy' }),
  'POST /tool': (body) => ({ name: 'search', about: body.message, version }),
});
