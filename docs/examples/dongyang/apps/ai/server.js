// FastAPI with retrieval: its documents are files in a volume, which must outlive every rollout.
'use strict';
const fs = require('fs');
const { serveRoutes, version } = require('./serve');

const store = process.env.VECTOR_STORE_PATH;

serveRoutes(8000, { health: '/' }, {
  'GET /': () => ({ status: 'healthy', service: 'AI Server' }),
  'POST /chat': (body) => ({ text: `about ${body.message}`, documents: fs.readdirSync(store).length, version }),
});
