// Jobs as Blitline's own small client for Node.js submits them: JSON around an array, to an address that it has built in. That
// address is led to the server under test; nothing else of the client is changed. What each call answered is printed as JSON.
//
//     NODE_PATH=… node blitline.js HOST:PORT FILE_OF_JOBS

const fs = require("fs");
const http = require("http");
const https = require("https");

const [address, file] = process.argv.slice(2);
const [hostname, port] = address.split(":");
https.request = (options, callback) =>
  http.request({ ...options, hostname, host: hostname, port, protocol: "http:", agent: undefined }, callback);

const Blitline = require("simple_blitline_node");

const posted = async (jobs) => {
  const client = new Blitline();
  jobs.forEach((job) => client.addJob(job));
  try {
    return await client.postJobs();
  } catch (error) {
    return { failed: String(error) };
  }
};

(async () => {
  const told = [];
  for (const jobs of JSON.parse(fs.readFileSync(file, "utf8"))) told.push(await posted(jobs));
  console.log(JSON.stringify(told));
})();
