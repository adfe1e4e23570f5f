// What the official Qiniu SDK for Node.js does with a server: uploads, a job, its status, and objects managed. Each call's outcome
// is a member of the one JSON document that is printed.
//
//     NODE_PATH=… node qiniu_node.js http://API ACCESS_KEY SECRET_KEY FILE

const qiniu = require("qiniu");

const [api, accessKey, secretKey, file] = process.argv.slice(2);
const host = new URL(api).host;
const mac = new qiniu.auth.digest.Mac(accessKey, secretKey);
const config = new qiniu.conf.Config({ useHttpsDomain: false });
config.zone = new qiniu.conf.Zone([host], [host], host, host, host, host);
qiniu.conf.API_HOST = host;
const token = (options) => new qiniu.rs.PutPolicy(options).uploadToken(mac);

/// A call of the SDK with its callback, as a promise of status and body.
const call = (object, method, ...args) =>
  new Promise((resolve) =>
    object[method](...args, (error, body, info) =>
      resolve({ status: info && info.statusCode, body, error: error && String(error) })));

async function main() {
  const told = {};
  const form = new qiniu.form_up.FormUploader(config);
  const extra = () => new qiniu.form_up.PutExtra();
  told.form = await call(form, "putFile", token({ scope: "photos" }), "form.jpg", file, extra());
  told.text = await call(form, "put", token({ scope: "photos" }), "猫.txt", "hello", extra());
  const ops = { scope: "photos", persistentOps: "imageView2/2/w/30" };
  told.asking = await call(form, "putFile", token(ops), "asking.jpg", file, extra());
  told.refused = await call(form, "put", token({ scope: "photos:other" }), "a.txt", "hello", extra());
  for (const version of ["v1", "v2"]) {
    const resumable = new qiniu.resume_up.ResumeUploader(config);
    const putExtra = new qiniu.resume_up.PutExtra();
    putExtra.version = version;
    told[version] = await call(resumable, "putFile", token({ scope: "photos" }), `${version}.jpg`, file, putExtra);
  }
  const operations = new qiniu.fop.OperationManager(mac, config);
  const commands = ["imageView2/2/w/50|saveas/" + qiniu.util.urlsafeBase64Encode("photos:small.jpg"), "imageInfo"];
  told.pfop = await call(operations, "pfop", "photos", "form.jpg", commands, null, { force: true });
  do {
    told.prefop = await call(operations, "prefop", told.pfop.body.persistentId);
  } while ([1, 2].includes(told.prefop.body.code));
  const bucket = new qiniu.rs.BucketManager(mac, config);
  told.stat = await call(bucket, "stat", "photos", "small.jpg");
  told.copy = await call(bucket, "copy", "photos", "small.jpg", "photos", "copy.jpg", { force: false });
  told.move = await call(bucket, "move", "photos", "copy.jpg", "photos", "moved.jpg", { force: true });
  told.list = await call(bucket, "listPrefix", "photos", { prefix: "moved", limit: 10 });
  told.batch = await call(bucket, "batch", [qiniu.rs.statOp("photos", "moved.jpg"), qiniu.rs.statOp("photos", "no.jpg")]);
  told.delete = await call(bucket, "delete", "photos", "moved.jpg");
  console.log(JSON.stringify(told));
}

main();
