//! stub
pub(crate) async fn measure(_rounds: usize) {}
