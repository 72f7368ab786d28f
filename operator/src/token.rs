//! What ties a pod to its strand before the pod has a UID: the pod carries a token, and the strand names its hash, because
//! tenants read strands. Pure but for chance.

/// A token that no other pod has.
pub(crate) fn new_token() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// The hash of a token, as strands name it.
pub(crate) fn digest(token: &str) -> String {
    blake3::hash(token.as_bytes()).to_hex().to_string()
}
