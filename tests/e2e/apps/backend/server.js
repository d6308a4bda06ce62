// The API. Each question is one call of llm over a kept connection, without a retry: a failed call is answered 502.
'use strict';
const http = require('http');
const { readBody, serve, sendJson, version } = require('./serve');

const llm = new URL(process.env.AI_SERVER_URL || 'http://llm:8000');
const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });
let failedCalls = 0;

function ask(prompt) {
  return new Promise((resolve, reject) => {
    const body = JSON.stringify({ prompt });
    const headers = { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) };
    const call = http.request(new URL('/generate', llm), { method: 'POST', agent, headers }, async (answer) => {
      try {
        const text = await readBody(answer);
        if (answer.statusCode !== 200) throw new Error(`llm answered ${answer.statusCode}`);
        resolve(JSON.parse(text));
      } catch (error) {
        reject(error);
      }
    });
    call.on('error', reject);
    call.end(body);
  });
}

serve(8080, async (request, response) => {
  const path = request.url.split('?')[0];
  if (request.method === 'GET' && path === '/api/health') {
    return sendJson(response, 200, { status: 'UP', version, failedCalls });
  }
  if (request.method === 'GET' && path === '/api/info') return sendJson(response, 200, { version });
  if (request.method === 'POST' && path === '/api/ask') {
    const { question = '' } = JSON.parse((await readBody(request)) || '{}');
    try {
      const { text, version: llmVersion } = await ask(question);
      return sendJson(response, 200, { answer: text, version, llm: llmVersion });
    } catch (error) {
      failedCalls += 1;
      console.error(`the call of llm failed: ${error.message}`);
      return sendJson(response, 502, { error: `llm: ${error.message}`, version });
    }
  }
  return sendJson(response, 404, { error: 'not found' });
});
