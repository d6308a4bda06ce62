// FastAPI: writes stories. Only backend calls it.
'use strict';
const { serveRoutes, version } = require('./serve');

serveRoutes(8000, { health: '/health' }, {
  'GET /health': () => ({ status: 'healthy', version }),
  'POST /generate': (body) => ({ text: `a story about ${body.prompt}`, version }),
});
