//! `/batch`: many operations in one request, carried out in their order (spec 8.1).

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use super::Qiniu;
use super::access::{Call, Caller};
use super::failure::{Failure, json as answer};
use super::resources::Operation;

const MAX_OPERATIONS: usize = 1000;

/// "Partly failed": at least one line did.
const PARTLY: u16 = 298;

/// Answers a line for each operation.
pub(super) async fn batch(State(qiniu): State<Arc<Qiniu>>, request: Request) -> Result<Response, Failure> {
    let now = SystemTime::now();
    let call = Call::read(request).await?;
    let caller = call.caller(&qiniu.delivery.keys, now)?;
    let fields = call.fields();
    let operations: Vec<&str> = fields.all("op").collect();
    if operations.is_empty() || operations.len() > MAX_OPERATIONS {
        let message = format!("invalid argument: {} op; expected 1 to {MAX_OPERATIONS}", operations.len());
        return Err(Failure::invalid(message));
    }
    let mut lines = Vec::with_capacity(operations.len());
    let mut has_failed = false;
    for operation in operations {
        let result = run(&qiniu, &caller, operation, now).await;
        has_failed |= result.is_err();
        lines.push(line(result));
    }
    let status = if has_failed { PARTLY } else { 200 };
    let status = StatusCode::from_u16(status).expect("298 is a status code");
    Ok(answer(status, &Value::Array(lines)))
}

async fn run(qiniu: &Qiniu, caller: &Caller, operation: &str, now: SystemTime) -> Result<Option<Value>, Failure> {
    Operation::parse(operation)?.run(qiniu, caller, now).await
}

fn line(result: Result<Option<Value>, Failure>) -> Value {
    match result {
        Ok(Some(data)) => json!({ "code": 200, "data": data }),
        Ok(None) => json!({ "code": 200 }),
        Err(failure) => json!({ "code": failure.status, "data": failure.body() }),
    }
}
