// A gRPC service without generated code: Say answers one message, Count streams one each 100 ms for three seconds.
// Source: "gRPC over HTTP2" (grpc/doc/PROTOCOL-HTTP2.md).
'use strict';
const fs = require('fs');
const http2 = require('http2');

const version = fs.readFileSync(`${__dirname}/VERSION`, 'utf8').trim();

function message(text) {
  const frame = Buffer.alloc(5 + Buffer.byteLength(text));
  frame.writeUInt32BE(frame.length - 5, 1);
  frame.write(text, 5);
  return frame;
}

const sessions = new Set();
const server = http2.createServer();
server.on('session', (session) => {
  sessions.add(session);
  session.on('close', () => sessions.delete(session));
});
server.on('stream', (stream, headers) => {
  stream.on('error', () => {}); // a client that goes away
  stream.resume();
  stream.on('end', () => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'x-host': headers.host }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    let left = headers[':path'] === '/demo.Greeter/Count' ? 30 : 1;
    const tell = () => {
      stream.write(message(version));
      left -= 1;
      return left === 0 ? stream.end() : setTimeout(tell, 100);
    };
    tell();
  });
});
server.listen(50051, () => console.log(`greeter ${version} listens on 50051`));

process.on('SIGTERM', () => {
  for (const session of sessions) session.destroy(); // cuts what is under way, so that a drain that was too short is seen
  server.close(() => process.exit(0));
});
