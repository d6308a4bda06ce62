// The pages. They call nothing.
'use strict';
const { serve, sendJson, send, version } = require('./serve');

serve(3000, async (request, response) => {
  if (request.method === 'GET' && request.url === '/health') return sendJson(response, 200, { status: 'UP', version });
  if (request.method === 'GET' && request.url === '/') {
    return send(response, 200, 'text/html', `<!doctype html><title>demo</title><p>frontend ${version}</p>\n`);
  }
  return sendJson(response, 404, { error: 'not found' });
});
