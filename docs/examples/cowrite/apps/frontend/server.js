// Next.js. The browser calls core-api and sync-service by itself, on ports 8100 and 8102 of the host.
'use strict';
const { serveRoutes, version } = require('./serve');

serveRoutes(3000, { health: '/' }, {
  'GET /': () => `<!doctype html><title>Cowrite</title><p>frontend ${version}</p>\n`,
});
