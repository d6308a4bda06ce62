// A stand-in for a language-model service: answers a prompt after a few milliseconds of work.
'use strict';
const { readBody, serve, sendJson, version } = require('./serve');

serve(8000, async (request, response) => {
  if (request.method === 'GET' && request.url === '/health') return sendJson(response, 200, { status: 'UP', version });
  if (request.method === 'POST' && request.url === '/generate') {
    const { prompt = '' } = JSON.parse((await readBody(request)) || '{}');
    await new Promise((resolve) => setTimeout(resolve, 3));
    return sendJson(response, 200, { text: `${prompt}, said llm ${version}`, version });
  }
  return sendJson(response, 404, { error: 'not found' });
});
