//! `saveas/<EncodedEntryURI>[/deleteAfterDays/<n>][/saveKey/…|/savePattern/…][/sign/<AK>:<sig>]` (spec 4.12).

/// A parsed `saveas`: where the result is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaveAs {
    /// Destination bucket.
    pub bucket: String,
    /// Destination key; `None` in the bucket-only form, which needs a template.
    pub key: Option<String>,
    /// `deleteAfterDays/…`.
    pub delete_after_days: Option<u32>,
    /// `saveKey/…` or `savePattern/…`.
    pub template: Option<KeyTemplate>,
    /// `sign/…`; needed on delivery.
    pub signature: Option<Signature>,
}

/// A template that makes the destination's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyTemplate {
    /// Of variables of the output.
    SaveKey(String),
    /// Of variables of the input.
    SavePattern(String),
}

/// The signature of a delivery-time `saveas`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Who signed.
    pub access_key: String,
    /// URL-safe Base64 of the HMAC-SHA1.
    pub encoded: String,
}
