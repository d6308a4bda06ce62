// The API. Each question is one call of llm-agent, which calls mcp-server.
'use strict';
const { call, reach, serveRoutes, version } = require('./serve');

const agent = process.env.LLM_AGENT_URL;
const database = new URL(process.env.DATABASE_URL);

serveRoutes(8000, { health: '/health' }, {
  'GET /health': async () => {
    await reach(database.hostname, database.port);
    return { status: 'healthy' };
  },
  'GET /version': () => ({ version }),
  'POST /chat': async (body) => ({ version, answer: await call(`${agent}/run`, body) }),
});
