// Spring Boot: what has no session is answered 401, the actuator too; chat rooms are WebSockets below /ws.
'use strict';
const { call, reach, serveRoutes, version } = require('./serve');

const llm = process.env.AI_SERVER_URL;
const [database, port] = /\/\/([^:/]+):(\d+)/.exec(process.env.SPRING_DATASOURCE_URL).slice(1);

serveRoutes(8080, { health: '/api/ai-stories/health' }, {
  'GET /actuator/health': () => ({ status: 401, body: { error: 'Unauthorized', path: '/actuator/health' } }),
  'GET /api/ai-stories/health': async () => {
    await reach(database, port);
    return { success: true, data: await call(`${llm}/health`) };
  },
  'GET /api/posts': () => ({ success: true, version }),
  'POST /api/ai-stories': async (body) => ({ success: true, version, story: await call(`${llm}/generate`, body) }),
});
