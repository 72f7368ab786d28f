//! Makes container images from static programs, without Docker: one layer in an OCI archive, the same bytes for the
//! same input, with a bill of materials inside.

mod image;
mod product;
mod sbom;

pub use image::Image;
pub use product::{OPERATOR, Profile, Program, SIDECAR, product_image, product_images};
