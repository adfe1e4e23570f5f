// sharp as a peer: node sharp.js JOB.json. The same commands and answers as ../runner.rs, two requests in flight.
const fs = require('fs');
const path = require('path');
const readline = require('readline');
const sharp = require(path.join(process.env.PEERS_MODULES, 'sharp'));

sharp.cache(false);
sharp.concurrency(1);

const IN_FLIGHT = 2;
const job = JSON.parse(fs.readFileSync(process.argv[2]));
const logo = job.logo && fs.readFileSync(job.logo);
const requests = job.requests.map((request) => ({ ...request, bytes: fs.readFileSync(request.source) }));

const peakKib = () => Number(fs.readFileSync('/proc/self/status', 'utf8').match(/VmHWM:\s+(\d+)/)[1]);
const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);

function encode(picture) {
  const quality = job.quality;
  switch (job.format) {
    case 'jpeg': return picture.jpeg({ quality, chromaSubsampling: '4:2:0' }); // optimiseCoding is the default
    case 'webp': return picture.webp({ quality, effort: job.effort ?? 4 });
    case 'avif': return picture.avif({ quality, effort: job.effort ?? 4, chromaSubsampling: '4:2:0' });
    case 'png': return picture.png({ adaptiveFiltering: job.adaptive ?? false });
    default: throw new Error(`no format ${job.format}`);
  }
}

function watermark() {
  const text = `<svg width="600" height="60"><text x="10" y="44" font-family="Noto Sans" font-size="36" fill="#fff"
    fill-opacity="0.8">${job.text}</text></svg>`;
  return [{ input: logo, gravity: 'northwest' }, { input: Buffer.from(text), gravity: 'southeast' }];
}

function render({ bytes, crop, rotate, width, height }) {
  let picture = sharp(bytes, { limitInputPixels: false, autoOrient: job.orient ?? false });
  if (crop) picture = picture.extract({ left: crop[0], top: crop[1], width: crop[2], height: crop[3] });
  // Turned after the resize: less work, and before it sharp would turn before it crops.
  const turned = rotate === 90 || rotate === 270;
  const [across, down] = turned ? [height, width] : [width, height];
  picture = picture.resize({ width: across, height: down, fit: 'fill' });
  if (rotate) picture = picture.rotate(rotate);
  if (job.text) picture = picture.composite(watermark());
  if (job.keep_profile) picture = picture.keepIccProfile();
  return encode(picture).toBuffer();
}

async function run(seconds) {
  const start = process.hrtime.bigint();
  const elapsed = () => Number(process.hrtime.bigint() - start) / 1e9;
  let next = 0;
  const work = async () => {
    while (next === 0 || next % requests.length !== 0 || elapsed() < seconds) {
      const request = requests[next++ % requests.length];
      await render(request);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, work));
  return { iterations: next, seconds: elapsed(), rss_above_idle_kib: peakKib() - idle };
}

async function save(folder) {
  for (const request of requests) {
    const name = path.parse(request.source).name;
    fs.writeFileSync(path.join(folder, `${name}.${job.format === 'jpeg' ? 'jpg' : job.format}`), await render(request));
  }
  return { saved: requests.length };
}

const idle = peakKib();
say({ ready: requests.length });
(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [command, argument] = [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)];
    say(command === 'run' ? await run(Number(argument)) : await save(argument));
  }
})().catch((error) => {
  say({ error: error.message });
  process.exit(1);
});
