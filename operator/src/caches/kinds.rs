//! The kinds of objects that the caches hold.

use boboyka_crds::BoboykaIntegration;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::reflector::ObjectRef;

/// An integration, or the error if this version can't read it.
pub(crate) type GuardedIntegration = DeserializeGuard<BoboykaIntegration>;
/// An integration to look at.
pub(crate) type Touched = ObjectRef<GuardedIntegration>;
/// The metadata of an object.
pub(crate) type Meta<K> = PartialObjectMeta<K>;
