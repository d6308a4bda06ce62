// Spring Boot: asks the AI server over HTTP.
'use strict';
const { call, reach, serveRoutes, version } = require('./serve');

const ai = process.env.AI_SERVER_URL;
const [database, port] = /\/\/([^:/]+):(\d+)/.exec(process.env.SPRING_DATASOURCE_URL).slice(1);

serveRoutes(8080, { health: '/api/health' }, {
  'GET /api/health': async () => {
    await reach(database, port);
    return { status: 'UP' };
  },
  'GET /api/version': () => ({ version }),
  'POST /api/chat': async (body) => ({ version, answer: await call(`${ai}/chat`, body) }),
});
