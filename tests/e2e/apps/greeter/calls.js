// Clients of the greeter: two that call Say every 20 ms and two that call Count, each over one connection and never twice for
// the same call. After SIGTERM one line of JSON tells of the calls.
'use strict';
const http2 = require('http2');

const counts = { said: 0, streamed: 0, refused: 0, failed: 0, versions: {}, errors: [] };
let ending = false;

class Client {
  // The connection that new calls go to: not one that the server has announced the end of.
  session() {
    if (this.current && !this.current.closed && !this.current.destroyed) return this.current;
    const session = http2.connect('http://greeter:50051');
    session.on('error', () => {}); // each of its calls says so
    session.on('goaway', () => session.close());
    this.current = session;
    return session;
  }

  call(path) {
    return new Promise((resolve) => {
      let bytes = Buffer.alloc(0);
      let answer = {};
      let trailers = {};
      const end = (error) => resolve({ bytes, answer, trailers, error });
      const stream = this.session().request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' });
      stream.on('response', (headers) => { answer = headers; });
      stream.on('trailers', (headers) => { trailers = headers; });
      stream.on('data', (part) => { bytes = Buffer.concat([bytes, part]); });
      stream.on('error', end);
      stream.on('close', () => end());
      stream.end(Buffer.alloc(5)); // an empty message
    });
  }
}

function judge(path, messages, { bytes, answer, trailers, error }) {
  // The server says that it has not looked at the call: every gRPC library then sends it again (RFC 9113, 8.7).
  if (error && error.code === 'ERR_HTTP2_STREAM_ERROR' && /REFUSED_STREAM/.test(error.message)) {
    counts.refused += 1;
    return;
  }
  const version = bytes.subarray(5, 7).toString();
  if (error || answer[':status'] !== 200 || answer['x-host'] !== 'greeter:50051' || trailers['grpc-status'] !== '0' ||
      bytes.length !== messages * 7) {
    counts.failed += 1;
    if (counts.errors.length < 5) counts.errors.push(`${path}: ${error || JSON.stringify({ answer, trailers, bytes: bytes.length })}`);
    return;
  }
  counts[messages === 1 ? 'said' : 'streamed'] += 1;
  counts.versions[version] = (counts.versions[version] || 0) + 1;
}

async function run(path, messages, pause) {
  const client = new Client();
  while (!ending) {
    judge(path, messages, await client.call(path));
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
  client.session().close();
}

const runs = [['/demo.Greeter/Say', 1, 20], ['/demo.Greeter/Count', 30, 20]];
Promise.all([...runs, ...runs].map((arguments_) => run(...arguments_))).then(() => {
  console.log(JSON.stringify(counts));
  process.exit(0);
});
process.on('SIGTERM', () => { ending = true; });
