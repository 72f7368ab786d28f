//! Makes container images from static programs, without Docker: one layer for each architecture in an OCI archive, the
//! same bytes for the same input, with a bill of materials inside.

mod architecture;
mod blob;
mod image;
mod product;
mod sbom;

pub use architecture::Architecture;
pub use blob::File;
pub use image::{Image, write_all};
pub use product::{
    OPERATOR, Profile, Program, SIDECAR, product_archives, product_image, product_images,
};
pub use sbom::bill;
