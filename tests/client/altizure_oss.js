// Uploads by ali-oss, the vendor's client of OSS, with temporary credentials and in each way that it names a bucket; GraphQL by
// axios. What came of it is the one JSON document that is printed.
//
//     NODE_PATH=… node altizure_oss.js API KEY TOKEN FILE OTHER_FILE…

const crypto = require("crypto");
const fs = require("fs");
const http = require("http");
const axios = require("axios");
const OSS = require("ali-oss");

const [api, key, altitoken, ...files] = process.argv.slice(2);
const [address, port] = api.split(":");

async function ask(query, variables) {
  const { data } = await axios.post(`http://${api}/graphql`, { query, variables }, { headers: { key, altitoken } });
  if (data.errors) throw new Error(data.errors[0].message);
  return data.data;
}

/// Names resolve to the server, as they would by DNS.
class Agent extends http.Agent {
  createConnection(options, callback) {
    return super.createConnection({ ...options, host: address, hostname: address, port }, callback);
  }
}

const WAYS = {
  host: { endpoint: `http://oss.example:${port}`, agent: new Agent() },
  path: { endpoint: `http://${api}`, sldEnable: true },
  nowhere: { endpoint: `http://${api}` },
};

function client(sts, way) {
  const credentials = { accessKeyId: sts.id, accessKeySecret: sts.secret, stsToken: sts.token, bucket: sts.bucket };
  return new OSS({ ...credentials, refreshSTSToken: async () => credentials, ...WAYS[way] });
}

const problem = (promise) => promise.then(() => "none", (error) => `${error.status} ${error.code}: ${error.message}`);

async function register(pid, bytes) {
  const upload = `mutation ($pid: ID!, $sum: String) { uploadImageOSS(pid: $pid, bucket: Local, filename: "a.jpg", type: JPEG,
    checksum: $sum) { image { id filename } } }`;
  const sum = crypto.createHash("sha1").update(bytes).digest("hex");
  const { image } = (await ask(upload, { pid, sum })).uploadImageOSS;
  await ask("mutation ($id: ID!) { startImageUpload(id: $id) { id } }", { id: image.id });
  return image;
}

async function settled(pid, id) {
  await ask("mutation ($id: ID!) { doneImageUpload(id: $id) { id } }", { id });
  for (;;) {
    const query = "query ($pid: ID!, $id: ID!) { project(id: $pid) { image(id: $id) { state error url } } }";
    const { image } = (await ask(query, { pid, id })).project;
    if (["Ready", "Invalid"].includes(image.state)) return image;
    await new Promise((after) => setTimeout(after, 50));
  }
}

async function main() {
  const { id: pid } = (await ask('mutation { createProject(name: "oss") { id } }')).createProject;
  const issue = `mutation ($pid: ID!) { uploadImageOSS(pid: $pid, bucket: Local, filename: "") {
    sts { id secret token bucket endpoint expire } } }`;
  const { sts } = (await ask(issue, { pid })).uploadImageOSS;
  const told = { put: {}, images: {} };
  for (const [index, way] of Object.keys(WAYS).entries()) {
    const bytes = fs.readFileSync(files[index]);
    const image = await register(pid, bytes);
    const headers = { "Content-Type": "image/jpeg" };
    const { res } = await client(sts, way).put(`${pid}/${image.filename}`, bytes, { headers });
    told.put[way] = res.status;
    told.images[way] = await settled(pid, image.id);
  }
  const oss = client(sts, "host");
  const last = await register(pid, Buffer.from("last"));
  const large = { partSize: 100 * 1024 };
  told.denied = await problem(oss.put(`${pid}/unregistered.jpg`, Buffer.from("x")));
  told.parts = await problem(oss.multipartUpload(`${pid}/${last.filename}`, Buffer.alloc(300 * 1024), large));
  told.got = await problem(oss.get(`${pid}/${last.filename}`));
  told.downloaded = crypto.createHash("sha1").update((await axios.get(told.images.host.url, { responseType: "arraybuffer" })).data).digest("hex");
  console.log(JSON.stringify(told));
}

main();
