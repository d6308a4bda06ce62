// Next.js: pages.
'use strict';
const { serveRoutes, version } = require('./serve');

serveRoutes(3000, { health: '/' }, {
  'GET /': () => `<!doctype html><title>BaseChat</title><p>frontend ${version}</p>\n`,
});
