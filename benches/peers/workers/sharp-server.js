// A server over sharp, as one writes it in an hour: GET /WIDTH/FORMAT/QUALITY/PATH, two renders in flight.
const fs = require('fs/promises');
const http = require('http');
const path = require('path');
const sharp = require(path.join(process.env.PEERS_MODULES, 'sharp'));

sharp.cache(false);
sharp.concurrency(1);
const [port, folder, effort] = process.argv.slice(2);
const TYPES = { jpeg: 'image/jpeg', webp: 'image/webp', png: 'image/png' };
const waiting = [];
let free = 2;
const enter = () => (free > 0 ? free-- && Promise.resolve() : new Promise((resolve) => waiting.push(resolve)));
const leave = () => (waiting.length ? waiting.shift()() : free++);

async function answer(url) {
  const [, width, format, quality, ...rest] = url.split('/');
  const options = { quality: Number(quality), ...(format === 'webp' ? { effort: Number(effort) } : {}) };
  const source = await fs.readFile(path.join(folder, path.normalize(`/${rest.join('/')}`)));
  await enter();
  try {
    const picture = sharp(source, { limitInputPixels: false }).resize({ width: Number(width) });
    return { type: TYPES[format], body: await picture[format](format === 'png' ? {} : options).toBuffer() };
  } finally {
    leave();
  }
}

http.createServer(async (request, response) => {
  try {
    const { type, body } = await answer(request.url);
    response.writeHead(200, { 'Content-Type': type, 'Content-Length': body.length });
    response.end(body);
  } catch (error) {
    response.writeHead(500).end(String(error));
  }
}).listen(Number(port), '127.0.0.1');
