// React, served as files.
'use strict';
const { serveRoutes, version } = require('./serve');

serveRoutes(3000, { health: '/' }, {
  'GET /': () => `<!doctype html><title>Chatbot</title><p>frontend ${version}</p>\n`,
});
