// An upload by graphql-request, as the published example of Altizure does it. What came of it is the one JSON document that is printed.
//
//     NODE_PATH=… node altizure_node.js http://API/graphql KEY TOKEN FILE

const crypto = require("crypto");
const fs = require("fs");
const path = require("path");

const [url, key, altitoken, file] = process.argv.slice(2);

/// The package is an ES module, which NODE_PATH does not find.
const load = (name) => import(path.join(process.env.NODE_PATH, name));

async function main() {
  const { GraphQLClient } = await load("graphql-request/build/entrypoints/main.js");
  const client = new GraphQLClient(url, { headers: { key, altitoken } });
  const bytes = fs.readFileSync(file);
  const checksum = crypto.createHash("sha1").update(bytes).digest("hex");
  const { createProject } = await client.request("mutation { createProject(name: \"node\") { id } }");
  const pid = createProject.id;
  const { getGeoIPInfo } = await client.request("{ getGeoIPInfo { nearestBuckets { bucket cloud } } }");
  const bucket = getGeoIPInfo.nearestBuckets[0].bucket;
  const upload = `mutation ($pid: ID!, $bucket: BucketS3!, $filename: String!, $type: IMAGE_TYPE, $checksum: String) {
    uploadImageS3(pid: $pid, bucket: $bucket, filename: $filename, type: $type, checksum: $checksum) {
      url image { id state filename } } }`;
  const variables = { pid, bucket, filename: "node.jpg", type: "JPEG", checksum };
  const { uploadImageS3 } = await client.request(upload, variables);
  const id = uploadImageS3.image.id;
  await client.request("mutation ($id: ID!) { startImageUpload(id: $id) { id state } }", { id });
  const put = await fetch(uploadImageS3.url, { method: "PUT", headers: { "Content-Type": "image/jpeg" }, body: bytes });
  const told = { put: put.status };
  do {
    const { project } = await client.request(
      "query ($pid: ID!, $id: ID!) { project(id: $pid) { image(id: $id) { id state error } } }", { pid, id });
    told.image = project.image;
  } while (!["Ready", "Invalid"].includes(told.image.state));
  const has = "mutation ($pid: ID!, $checksum: String!) { hasImage(pid: $pid, checksum: $checksum) { id } }";
  told.known = (await client.request(has, { pid, checksum })).hasImage;
  told.error = await client.request(upload, { ...variables, bucket: "Nowhere" }).then(() => "", (error) => String(error));
  console.log(JSON.stringify(told));
}

main();
