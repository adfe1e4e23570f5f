//! How large a picture is as it is shown.

use std::sync::Arc;

use serde::Deserialize;

use super::{Error, Transformer};
use crate::engine;
use crate::geometry::{Orientation, Size};
use crate::plan::{Fop, Plan};
use crate::store::{Bucket, Meta};
use crate::workers::Asker;

/// A picture, before anything is made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its size as it is shown: turned as its EXIF says.
    pub size: Size,
    /// What is known of its bytes.
    pub meta: Meta,
}

/// What `imageInfo` tells of it, as far as this goes.
#[derive(Deserialize)]
struct Told {
    width: u32,
    height: u32,
    orientation: Option<String>,
}

impl Transformer {
    /// What an object shows. Known for as long as results are kept.
    ///
    /// # Errors
    /// As for [`Transformer::render`].
    pub async fn shown(&self, bucket: &Arc<Bucket>, key: &str, asker: Asker) -> Result<Shown, Arc<Error>> {
        let plan = Plan { fops: vec![Fop::ImageInfo] };
        let mut identity = self.identify(bucket, key, plan).await.map_err(Arc::new)?;
        let (told, _) = self.render(&mut identity, asker).await?;
        let told: Told = serde_json::from_slice(&told.body).map_err(|_| Arc::new(engine::Error::NotAnImage.into()))?;
        let stored = Size::new(told.width, told.height);
        let orientation = told.orientation.as_deref().and_then(Orientation::named);
        let size = orientation.map_or(stored, |orientation| orientation.display_size(stored));
        Ok(Shown { size, meta: identity.meta })
    }
}
