// NestJS. The database is the host's own.
'use strict';
const { reach, serveRoutes, version } = require('./serve');

const database = new URL(process.env.DATABASE_URL);
const redis = new URL(process.env.REDIS_URL);

serveRoutes(3000, { health: '/health' }, {
  'GET /health': async () => {
    await reach(database.hostname, database.port);
    await reach(redis.hostname, redis.port);
    return { status: 'ok' };
  },
  'GET /version': () => ({ version }),
  'POST /documents': (body) => ({ saved: body.title, version }),
});
