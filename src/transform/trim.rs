//! Plans that pixels decide on: before a program with exact sizes can be made, each `trim` becomes the box that it cuts out.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;

use super::contained::Task;
use super::{Error, Transformer};
use crate::engine;
use crate::engine::program::{Program, Rendering};
use crate::plan::cut::{Cut, Edges};
use crate::plan::seen::Seen;
use crate::plan::{Fop, Plan};

/// What `edges` tells.
#[derive(Deserialize)]
struct Told {
    x: i32,
    y: i32,
    width: u32,
    height: u32,
}

impl Transformer {
    /// The plan without `trim`. What stands before each is done once to find its box, and again with all the rest. Each program that
    /// looks for a box has to pass `check` before it runs.
    ///
    /// # Errors
    /// As for making the result, and what `check` says.
    pub(super) async fn settled(
        &self,
        plan: &Plan,
        source: &Bytes,
        pictures: &[Bytes],
        rendering: Rendering,
        check: impl Fn(&Program) -> Result<(), Error>,
    ) -> Result<Plan, Error> {
        let mut plan = plan.clone();
        while let Some((at, trim)) = plan.first_trim() {
            let mut before = Plan { fops: plan.fops[..at].to_vec() };
            let painted = pictures[..before.images().count()].to_vec();
            before.fops.push(Fop::Seen(Seen::Edges(trim.0)));
            let program = self.program(&before, source, &painted, rendering)?;
            check(&program)?;
            let task = Task { plan: before, rendering, known_quality: None, program, pictures: painted };
            let told = self.try_alone(source.clone(), Arc::new(task)).await?;
            let told: Told = serde_json::from_slice(&told.body).map_err(|_| engine::Error::NotAnImage)?;
            plan.fops[at] =
                Fop::Cut(Cut::box_at(told.x, told.y, Edges { width: Some(told.width), height: Some(told.height) }));
        }
        Ok(plan)
    }
}
